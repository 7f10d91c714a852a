"""A look at videos: read once, kept beside them; silence, a tone and no sound are three things."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from ezav.cli.main import main
from tests.media.files import write_clip


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes, and a single clip of a fourth that is also another's."""
    folder = tmp_path_factory.mktemp("videos") / "clips"
    for name in ("hum", "rain", "wind", "one"):
        (folder / name).mkdir(parents=True)
    write_clip(folder / "hum" / "tone.mp4", frames=60)
    write_clip(folder / "hum" / "silent.mp4", tone=0.0)
    write_clip(folder / "hum" / "none.mp4", tone=None)
    black = np.zeros((48, 64, 3), np.uint8)
    write_clip(folder / "rain" / "black.mp4", tone=900.0, picture=lambda n: black)
    write_clip(folder / "rain" / "short.mp4", frames=3)
    (folder / "rain" / "broken.mp4").write_bytes(b"no video at all")
    write_clip(folder / "rain" / "whole.mp4", tone=300.0)
    for number in range(2):
        write_clip(folder / "wind" / f"{number}.mp4", tone=500.0 + number, frames=12 + number)
    shutil.copy(folder / "hum" / "tone.mp4", folder / "one" / "alone.mp4")
    return folder


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[dict[tuple[str, str], str], str]:
    assert main(["check", *words, "--json"]) == 0
    out, err = capsys.readouterr()
    data = json.loads(out)
    return {(one["kind"], one["clip"]): one["said"] for one in data["findings"]}, err + str(data)


def test_a_folder_is_read_once_and_what_is_odd_is_told(
    videos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found, whole = said(capsys, str(videos), "--workers", "1")
    assert {clip for kind, clip in found if kind == "silent"} == {"hum/silent.mp4"}
    assert {clip for kind, clip in found if kind == "missing"} == {"hum/none.mp4"}
    assert {clip for kind, clip in found if kind == "black"} == {"rain/black.mp4"}
    assert {clip for kind, clip in found if kind == "short"} == {"rain/short.mp4"}
    assert {clip for kind, clip in found if kind == "unread"} == {"rain/broken.mp4"}
    assert "tone or a hum" in found.get(("still", "hum/tone.mp4"), "a tone or a hum")
    assert ("copy", "hum/tone.mp4") in found
    assert f"features are kept in '{videos / '.ezav-store'}'" in whole
    index = (videos / ".ezav-store" / "index.parquet").stat().st_mtime_ns
    assert said(capsys, str(videos))[0] == found
    assert (videos / ".ezav-store" / "index.parquet").stat().st_mtime_ns >= index
    assert said(capsys, str(videos / ".ezav-store"))[0] == found


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["NOWHERE"], "there are no videos and no feature store"),
        (["EMPTY"], "has no class folders"),
        (["EMPTY", "--videos", "EMPTY"], "--videos is for a store"),
        (["VIDEOS", "--workers", "0"], "at least 1"),
        (["VIDEOS", "--store", "TAKEN"], "is no feature store"),
    ],
)
def test_what_cannot_be_read_is_one_line_and_leaves_nothing(
    videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], line: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine.txt").touch()
    places = {"NOWHERE": "nowhere", "EMPTY": "empty", "TAKEN": "taken"}
    given = {key: str(tmp_path / name) for key, name in places.items()} | {"VIDEOS": str(videos)}
    assert main(["check", *(given.get(word, word) for word in words)]) == 1
    err = capsys.readouterr().err
    assert line in err
    assert len(err.strip().splitlines()) == 1
    assert [path.name for path in (tmp_path / "taken").iterdir()] == ["mine.txt"]
    assert not list((tmp_path / "empty").iterdir())
