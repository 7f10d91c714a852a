"""Words of stored tokens: what the store's own encoder says, in any text encoder's space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pytest
import torch

from ezav.encoders import registry
from ezav.encoders.base import Encoded, EncoderCard, MediaNeeds
from ezav.encoders.registry import card, load_text
from ezav.encoders.words import label_vectors, words
from ezav.errors import EzavError, RefusedError
from ezav.features.feature_set import Ragged
from ezav.features.header import EncoderInfo, Header
from ezav.features.words import word_reader, words_of

OWN = f"{__name__}:Two"
VECTORS = {"red": [1.0, 0.0], "blue": [0.0, 1.0]}


class Two:
    """A classifier of one's own: its tokens are the scores of two labels."""

    labels = ("red", "blue")
    card = EncoderCard(
        name=OWN,
        kind="visual",
        dimension=2,
        needs=MediaNeeds(fps=1),
        source="here",
        revision="3",
        licence="MIT",
    )

    def encode(self, clips: Sequence[Any]) -> list[Encoded]:
        return [Encoded(np.zeros((1, 2), np.float32), np.zeros(1, np.float32)) for _ in clips]

    def label_scores(self, tokens: np.ndarray) -> np.ndarray:
        return tokens


class Colours:
    card = EncoderCard(
        name="colours", kind="text", dimension=2, source="here", revision="1", licence="MIT"
    )

    def encode(self, names: Sequence[str]) -> torch.Tensor:
        return torch.tensor([VECTORS[name] for name in names])


def header(name: str, revision: str = "", simulated: bool = False) -> Header:
    encoders = (
        EncoderInfo(modality="visual", name=name, revision=revision, dimension=2),
        EncoderInfo(modality="audio", name="aisfx", dimension=512),
    )
    return Header(dataset="x", encoders=encoders, simulated=simulated)


@pytest.fixture(autouse=True)
def cache(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EZAV_CACHE", str(tmp_path))


def test_an_own_classifier_gives_words_clip_by_clip() -> None:
    reader = word_reader(header(OWN, "3"), Colours(), import_code=True)
    assert reader is not None
    clips = [(torch.tensor([[9.0, 0.0], [0.0, 9.0]]), torch.tensor([0.5, 1.5])), None]
    features = Ragged.from_clips(clips)
    found = words_of(features, reader)
    sure = float(torch.tensor([9.0 / 1.5, 0.0]).softmax(0)[0])
    expected = torch.tensor([[sure, 1 - sure], [1 - sure, sure]])
    torch.testing.assert_close(found.values, expected)
    assert found.lengths.tolist() == [2, 0]
    assert found.times.tolist() == [0.5, 1.5]
    torch.testing.assert_close(found.means, torch.tensor([[0.5, 0.5], [0.0, 0.0]]))
    half = words_of(Ragged(features.values.half(), features.offsets, features.times), reader)
    torch.testing.assert_close(half.values, expected, atol=1e-3, rtol=0)


def test_code_named_by_a_store_is_imported_only_when_asked() -> None:
    with pytest.raises(RefusedError):
        word_reader(header(OWN, "3"), Colours())


def test_another_revision_is_refused() -> None:
    with pytest.raises(EzavError, match="revision '2', here is '3'"):
        word_reader(header(OWN, "2"), Colours(), import_code=True)


@pytest.mark.parametrize("name", ["statistics", "clip", "c3d", "a published file"])
def test_encoders_without_labels_have_no_words(name: str) -> None:
    assert word_reader(header(name), Colours()) is None


@pytest.mark.parametrize(("kind", "name"), [("visual", "efficientnet"), ("audio", "aisfx")])
def test_the_default_networks_have_words(kind: Literal["audio", "visual"], name: str) -> None:
    card = registry.card(kind, name)
    info = EncoderInfo(
        modality=kind, name=name, dimension=2, revision=card.revision, identity=card.identity
    )
    found = word_reader(Header(dataset="x", encoders=(info,)), Colours(), kind)
    assert found is not None
    assert found.encoder.card.name == name


def test_simulated_features_have_no_words() -> None:
    assert word_reader(header("efficientnet", simulated=True), Colours()) is None


def test_the_default_pictures_have_words_without_being_extracted_again() -> None:
    visual, text = card("visual", "efficientnet"), load_text("minilm")
    info = EncoderInfo(
        modality="visual",
        name=visual.name,
        revision=visual.revision,
        identity=visual.identity,
        dimension=1280,
    )
    reader = word_reader(Header(dataset="x", encoders=(info,)), text)
    assert reader is not None
    tokens = torch.randn(5, 1280, generator=torch.Generator().manual_seed(0)).abs()
    found = words_of(Ragged.pooled(tokens), reader)
    net = reader.encoder._net._fc  # type: ignore[attr-defined]
    scores = (tokens.double() @ net.weight.double().T + net.bias.double()).numpy()
    vectors = torch.tensor(label_vectors(text, reader.encoder.labels)).double()
    expected = words(torch.tensor(scores), vectors)
    np.testing.assert_allclose(found.values, expected, atol=1e-5)
    np.testing.assert_allclose(reader.mean, reader.vectors.mean(axis=0))
