"""Encoders by name and by import path, and what every card must say."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from ezav.encoders.base import (
    AudioEncoder,
    Encoded,
    EncoderCard,
    MediaNeeds,
    TextEncoder,
    VisualEncoder,
)
from ezav.encoders.defaults import DEFAULTS
from ezav.encoders.options import _annotated
from ezav.encoders.registry import (
    KINDS,
    _entry,
    accepted,
    card,
    cards,
    load_audio,
    load_text,
    load_visual,
    names,
)
from ezav.errors import EzavError
from ezav.media.clip import Frames, FrameSpec, Waveform


class Brightness:
    """A user's own visual encoder: an option, a card and `encode`."""

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale
        self.card = EncoderCard(
            name="brightness",
            kind="visual",
            dimension=1,
            needs=MediaNeeds(fps=2),
            source="tests",
            revision="1",
            licence="MIT",
        )

    def encode(self, clips: Sequence[Frames]) -> list[Encoded]:
        return [
            Encoded(
                (clip.images.mean(axis=(1, 2, 3)) * self.scale).astype(np.float32)[:, None],
                clip.times.astype(np.float32),
            )
            for clip in clips
        ]


class NoCard:
    def encode(self, clips: Sequence[Frames]) -> list[Encoded]:
        return []


def test_an_own_encoder_by_import_path() -> None:
    encoder = load_visual(f"{__name__}:Brightness", scale=2.0)
    assert isinstance(encoder, VisualEncoder)
    clip = Frames(np.full((2, 4, 4, 3), 7, np.uint8), np.array([0.25, 0.75]))
    values, times = encoder.encode([clip])[0]
    assert values.tolist() == [[14.0], [14.0]]
    assert times.tolist() == [0.25, 0.75]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (f"{__name__}:NoCard", "is no visual encoder"),
        (f"{__name__}:Absent", "cannot import"),
        ("no.such.module:Class", "cannot import"),
        (":", "cannot import"),
    ],
)
def test_a_wrong_import_path_says_why(path: str, message: str) -> None:
    with pytest.raises(EzavError, match=message):
        load_visual(path)


def test_an_encoder_of_another_kind_is_refused() -> None:
    with pytest.raises(EzavError, match="is no audio encoder"):
        load_audio(f"{__name__}:Brightness")


def test_unknown_names_and_options() -> None:
    with pytest.raises(EzavError, match="did you mean 'statistics'"):
        load_visual("statistic")
    with pytest.raises(EzavError, match="no text encoder named 'statistics'"):
        load_text("statistics")
    with pytest.raises(EzavError, match="has no option 'hue'; its options are"):
        load_text("minilm", hue=1)
    with pytest.raises(EzavError, match="has no option 'hue'; it has no options"):
        load_audio("statistics", hue=1)
    for option in ("source", "revision"):
        with pytest.raises(EzavError, match=f"'minilm' has no option '{option}'; give `folder`"):
            load_text("minilm", **{option: "x"})


class Annotated:
    """Options of types that must be right, may be anything, or are not known here."""

    card = EncoderCard(
        name="annotated", kind="text", dimension=1, source="tests", revision="1", licence="MIT"
    )

    def __init__(
        self,
        size: int = 1,
        scale: float | None = None,
        words: str | Sequence[str] = (),
        pair: tuple[int, int] = (1, 2),
        own: Brightness | None = None,
        place: torch.device | None = None,
        free=None,  # type: ignore[no-untyped-def]
    ) -> None:
        self.options = (size, scale, words, pair, own, place, free)

    def encode(self, names: Sequence[str]) -> list[float]:
        return [0.0 for _ in names]


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": 2.5},
        {"size": "2"},
        {"size": True},
        {"scale": "abc"},
        {"scale": [1]},
        {"words": 3},
        {"words": [1, 2]},
        {"pair": [1, 2, 3]},
        {"own": 1},
    ],
)
def test_an_option_of_another_type_is_told_in_one_line(wrong: dict[str, Any]) -> None:
    (option,) = wrong
    with pytest.raises(EzavError, match=rf"Annotated' cannot take {option}=.*: .* should"):
        load_text(f"{__name__}:Annotated", **wrong)


@pytest.mark.parametrize(
    "right",
    [
        {"size": 2, "scale": 1, "words": "a"},
        {"scale": None, "words": ["a", "b"], "pair": [3, 4]},
        {"words": ("a",), "own": Brightness(), "free": object()},
        {"size": np.int64(2), "words": torch.device("cpu"), "place": torch.device("cpu")},
    ],
)
def test_options_of_the_right_type_come_as_they_were_given(right: dict[str, Any]) -> None:
    path = f"{__name__}:Annotated"
    assert set(right) <= set(accepted("text", path, import_code=True))
    encoder = load_text(path, **right)
    found = dict(zip(accepted("text", path, import_code=True), encoder.options))  # type: ignore[attr-defined]
    assert {option: found[option] for option in right} == right


@pytest.mark.parametrize("found", cards(), ids=lambda c: f"{c.kind}-{c.name}")
def test_every_option_of_a_built_in_encoder_has_a_type(found: EncoderCard) -> None:
    types = _annotated(_entry(found.kind, found.name).factory)
    assert Any not in types.values()
    assert ("device" in types) == (found.name not in {"statistics", "word2vec"})


def test_the_defaults_need_no_download() -> None:
    assert [names(kind)[0] for kind in KINDS] == ["efficientnet", "aisfx", "minilm"]
    assert [DEFAULTS[kind] for kind in KINDS] == ["efficientnet", "aisfx", "minilm"]
    assert isinstance(load_visual(), VisualEncoder)
    assert isinstance(load_audio(), AudioEncoder)
    assert isinstance(load_text(), TextEncoder)


@pytest.mark.parametrize("found", cards(), ids=lambda c: f"{c.kind}-{c.name}")
def test_every_card_is_complete(found: EncoderCard) -> None:
    assert found is card(found.kind, found.name)
    assert found.licence
    assert found.source
    assert found.dimension > 0
    assert found.revision
    if found.name != "statistics":
        assert found.trained_on
    assert (found.revision == "unpinned") == (found.name in {"c3d", "vggish", "word2vec"})
    if found.revision != "unpinned" and "/" in found.source and " " not in found.source:
        assert len(found.revision) == 40  # a commit, in full
        assert set(found.revision) <= set("0123456789abcdef")
    needs = found.needs
    assert (needs.frame_spec is not None) == (found.kind == "visual")
    assert (needs.sample_rate is not None) == (found.kind == "audio")
    assert bool(found.templates) == (found.kind == "text")


def test_spaces_are_shared_between_kinds() -> None:
    assert card("visual", "clip").space == card("text", "clip").space
    assert card("audio", "clap").space == card("text", "clap").space
    assert card("visual", "clip").space != card("audio", "clap").space


def test_the_table_is_light() -> None:
    code = (
        "import sys; from ezav.encoders.registry import cards; cards();"
        "assert not {'torch', 'transformers', 'gensim'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_media_needs() -> None:
    assert MediaNeeds(frames=8, short_side=224).frame_spec == FrameSpec.uniform(8, 224)
    for wrong in ({"fps": 1, "frames": 1}, {"short_side": 5}, {"sample_rate": 0}, {"fps": 0}):
        with pytest.raises(EzavError):
            MediaNeeds(**wrong)


def test_a_waveform_at_another_rate_is_refused() -> None:
    with pytest.raises(EzavError, match="8000 Hz"):
        load_audio("statistics").encode([Waveform(np.zeros(100, np.float32), 8000)])
