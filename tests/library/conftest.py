"""The videos and the run of the recogniser's tests, and a library of longer recordings."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recognizer.conftest import lights, sure
from tests.recognizer.small_run import write_video

__all__ = ["lights", "sure"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three recordings with several lights, two folders deep, and a file that is none."""
    inside = tmp_path / "recordings"
    write_video(inside / "a.mp4", ["blue light", "blue light", "red light", "blue light"])
    write_video(inside / "deep" / "b.mp4", ["white light", "green light"])
    write_video(inside / "deep" / "quiet.mp4", ["red light", "white light"], sound=False)
    (inside / "broken.mp4").write_bytes(b"no film")
    (inside / "notes.txt").write_text("not asked for")
    return inside
