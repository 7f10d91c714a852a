"""The labels of a store's encoder: its own classifier, or none at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from ezav.encoders.registry import card, load_visual
from ezav.errors import UnavailableError
from ezav.features.header import EncoderInfo, Header
from ezav.protocol import TwoStageProtocol
from ezav.protocol.labels import label_head
from tests import worlds

MINILM = "minilm@sha256:53aa51172d14"


def header(visual: str, simulated: bool = False, revision: str = "") -> Header:
    return Header(
        dataset="mine",
        setting="main",
        simulated=simulated,
        encoders=(
            EncoderInfo(modality="visual", name=visual, revision=revision, dimension=1280),
            EncoderInfo(modality="audio", name="aisfx", dimension=512),
        ),
    )


def test_the_head_gives_the_encoders_own_scores() -> None:
    revision = card("visual", "efficientnet").revision
    head = label_head(header("efficientnet", revision=revision), MINILM)
    assert head is not None
    assert head.modality == "visual"
    assert head.vectors.shape == (1000, 384)
    tokens = np.random.default_rng(0).random((3, 1280), dtype=np.float32)
    encoder = load_visual("efficientnet")
    found = torch.from_numpy(tokens) @ head.weight.T + head.bias
    expected = torch.from_numpy(encoder.label_scores(tokens))  # type: ignore[attr-defined]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_the_labels_of_another_encoder_are_not_read() -> None:
    for revision in ("", "sha256:000000000000"):
        with pytest.raises(UnavailableError, match="is not the one here"):
            label_head(header("efficientnet", revision=revision), MINILM)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (header("statistics"), MINILM),
        (header("clip"), MINILM),
        (header("my.module:Encoder"), MINILM),
        (header("efficientnet", simulated=True), MINILM),
        (header("efficientnet"), "word2vec-file"),
        (header("efficientnet"), "minilm@another"),
        (header("efficientnet"), f"{MINILM} + clip"),
    ],
)
def test_no_labels_no_words(given: Header, text: str) -> None:
    assert label_head(given, text) is None


def test_words_can_be_left_out(tmp_path: Path) -> None:
    from ezav.methods.best.method import BestConfig

    store = worlds.store(tmp_path / "tiny")
    protocol = TwoStageProtocol(method="best", config=BestConfig(words=False))
    assert not protocol.reader(store).labels
    assert TwoStageProtocol(method="best").reader(store).labels
    assert not TwoStageProtocol(method="eszsl").reader(store).labels
