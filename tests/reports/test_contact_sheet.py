"""The page of tiles as a parser sees it: what was said, what is so, and nothing that acts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ezav.media import Clip, Frames, FrameSpec, Waveform
from ezav.recognizer import Candidate, Prediction
from ezav.reports.contact_sheet import (
    Answer,
    Group,
    Tile,
    contact_sheet,
    tile_of,
    write_contact_sheet,
)
from tests.reports.page_reader import Page

DOG, CAT = Answer(name="dog", kind="seen", share=0.75), Answer(name="cat", kind="unseen")


@pytest.mark.parametrize(
    ("tile", "right", "words"),
    [
        (Tile(clip="1.mp4", answers=(DOG,), truth=Answer(name="Dog")), True, "✓ right"),
        (Tile(clip="1.mp4", answers=(DOG,), truth=CAT), False, "✗ wrong"),
        (Tile(clip="1.mp4", answers=(DOG,)), None, ""),
        (Tile(clip="1.mp4", truth=DOG, remarks=("not read: it is empty",)), None, "not read"),
    ],
)
def test_right_and_wrong_stand_as_words(tile: Tile, right: bool | None, words: str) -> None:
    assert tile.right is right
    page = Page(contact_sheet([Group(tiles=[tile], title="Clips")], title="Answers"))
    assert words in page.text
    assert ("wrong" in page.text, "right" in page.text) == (right is False, right is True)
    assert "1.mp4" in page.text
    if right is False:
        assert "it is  cat" in page.text


def test_names_are_text_and_nothing_is_fetched(tmp_path: Path) -> None:
    nasty = '<img src="http://a.b/c" onerror="alert(1)">'
    tile = Tile(clip=nasty, answers=(Answer(name=nasty, kind=nasty),) * 2, remarks=(nasty,))
    groups = [Group(tiles=[tile, tile_of(Prediction(clip=nasty, error=nasty))], title=nasty)]
    out = write_contact_sheet(tmp_path / "a.html", groups, title=nasty, lead=nasty)
    page = Page(out.read_text(encoding="utf-8"))
    assert "img" not in page.tags
    assert "script" not in page.tags
    assert page.references == []


def test_a_tile_shows_the_clip_it_is_of() -> None:
    spec = FrameSpec.uniform(4)
    clip = Clip(
        "a.mp4",
        video={spec: Frames(np.zeros((4, 9, 16, 3), np.uint8), np.arange(4.0))},
        audio={16_000: Waveform(np.zeros(32_000, np.float32), 16_000)},
        duration=2.0,
    )
    ranked = tuple(
        Candidate(name=name, kind="new", score=1.0, probability=share)
        for name, share in (("dog", 0.5), ("cat", 0.3), ("cow", 0.1), ("hen", 0.1))
    )
    found = Prediction(clip="a.mp4", ranked=ranked, missing={"audio": "no audio stream"})
    tile = tile_of(found, clip)
    assert [one.name for one in tile.answers] == ["dog", "cat", "cow"]
    assert tile.remarks == ("no sound (no audio stream): answered from the picture alone",)
    assert [image.alt for image in tile.images] == ["4 frames", "spectrogram of 2.0 s of sound"]
    assert "50%" in contact_sheet([Group(tiles=[tile])], title="Answers")
    silent = tile_of(found, percent=False)
    assert "%</span>" not in contact_sheet([Group(tiles=[silent])], title="Answers")
