"""The toy world's pictures: one moving shape before a cluttered, drifting background."""

from __future__ import annotations

import colorsys
from functools import cache, reduce

import numpy as np
from numpy.random import Generator

from ezav.features.toy.design import COLOURS, MOTIONS, SHAPES, Parts

Array = np.ndarray

_HUE = {"red": 0.0, "yellow": 54.0, "green": 125.0, "blue": 215.0, "purple": 285.0}
"""Degrees; the widest jitter keeps neighbours 30 degrees apart."""
_HUE_JITTER = 14.0
_NORMALS = {
    "square": (0.0, 90.0, 180.0, 270.0),
    "diamond": (45.0, 135.0, 225.0, 315.0),
    "triangle": (90.0, 210.0, 330.0),
}
"""Degrees: the directions of a polygon's outward normals (y points down); a circle has none."""
_INRADIUS = {"square": 0.88, "diamond": 0.88, "triangle": 0.66, "circle": 1.0}
"""Distance of the sides from the centre, for about equal areas at equal size."""
_TILT = 15.0
"""Degrees of rotation either way: a tilted square stays nearer to a square than to a diamond."""


def draw_frames(
    parts: Parts, width: int, height: int, frames: int, fps: float, draw: Generator
) -> Array:
    """A clip's frames, uint8 `[T, H, W, 3]`.

    Class: shape, colour and motion of the largest object. Nuisance: size, tilt, proportions,
    place, speed, phase, hue, light, background and its drift, one or two smaller objects of any
    shape, colour and motion, camera noise.

    Example:
        >>> parts = Parts("red", "square", "bouncing", "a low hum")
        >>> draw_frames(parts, 64, 48, 10, 25.0, np.random.default_rng(0)).shape
        (10, 48, 64, 3)
    """
    seconds = np.arange(frames, dtype=np.float32) / fps
    size = min(width, height) * draw.uniform(0.12, 0.2)
    video = _background(width, height, frames, draw)
    for _ in range(draw.integers(1, 3)):
        # Another object with parts of its own, smaller than the one that counts.
        shape, colour, motion = (str(draw.choice(kinds)) for kinds in (SHAPES, COLOURS, MOTIONS))
        other = size * draw.uniform(0.3, 0.6)
        _add_object(video, shape, colour, motion, other, seconds, draw)
    _add_object(video, parts.shape, parts.colour, parts.motion, size, seconds, draw)
    video *= draw.uniform(0.7, 1.1, 3).astype(np.float32)  # the light's colour
    video += _camera_noise(frames, height, width, draw) * np.float32(draw.uniform(0.015, 0.05))
    np.clip(video, 0, 1, out=video)
    video *= 255
    return video.astype(np.uint8)


def _add_object(
    video: Array, shape: str, colour: str, motion: str, size: float, t: Array, draw: Generator
) -> None:
    """Paint one moving object over every frame of `video` `[T, H, W, 3]`."""
    _, height, width, _ = video.shape
    x, y, scale = _path(motion, t, width, height, size, draw)
    stretch = draw.uniform(0.8, 1.25)
    tilt = draw.uniform(-_TILT, _TILT)
    _paint(video, shape, _colour(colour, draw), x, y, size * scale, tilt, stretch)


def _path(
    motion: str, t: Array, width: int, height: int, size: float, draw: Generator
) -> tuple[Array, Array, Array]:
    """Centre x, y in pixels and relative size, each `[T]`, inside the frame as far as it goes."""
    phase = draw.uniform(0, 1)
    margin = size * 1.2
    room_x, room_y = width - 2 * margin, height - 2 * margin
    still = np.zeros_like(t)
    centre_x, centre_y = draw.uniform(0, 1, 2)
    scale = np.ones_like(t)
    if motion == "bouncing":
        reach = draw.uniform(0.6, 0.95) * room_y
        x = still + centre_x * room_x
        # A ball's parabola between two touches of the ground.
        fall = (draw.uniform(1.1, 2.0) * t + phase) % 1
        y = room_y - reach * 4 * fall * (1 - fall)
    elif motion == "sliding":
        reach = draw.uniform(0.6, 0.95) * room_x
        sweep = np.abs(((draw.uniform(0.45, 0.9) * t + phase) % 1) * 2 - 1)
        x = centre_x * (room_x - reach) + reach * sweep
        y = still + centre_y * room_y
    elif motion == "circling":
        radius = draw.uniform(0.3, 0.48) * min(room_x, room_y)
        angle = 2 * np.pi * (draw.uniform(0.5, 1.0) * t + phase) * draw.choice([-1, 1])
        x = radius + centre_x * (room_x - 2 * radius) + radius * np.cos(angle)
        y = radius + centre_y * (room_y - 2 * radius) + radius * np.sin(angle)
    else:
        x, y = still + centre_x * room_x, still + centre_y * room_y
        scale = 1 + draw.uniform(0.3, 0.45) * np.sin(2 * np.pi * (draw.uniform(1, 2.2) * t + phase))
    return (x + margin).astype(np.float32), (y + margin).astype(np.float32), scale.astype("f4")


def _colour(name: str, draw: Generator) -> Array:
    hue = _HUE[name] + draw.uniform(-_HUE_JITTER, _HUE_JITTER)
    rgb = colorsys.hsv_to_rgb((hue / 360) % 1, draw.uniform(0.5, 1), draw.uniform(0.5, 1))
    return np.array(rgb, dtype=np.float32)


def _background(width: int, height: int, frames: int, draw: Generator) -> Array:
    """A soft pattern of dull colours that drifts by some pixels, `[T, H, W, 3]` in 0–1."""
    drift = draw.uniform(-0.1, 0.1, 2) * (width, height)
    pad_x, pad_y = (int(np.ceil(abs(d))) for d in drift)
    grey = draw.uniform(0.15, 0.8)
    coarse = grey + draw.uniform(-0.25, 0.25, (4, 4, 1)) + draw.uniform(-0.13, 0.13, (4, 4, 3))
    rows, columns = _blend(4, height + pad_y), _blend(4, width + pad_x)
    wide = np.einsum("ya,abc,xb->yxc", rows, coarse, columns, optimize=True).astype(np.float32)
    video = np.empty((frames, height, width, 3), np.float32)
    for i in range(frames):
        progress = i / max(1, frames - 1)
        top = round(pad_y * (progress if drift[1] > 0 else 1 - progress))
        left = round(pad_x * (progress if drift[0] > 0 else 1 - progress))
        video[i] = wide[top : top + height, left : left + width]
    return video


def _blend(knots: int, pixels: int) -> Array:
    """Weights `[pixels, knots]` of linear interpolation between evenly spaced knots."""
    position = np.linspace(0, knots - 1, pixels)
    weights: Array = np.maximum(0, 1 - np.abs(position[:, None] - np.arange(knots)))
    return weights


def _paint(
    video: Array,
    shape: str,
    colour: Array,
    x: Array,
    y: Array,
    size: Array,
    tilt: float,
    stretch: float,
) -> None:
    """Lay an antialiased shape over every frame; x, y, size `[T]` in pixels, tilt in degrees.

    `stretch` is width over height, at equal area.
    """
    _, height, width, _ = video.shape
    reach = int(np.ceil(size.max() * 1.5)) + 1
    offset = np.arange(-reach, reach + 1)
    for frame, cx, cy, radius in zip(video, x, y, size):
        # Only the box around the shape is touched: most of the frame is not.
        px, py = round(float(cx)) + offset, round(float(cy)) + offset
        px, py = px[(px >= 0) & (px < width)], py[(py >= 0) & (py < height)]
        if not len(px) or not len(py):
            continue
        dx, dy = (px - cx)[None, :] / stretch**0.5, (py - cy)[:, None] * stretch**0.5
        if shape == "circle":
            inside = radius - np.sqrt(dx * dx + dy * dy)
        else:
            angles = np.deg2rad(np.array(_NORMALS[shape]) + tilt)
            sides = [np.cos(a) * dx + np.sin(a) * dy for a in angles]
            inside = radius * _INRADIUS[shape] - reduce(np.maximum, sides)
        cover = np.clip(inside + 0.5, 0, 1).astype(np.float32)[..., None]
        box = frame[py[0] : py[-1] + 1, px[0] : px[-1] + 1]
        box += cover * (colour - box)


def _camera_noise(frames: int, height: int, width: int, draw: Generator) -> Array:
    """Fresh-looking noise for every frame, cut at random out of one large sheet."""
    sheet = _noise_sheet()
    tops = draw.integers(0, sheet.shape[0] - height, frames)
    lefts = draw.integers(0, sheet.shape[1] - width, frames)
    cuts = [sheet[a : a + height, b : b + width] for a, b in zip(tops, lefts)]
    return np.stack(cuts)[..., None]


@cache
def _noise_sheet() -> Array:
    return np.random.default_rng(0).standard_normal((512, 512), dtype=np.float32)
