from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.media.files import write_clip

CLASSES = ("dog", "cat", "bell", "rain", "sea waves")


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five classes of six clips with sound, 0.4 s each."""
    root = tmp_path_factory.mktemp("videos")
    for number, name in enumerate(CLASSES):
        (root / name).mkdir()
        for take in range(6):
            write_clip(
                root / name / f"{take}.mp4",
                frames=4,
                size=(32 + 4 * take, 24 + 2 * number),
                tone=200.0 + 100 * number,
                rate=8_000,
            )
    return root


@pytest.fixture
def own_videos(videos: Path, tmp_path: Path) -> Path:
    """A copy to be changed."""
    return Path(shutil.copytree(videos, tmp_path / "videos"))
