"""Which pixels belong to the object: those that differ from the border, and those that move.

Both are guesses, each right where the other fails: an object that stands still does not move,
and a busy background is like no border. So both are described.
"""

from __future__ import annotations

from functools import cache

import numpy as np

_BACKGROUND_FRAMES = 9  # for the median over time


def off_border(images: np.ndarray) -> np.ndarray:
    """Soft map `[F, h, w]` in [0, 1] of pixels unlike the frame's border.

    A quadratic surface is fitted to the border's colours, channel by channel and frame by frame;
    the map is what stands out of it by more than the border itself does.

    Args:
        images: float32 `[F, h, w, 3]` in [0, 1].

    Example:
        >>> images = np.zeros((1, 16, 16, 3), np.float32)
        >>> images[0, 6:10, 6:10] = 1.0
        >>> print(off_border(images)[0].sum())
        16.0
    """
    count, height, width, _ = images.shape
    basis, border, solve = _border_model(height, width)
    flat = images.reshape(count, height * width, 3)
    ring = flat[:, border]
    weights = np.einsum("kp,fpc->fkc", solve, ring)
    error = largest(np.abs(ring - basis[border] @ weights))
    distance = largest(np.abs(flat - basis @ weights)).reshape(count, height, width)
    noise = np.quantile(error, 0.8, axis=1)[:, None, None]
    return _soft(distance, 1.5 * noise + 0.03)


def moving(images: np.ndarray) -> np.ndarray:
    """Soft map `[F, h, w]` in [0, 1] of pixels unlike the median over time; zeros for one frame.

    Example:
        >>> images = np.zeros((3, 8, 8, 3), np.float32)
        >>> images[1, 2:4, 2:4] = 1.0  # a flash in one frame of three
        >>> moving(images).sum(axis=(1, 2)).tolist()
        [0.0, 4.0, 0.0]
    """
    count = len(images)
    if count < 2:
        return np.zeros(images.shape[:3], dtype=np.float32)
    few = min(count, _BACKGROUND_FRAMES)
    chosen = np.linspace(0, count - 1, few).round().astype(int)
    background = np.sort(images[chosen], axis=0)[len(chosen) // 2]
    distance = largest(np.abs(images - background))
    noise = float(np.median(distance[:, ::2, ::2]))
    return _soft(distance, np.float32(3.0 * noise + 0.03))


def _soft(distance: np.ndarray, threshold: np.ndarray | np.float32) -> np.ndarray:
    """0 below the threshold, 1 where the distance is largest in the clip; smoothed over 3×3."""
    top = np.maximum(np.quantile(distance[:, ::2, ::2], 0.995), threshold + 0.08)
    level = np.clip((distance - threshold) / (0.6 * (top - threshold)), 0.0, 1.0)
    return box3(level)


def largest(channels: np.ndarray) -> np.ndarray:
    """The largest of three channels `[…, 3]`; far faster than `max` over so short an axis.

    Example:
        >>> largest(np.array([[0.1, 0.7, 0.2], [0.5, 0.1, 0.1]])).tolist()
        [0.7, 0.5]
    """
    largest: np.ndarray = np.maximum(
        np.maximum(channels[..., 0], channels[..., 1]), channels[..., 2]
    )
    return largest


def box3(maps: np.ndarray) -> np.ndarray:
    """Mean over 3×3 neighbours of `[F, h, w]`, edges repeated.

    Example:
        >>> one = np.zeros((1, 3, 3), np.float32)
        >>> one[0, 1, 1] = 9.0
        >>> box3(one)[0].tolist()
        [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    """
    padded = np.pad(maps, ((0, 0), (1, 1), (1, 1)), mode="edge")
    rows = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    mean: np.ndarray = (rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]) / np.float32(9.0)
    return mean


@cache
def _border_model(height: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Quadratic basis `[h·w, 6]`, indices of the border, and the border's least-squares solver."""
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    terms = [np.ones_like(x), x, y, x * x, x * y, y * y]
    basis = np.stack([term.ravel() for term in terms], axis=1)
    thick = max(1, round(0.09 * min(height, width)))
    row, column = np.divmod(np.arange(height * width), width)
    edge = np.minimum(np.minimum(row, height - 1 - row), np.minimum(column, width - 1 - column))
    border = np.flatnonzero(edge < thick)
    solve = np.linalg.pinv(basis[border])
    return basis.astype(np.float32), border, solve.astype(np.float32)
