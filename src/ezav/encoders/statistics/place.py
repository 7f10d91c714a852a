"""Where the object is in each frame: a centre, a size, and a map made crisp by its own colour."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from ezav.encoders.statistics.foreground import box3

_REACH = 0.3  # side of the window that finds the object, in short sides
_SMALLEST = 0.02  # radius in short sides: about a pixel
_OUTER = 2.6  # what lies further out, in units of the radius, is another object


@dataclass(frozen=True, slots=True)
class Place:
    """The object in each of F frames, in units of the frame's short side.

    Attributes:
        x, y: centre `[F]`, from the frame's middle, y downwards.
        size: root mean square radius `[F]`.
        u, v: every pixel in the object's own coordinates `[F, h, w]`: from its centre, in radii.
        map: how much a pixel belongs to it, [0, 1], `[F, h, w]`; 0 beyond its reach.
    """

    x: np.ndarray
    y: np.ndarray
    size: np.ndarray
    u: np.ndarray
    v: np.ndarray
    map: np.ndarray


def locate(maps: np.ndarray) -> Place:
    """The largest object of each frame from soft maps `[F, h, w]` in [0, 1].

    Of an empty map the place is a corner and the mass is zero.

    Example:
        >>> maps = np.zeros((1, 20, 40), np.float32)
        >>> maps[0, 8:12, 28:32] = 1.0  # right of the middle
        >>> place = locate(maps)
        >>> place.x.round(2).tolist(), abs(place.y.round(2)).tolist()
        ([0.5], [0.0])
    """
    _, height, width = maps.shape
    short = min(height, width)
    grid_x = ((np.arange(width, dtype=np.float32) + 0.5) - width / 2) / short
    grid_y = ((np.arange(height, dtype=np.float32) + 0.5) - height / 2) / short
    weight = maps * maps
    # Begin where a window of an object's size holds most: the largest object, not the mean of all.
    row, column = np.divmod(_window_sums(weight, round(_REACH * short)).argmax(axis=1), width)
    x, y = grid_x[column], grid_y[row]
    size = np.full(len(maps), _REACH / 2, dtype=np.float32)
    for _ in range(3):  # then a robust mean: what lies far from the centre counts less
        reach = 2 * (1.5 * size) ** 2
        near_x = np.exp(-((grid_x - x[:, None]) ** 2) / reach[:, None])
        near_y = np.exp(-((grid_y - y[:, None]) ** 2) / reach[:, None])
        columns = np.matmul(near_y[:, None, :], weight)[:, 0] * near_x
        rows = np.matmul(weight, near_x[:, :, None])[:, :, 0] * near_y
        total = columns.sum(axis=1) + np.float32(1e-6)
        x = (columns @ grid_x) / total
        y = (rows @ grid_y) / total
        square = (columns @ grid_x**2 + rows @ grid_y**2) / total - x**2 - y**2
        size = np.sqrt(np.maximum(square, np.float32(_SMALLEST**2)))
    u = np.broadcast_to(((grid_x - x[:, None]) / size[:, None])[:, None, :], maps.shape)
    v = np.broadcast_to(((grid_y - y[:, None]) / size[:, None])[:, :, None], maps.shape)
    return Place(x, y, size, u, v, maps * (u * u + v * v < _OUTER**2))


def by_colour(images: np.ndarray, place: Place) -> Place:
    """The object again, from its own colour against its surroundings.

    The map of :func:`ezav.encoders.statistics.foreground` is soft and ragged. A pixel's colour is
    projected on the line from the mean colour around the object (of the frame) to the mean colour
    of its core (of the segment: an object keeps its colour); near the core's end it is object.

    Args:
        images: float32 `[F, h, w, 3]` in [0, 1].
    """
    radius = place.u * place.u + place.v * place.v
    core = place.map * (radius < 1.0)
    around = (1 - place.map) * ((radius > 2.2**2) & (radius < 4.0**2))
    inner = np.median(_mean_colour(images, core), axis=0)
    outer = _mean_colour(images, around)
    axis = inner - outer
    length = (axis * axis).sum(axis=1) + np.float32(0.003)  # alike: no axis, an empty map
    offset = (outer * axis).sum(axis=1)
    count, height, width, _ = images.shape
    along = np.matmul(images.reshape(count, -1, 3), axis[:, :, None]).reshape(count, height, width)
    share = (along - offset[:, None, None]) / length[:, None, None]
    share = np.clip((share - np.float32(0.3)) / np.float32(0.4), 0.0, 1.0)
    return locate(box3(share) * (radius < 3.0**2))


def _mean_colour(images: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Weighted mean colours `[F, 3]`."""
    flat = weight.reshape(len(weight), 1, -1)
    total = np.matmul(flat, images.reshape(len(images), -1, 3))[:, 0]
    mean: np.ndarray = total / (flat.sum(axis=2) + np.float32(1e-3))
    return mean


def _window_sums(maps: np.ndarray, side: int) -> np.ndarray:
    """Sums of `[F, h, w]` over square windows about every pixel, flattened to `[F, h·w]`."""
    count, height, width = maps.shape
    sums = np.matmul(_band(height, side), np.matmul(maps, _band(width, side)))
    flat: np.ndarray = sums.reshape(count, height * width)
    return flat


@cache
def _band(length: int, side: int) -> np.ndarray:
    """`[length, length]`: 1 where two places are within half of `side` of each other."""
    place = np.arange(length)
    near: np.ndarray = (np.abs(place[:, None] - place[None, :]) <= side // 2).astype(np.float32)
    return near
