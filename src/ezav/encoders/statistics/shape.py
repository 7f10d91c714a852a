"""The object's outline and inner edges, wherever it is and however large.

The soft object map of a frame gives a centre and a size; moments about them tell a triangle from
a square from a star whatever its place, size and turn, and gradients are counted in the object's
own coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

HARMONICS = (1, 2, 3, 4, 5, 6, 7, 8)
RINGS = 6
ORIENTATIONS = 8
CELLS = 3
GRID = 4


@dataclass(frozen=True, slots=True)
class Blob:
    """The object in each of F frames, in units of the frame's short side.

    Attributes:
        x, y: centre `[F]`, from the frame's middle, y downwards.
        size: root mean square radius `[F]`.
        mass: share of the frame that is object `[F]`.
        harmonics: complex `[F, len(HARMONICS)]`; see :func:`blob`.
        rings: `[F, RINGS]`, mass by distance from the centre in units of `size`.
        u, v: every pixel in the object's coordinates `[F, h, w]`.
        near: the object map within reach of its centre `[F, h, w]`.
    """

    x: np.ndarray
    y: np.ndarray
    size: np.ndarray
    mass: np.ndarray
    harmonics: np.ndarray
    rings: np.ndarray
    u: np.ndarray
    v: np.ndarray
    near: np.ndarray


def blob(maps: np.ndarray) -> Blob:
    """The main object of each frame from soft maps `[F, h, w]`.

    The harmonics are `h_k = Σ w r² e^{ikθ} / Σ w r²` about the centre: |h_k| does not change when
    the object is moved, scaled or turned, and a turn by φ multiplies h_k by e^{ikφ}.
    """
    count, height, width = maps.shape
    short = min(height, width)
    grid_x = ((np.arange(width, dtype=np.float32) + 0.5) - width / 2) / short
    grid_y = ((np.arange(height, dtype=np.float32) + 0.5) - height / 2) / short
    weight = maps * maps
    x = y = np.zeros(count, dtype=np.float32)
    size = np.full(count, 0.5, dtype=np.float32)
    for step in range(4):  # a robust mean: what lies far from the centre counts less each time
        if step:
            reach = 2 * (2.0 * size) ** 2
            near_x = np.exp(-((grid_x - x[:, None]) ** 2) / reach[:, None])
            near_y = np.exp(-((grid_y - y[:, None]) ** 2) / reach[:, None])
            local = weight * near_y[:, :, None] * near_x[:, None, :]
        else:
            local = weight
        total = local.sum(axis=(1, 2)) + np.float32(1e-6)
        columns, rows = local.sum(axis=1), local.sum(axis=2)
        x = (columns @ grid_x) / total
        y = (rows @ grid_y) / total
        square = (columns @ grid_x**2 + rows @ grid_y**2) / total - x**2 - y**2
        size = np.sqrt(np.maximum(square, 0.02**2))
    u = np.broadcast_to(((grid_x - x[:, None]) / size[:, None])[:, None, :], maps.shape)
    v = np.broadcast_to(((grid_y - y[:, None]) / size[:, None])[:, :, None], maps.shape)
    square_radius = u * u + v * v
    near = maps * (square_radius < 2.6**2)
    radius = np.sqrt(square_radius)
    turn = (u + np.complex64(1j) * v) / np.maximum(radius, np.float32(1e-3))
    lever = (near * square_radius).astype(np.complex64)
    scale = lever.real.sum(axis=(1, 2)) + 1e-6
    found = []
    for _ in HARMONICS:
        lever = lever * turn
        found.append(lever.sum(axis=(1, 2)) / scale)
    ring = np.minimum((radius / 0.4).astype(np.int64), RINGS - 1)
    ring += np.arange(count)[:, None, None] * RINGS
    rings = np.bincount(ring.ravel(), near.ravel(), count * RINGS).reshape(count, RINGS)
    rings = rings / (near.sum(axis=(1, 2))[:, None] + 1e-6)
    mass = near.mean(axis=(1, 2))
    return Blob(x, y, size, mass, np.stack(found, axis=1), rings, u, v, near)


@dataclass(frozen=True, slots=True)
class Gradients:
    """Magnitude `[F, h, w]` and orientation in [0, ORIENTATIONS), as lower bin and share above."""

    magnitude: np.ndarray
    bin: np.ndarray
    share: np.ndarray


def gradients(grey: np.ndarray) -> Gradients:
    """Central differences of `[F, h, w]`; orientation is modulo π (an edge has no sign)."""
    dx, dy = np.zeros_like(grey), np.zeros_like(grey)
    dx[:, :, 1:-1] = grey[:, :, 2:] - grey[:, :, :-2]
    dy[:, 1:-1] = grey[:, 2:] - grey[:, :-2]
    magnitude = np.sqrt(dx * dx + dy * dy)
    place = np.arctan2(dy, dx) * np.float32(ORIENTATIONS / np.pi) % ORIENTATIONS
    lower = np.minimum(place.astype(np.int64), ORIENTATIONS - 1)
    # Weak gradients are noise and compression; soft threshold.
    strong = np.maximum(magnitude - 0.02, 0.0)
    return Gradients(strong, lower, place - lower)


def orientation_grid(found: Gradients, token: np.ndarray, tokens: int) -> np.ndarray:
    """Histograms `[tokens, GRID · GRID · ORIENTATIONS]` over a grid on the frame (HOG).

    `token` `[F]` says which token a frame belongs to.
    """
    _, height, width = found.magnitude.shape
    row = np.arange(height) * GRID // height
    column = np.arange(width) * GRID // width
    cell = np.broadcast_to(row[:, None] * GRID + column[None, :], found.magnitude.shape)
    return _count(found, cell, found.magnitude, token, tokens, GRID * GRID)


def object_orientations(
    found: Gradients, blobs: Blob, token: np.ndarray, tokens: int
) -> np.ndarray:
    """Histograms `[tokens, CELLS² · ORIENTATIONS]` in the object's own coordinates."""
    half = 1.8
    column = np.clip((blobs.u + half) * (CELLS / (2 * half)), 0, CELLS - 1).astype(np.int64)
    row = np.clip((blobs.v + half) * (CELLS / (2 * half)), 0, CELLS - 1).astype(np.int64)
    inside = (np.abs(blobs.u) < half + 0.4) & (np.abs(blobs.v) < half + 0.4)
    return _count(found, row * CELLS + column, found.magnitude * inside, token, tokens, CELLS**2)


def _count(
    found: Gradients,
    cell: np.ndarray,
    weight: np.ndarray,
    token: np.ndarray,
    tokens: int,
    cells: int,
) -> np.ndarray:
    first = (token[:, None, None] * cells + cell) * ORIENTATIONS
    size = tokens * cells * ORIENTATIONS
    above = (found.bin + 1) % ORIENTATIONS
    upper = weight * found.share
    counts = np.bincount((first + found.bin).ravel(), (weight - upper).ravel(), size)
    counts += np.bincount((first + above).ravel(), upper.ravel(), size)
    return counts.reshape(tokens, cells * ORIENTATIONS)
