"""Class embeddings of several text encoders as one vector."""

from __future__ import annotations

import pytest
import torch

from ezav.classes.embeddings import ClassEmbeddings
from ezav.errors import EzavError
from ezav.features import EncoderInfo, FeatureStore, Header, StoreWriter


def test_two_encoders_are_joined_in_the_order_named(tmp_path):
    names = ("cat", "dog")
    text = {
        name: ClassEmbeddings(names, torch.randn(2, dim), name)
        for name, dim in (("A", 3), ("B", 5))
    }
    encoders = tuple(EncoderInfo(modality=m, name="ones", dimension=2) for m in ("audio", "visual"))
    writer = StoreWriter(tmp_path / "store", Header(dataset="tiny", encoders=encoders))
    one = (torch.ones(1, 2), torch.zeros(1))
    for name in names:
        writer.add(clip=name, class_name=name, audio=one, visual=one)
    writer.finish(dict.fromkeys(names, "train"), list(text.values()), whole=False)
    joined = FeatureStore.open(tmp_path / "store").class_embeddings("B + A")
    assert joined.encoder == "B + A"
    assert joined.vectors.shape == (2, 8)
    expected = torch.cat([text["B"].vectors, text["A"].vectors], dim=1) / 2**0.5
    assert torch.allclose(joined.vectors, expected, atol=1e-6)
    with pytest.raises(EzavError, match="no class embeddings of 'C'"):
        FeatureStore.open(tmp_path / "store").class_embeddings("A + C")
