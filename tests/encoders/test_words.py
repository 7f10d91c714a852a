"""Words of the labels an encoder knows, and encoders that know labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ezav.encoders.base import EncoderCard, Labelled
from ezav.encoders.labelled import knows_labels
from ezav.encoders.overlap import known_labels
from ezav.encoders.registry import card, load_audio, load_text, load_visual
from ezav.encoders.words import WordReader, _label_vectors, label_vectors, similarity, words
from ezav.errors import EzavError
from ezav.media.clip import Frames, Waveform
from tests.encoders import checkpoints
from tests.shared_data import shared


@given(st.integers(0, 10**6), st.floats(0.3, 5))
@settings(max_examples=50, deadline=None)
def test_words_are_expected_vectors(seed: int, temperature: float) -> None:
    draw = np.random.default_rng(seed)
    scores, vectors = draw.normal(size=(4, 9)) * 4, draw.normal(size=(9, 5))
    found = words(torch.tensor(scores), torch.tensor(vectors), temperature)
    for row, expected in zip(found, scores):
        shares = np.exp(expected / temperature)
        by_hand = sum(share * vector for share, vector in zip(shares / shares.sum(), vectors))
        np.testing.assert_allclose(row, by_hand, atol=1e-9)


def test_words_do_not_depend_on_the_scale_of_probabilities() -> None:
    scores = torch.tensor([[3.0, 1.0, -2.0], [900.0, 899.0, -900.0]], dtype=torch.float64)
    eye = torch.eye(3, dtype=torch.float64)
    torch.testing.assert_close(words(scores, eye), words(scores - 400, eye), atol=1e-6, rtol=0)


def test_words_refuse() -> None:
    with pytest.raises(EzavError, match="gives no words"):
        words(torch.zeros(1, 3), torch.eye(3), 0.0)
    with pytest.raises(EzavError, match="do not fit 4 labels"):
        words(torch.zeros(1, 3), torch.eye(4))


class Own:
    """A classifier of one's own whose labels may not fit."""

    card = EncoderCard(
        name="own", kind="visual", dimension=3, source="here", revision="1", licence="MIT"
    )

    def __init__(self, labels: object, scores: object = 0.0) -> None:
        self.labels, self._scores = labels, scores

    def label_scores(self, tokens: np.ndarray) -> np.ndarray:
        return tokens + np.float32(self._scores)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (("dog", "", "rain"), "label 2 of the 3 of 'own' is empty"),
        (("dog", "rain", "Dog"), "has the label 'dog' twice"),
        (("dog", 3, "rain"), "no list of texts"),
        ("dog, cat, rain", "no list of texts"),
        ((), "without labels"),
    ],
)
def test_labels_that_cannot_be_read_are_one_line(labels: object, said: str, cache: Path) -> None:
    with pytest.raises(EzavError, match=said) as error:
        WordReader(Own(labels), Letters()).mean  # type: ignore[arg-type]  # noqa: B018
    assert "\n" not in str(error.value)


def test_labels_of_another_network_are_one_line(cache: Path) -> None:
    tokens = np.zeros((5, 3), np.float32)
    four = WordReader(Own(("dog", "cat", "rain", "sea")), Letters())  # type: ignore[arg-type]
    with pytest.raises(EzavError, match=r"4 labels, but scores of shape \(5, 3\) for 5 tokens"):
        four(tokens)
    wild = WordReader(Own(("dog", "cat", "rain"), np.nan), Letters())  # type: ignore[arg-type]
    with pytest.raises(EzavError, match="no numbers"):
        wild(tokens)


class Letters:
    """Each name is the direction of its length and first letter; counts what it reads."""

    def __init__(self, name: str = "letters") -> None:
        self.read: list[str] = []
        self.card = EncoderCard(
            name=name, kind="text", dimension=2, source="here", revision="1", licence="MIT"
        )

    def encode(self, names: Sequence[str]) -> torch.Tensor:
        self.read += names
        rows = torch.tensor([[float(len(n)), float(ord(n[0]))] for n in names])
        return torch.nn.functional.normalize(rows)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EZAV_CACHE", str(tmp_path / "cache"))
    _label_vectors.cache_clear()
    return tmp_path / "cache"


LABELS = ("tench, Tinca tinca", "dog", "dog, hound, tench")


def test_label_vectors_are_mean_directions_and_kept(cache: Path) -> None:
    text = Letters()
    found = label_vectors(text, LABELS)
    one = {name: Letters().encode([name])[0].numpy() for name in ("tench", "dog", "hound")}
    one["Tinca tinca"] = Letters().encode(["Tinca tinca"])[0].numpy()
    for row, label in zip(found, LABELS):
        mean = sum(one[name] for name in label.split(", "))
        np.testing.assert_allclose(row, mean / np.linalg.norm(mean), atol=1e-6)
    assert sorted(text.read) == ["Tinca tinca", "dog", "hound", "tench"]  # each once
    _label_vectors.cache_clear()
    again = Letters()
    np.testing.assert_array_equal(label_vectors(again, LABELS), found)
    assert again.read == []  # from the cache folder
    other = Letters("others")
    label_vectors(other, LABELS)
    label_vectors(again, LABELS[:1])
    assert other.read
    assert again.read  # neither another encoder nor another list is taken for it


def test_a_damaged_cache_is_made_again(cache: Path) -> None:
    found = label_vectors(Letters(), LABELS)
    (path,) = (cache / "encoders").glob("labels-*.npy")
    for damage in (b"", b"\x93NUMPY", path.read_bytes()[:-3]):
        path.write_bytes(damage)
        _label_vectors.cache_clear()
        np.testing.assert_array_equal(label_vectors(Letters(), LABELS), found)


def test_no_labels_no_words(cache: Path) -> None:
    with pytest.raises(EzavError, match="without labels"):
        label_vectors(Letters(), ())
    with pytest.raises(EzavError, match="without a name"):
        label_vectors(Letters(), ("dog", ", "))


def test_similarity_is_the_cosine_of_centred_vectors() -> None:
    draw = np.random.default_rng(0)
    found, names, mean = (draw.normal(size=shape) for shape in ((3, 4), (2, 4), 4))
    expected = torch.nn.functional.cosine_similarity(
        torch.tensor(found - mean)[:, None], torch.tensor(names - mean)[None], dim=2
    )
    np.testing.assert_allclose(similarity(found, names, mean), expected, atol=1e-9)


def test_imagenets_synonyms_begin_with_the_labels() -> None:
    plain, full = known_labels("ImageNet-1k"), known_labels("ImageNet-1k", synonyms=True)
    assert len(full) == len(plain) == 1000
    first = [label.split(", ")[0].casefold() for label in full]
    other = [(a, b) for a, b in zip(plain, first) if a.casefold() != b]
    assert other == [("crane bird", "crane"), ("maillot tank suit", "maillot")]


def test_scores_of_efficientnet_come_from_its_tokens() -> None:
    parity = np.load(shared("fixtures", "pretrained_parity.npz"))
    encoder = load_visual("efficientnet")
    assert knows_labels(encoder)
    (encoded,) = encoder.encode([Frames(parity["image"], np.arange(2.0))])
    scores = encoder.label_scores(encoded.values)
    np.testing.assert_allclose(scores, parity["picture_logits"], atol=1e-4)
    assert encoder.card.label_set == "ImageNet-1k"
    assert encoder.label_scores(encoded.values[:0]).shape == (0, 1000)
    with pytest.raises(EzavError, match=r"tokens of shape \(2, 5\) are not of 'efficientnet'"):
        encoder.label_scores(np.zeros((2, 5), np.float32))


def test_a_picture_of_a_dalmatian_is_near_the_words_for_it() -> None:
    parity = np.load(shared("fixtures", "pretrained_parity.npz"))
    labels = known_labels("ImageNet-1k", synonyms=True)
    text = load_text("minilm")
    vectors = label_vectors(text, labels)
    found = words(torch.tensor(parity["picture_logits"]), torch.tensor(vectors)).numpy()
    names = ["playing saxophone", "dog barking", "washing dishes", "riding a horse"]
    scores = similarity(found, text.encode(names).numpy(), vectors.mean(axis=0))
    assert scores.argmax(axis=1).tolist() == [0, 1]


@pytest.mark.parametrize("name", ["videomae", "ast"])
def test_classifiers_of_the_hub_know_their_labels(name: str, tmp_path: Path) -> None:
    import transformers

    folder = getattr(checkpoints, name)(tmp_path / "net")
    draw = np.random.default_rng(0)
    if name == "ast":
        encoder: object = load_audio("ast", source=folder)
        clip: object = Waveform(draw.normal(size=16_000).astype("f4") / 9, 16_000)
        model = transformers.ASTForAudioClassification.from_pretrained(folder).eval()
    else:
        encoder = load_visual("videomae", source=folder)
        images = draw.integers(0, 256, (4, 40, 40, 3), dtype=np.uint8)
        clip = Frames(images, np.arange(4.0))
        model = transformers.VideoMAEForVideoClassification.from_pretrained(folder).eval()
    assert isinstance(encoder, Labelled)
    assert not knows_labels(encoder)  # LABEL_0: the checkpoint does not name them
    assert encoder.card.label_set is None
    with pytest.raises(EzavError, match="knows no labels"):
        encoder.label_scores(np.zeros((1, encoder.card.dimension), np.float32))

    model.config.id2label = {i: f"label {i}" for i in range(model.config.num_labels)}
    model.save_pretrained(folder)
    load = load_audio if name == "ast" else load_visual
    encoder = load(name, source=folder)
    assert knows_labels(encoder)
    assert encoder.labels == tuple(model.config.id2label.values())
    assert encoder.card.label_set == f"labels of {folder}"
    inputs: list[torch.Tensor] = []
    body = model.audio_spectrogram_transformer if name == "ast" else model.videomae
    own = encoder._model if name == "ast" else encoder._backbone  # type: ignore[attr-defined]
    own.register_forward_hook(lambda _, __, given, ___: inputs.append(given), with_kwargs=True)
    (encoded,) = encoder.encode([clip])  # type: ignore[attr-defined]
    scores = encoder.label_scores(encoded.values)
    with torch.inference_mode():  # the whole classifier of transformers on the same input
        logits = model(**{k: v for k, v in inputs[0].items() if v is not None}).logits
    expected = torch.log(torch.sigmoid(logits)) if name == "ast" else logits
    assert body.config.num_labels == scores.shape[1]
    np.testing.assert_allclose(scores[: len(expected)], expected, atol=1e-5)


def test_cards_say_whose_labels_they_know() -> None:
    known = {("visual", name) for name in ("efficientnet", "videomae")}
    known |= {("audio", name) for name in ("ast", "aisfx")}
    for kind, name in known:
        found = card(kind, name).label_set  # type: ignore[arg-type]
        assert found is not None
        assert known_labels(found)
