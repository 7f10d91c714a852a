"""One example for a page that has none: a wall clock that ticks, drawn here and not fetched."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ezav.features.toy.generate import FPS, RATE, encode_mp4
from ezav.safe_io import atomic_path

CALLED = "a ticking wall clock"
NAMES = ("a wall clock", "a dog", "a trumpet", "a sailing boat")
"""What to choose from where a page begins without names."""
_SIDE, _SECONDS = 224, 2.0
_CENTRE, _RADIUS = _SIDE / 2, 84
_WALL, _FACE, _RIM, _INK, _RED = (
    (196, 186, 166),
    (250, 250, 246),
    (60, 44, 34),
    (20,) * 3,
    (190, 30, 30),
)
_TWICE = 2
"""Drawn at this size and shrunk: smooth edges."""


def write_example(path: Path) -> Path:
    """Draw the clip: two seconds of H.264 and AAC, about 20 KB.

    Example:
        >>> import tempfile
        >>> from ezav.media import read_clip
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = write_example(Path(folder, "clock.mp4"))
        ...     path.stat().st_size < 50_000, read_clip(path).status
        (True, 'ok')
    """
    frames = [_clock(number / FPS) for number in range(round(_SECONDS * FPS))]
    with atomic_path(path) as temporary:
        encode_mp4(temporary, np.stack(frames), _ticking())
    return path


def _clock(seconds: float) -> NDArray[np.uint8]:
    """The clock at some moment: its second hand moves with each tick."""
    from PIL import Image, ImageDraw, ImageFont

    side = _SIDE * _TWICE
    picture = Image.new("RGB", (side, side), _WALL)
    draw = ImageDraw.Draw(picture)

    def disc(radius: float, colour: tuple[int, ...]) -> None:
        low, high = ((_CENTRE + sign * radius) * _TWICE for sign in (-1, 1))
        draw.ellipse((low, low, high, high), fill=colour)

    def hand(turn: float, start: float, end: float, colour: tuple[int, ...], width: int) -> None:
        ends = [_at(turn, start), _at(turn, end)]
        draw.line(ends, fill=colour, width=width * _TWICE)

    disc(_RADIUS + 8, (150, 140, 122))
    disc(_RADIUS + 4, _RIM)
    disc(_RADIUS - 4, _FACE)
    for minute in range(60):
        long = minute % 5 == 0
        hand(minute / 60, _RADIUS - (13 if long else 9), _RADIUS - 6, _INK, 2 if long else 1)
    font = ImageFont.load_default(17 * _TWICE)
    for hour in range(1, 13):
        draw.text(_at(hour / 12, _RADIUS - 24), str(hour), fill=_INK, font=font, anchor="mm")
    hand((10 + 9 / 60) / 12, -10, 42, _INK, 5)
    hand(9 / 60, -12, 62, _INK, 4)
    hand((30 + int(seconds * 2)) / 60, -16, 68, _RED, 2)
    disc(5, _RED)
    return np.asarray(picture.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS))


def _at(turn: float, radius: float) -> tuple[float, float]:
    """The point so far from the centre, at a part of the whole turn from twelve o'clock on."""
    angle = 2 * math.pi * turn
    across, down = _CENTRE + radius * math.sin(angle), _CENTRE - radius * math.cos(angle)
    return across * _TWICE, down * _TWICE


def _ticking() -> NDArray[np.float32]:
    """Two ticks a second: short, dull bursts of noise, one higher than the next."""
    draw = np.random.default_rng(0)
    sound = 0.001 * draw.standard_normal(round(_SECONDS * RATE))
    time = np.arange(round(0.05 * RATE)) / RATE
    for number in range(round(_SECONDS * 2)):
        pitch = (2600, 2100)[number % 2]
        burst = np.sin(2 * np.pi * pitch * time) + 0.5 * draw.standard_normal(len(time))
        start = round((number / 2 + 0.02) * RATE)
        sound[start : start + len(time)] += 0.4 * burst * np.exp(-time / 0.006)
    return np.asarray(sound, np.float32)
