"""torchcodec gives the same frames as PyAV, on odd and on real files; it is installed apart."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ezav.media import FrameSpec, read_clip
from tests.media.files import write_clip
from tests.shared_data import shared

pytestmark = pytest.mark.apart("torchcodec")

SPECS = (FrameSpec.uniform(8), FrameSpec.at_fps(3, short_side=64), FrameSpec.middle())


def luma(images: np.ndarray) -> np.ndarray:
    """`[T, H, W]`; the two decoders' chroma differs at sharp edges, which this hardly sees."""
    return images.astype(np.float64) @ np.array([0.299, 0.587, 0.114])


def compare(path: Path, **more: Any) -> int:
    """All of what both make of a file; the number of frames compared."""
    wanted = {"video": SPECS, "audio": 16_000, **more}
    ours, theirs = (read_clip(path, **wanted, decoder=name) for name in ("pyav", "torchcodec"))
    for name in ("status", "reason", "claimed", "truncated", "video_missing", "audio_missing"):
        assert getattr(ours, name) == getattr(theirs, name), (path, name)
    assert ours.duration == pytest.approx(theirs.duration, abs=1e-6)
    assert set(ours.video) == set(theirs.video)
    count = 0
    for spec, frames in ours.video.items():
        other = theirs.video[spec]
        assert frames.images.shape == other.images.shape, path
        np.testing.assert_allclose(frames.times, other.times, atol=1e-6)
        difference = np.abs(luma(frames.images) - luma(other.images)).mean(axis=(1, 2))
        assert difference.max() < 5, (path, spec, difference)
        # Nearer to its own counterpart than to any other that differs from it at all.
        for n, image in enumerate(luma(frames.images)):
            away = np.abs(luma(other.images) - image).mean(axis=(1, 2))
            assert away[n] <= away.min() + 1.0, (path, spec, n)
        count += len(frames)
    for rate, waveform in ours.audio.items():
        assert np.array_equal(waveform.samples, theirs.audio[rate].samples)
        assert waveform.start == theirs.audio[rate].start
    return count


def test_odd_files() -> None:
    files = [p for p in sorted(shared("data/odd_media").iterdir()) if p.suffix != ".md"]
    assert len(files) == 35
    assert sum(compare(path) for path in files) > 300


def test_real_files() -> None:
    files = sorted(shared("data/real/clips").rglob("*.mp4"))[::8]
    assert sum(compare(path) for path in files) > 300


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_turned_with_oblong_pixels_and_irregular_times(rotation: int, tmp_path: Path) -> None:
    path = write_clip(
        tmp_path / "clip.mp4",
        times=[0, 0.1, 0.7, 0.75, 1.6, 2.0, 2.05],
        rotation=rotation,
        pixel_aspect=Fraction(4, 3),
        picture=lambda n: np.random.default_rng(n // 2).integers(0, 256, (48, 64, 3), np.uint8),
        options={"g": "3"},
    )
    assert compare(path, video=[*SPECS, FrameSpec.every()]) > 0
    assert compare(path) > 0
