"""The object's outline and inner edges, wherever it is and however large.

The soft object map of a frame gives a centre and a size; moments about them tell a triangle from
a square from a star whatever its place, size and turn, and gradients are counted in the object's
own coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ezav.encoders.statistics.place import Place

HARMONICS = (1, 2, 3, 4, 5, 6, 7, 8)
RINGS = 6
ORIENTATIONS = 8
CELLS = 3
GRID = 4


@dataclass(frozen=True, slots=True)
class Outline:
    """The object's form in each of F frames.

    Attributes:
        harmonics: complex `[F, len(HARMONICS)]`; see :func:`outline`.
        rings: `[F, RINGS]`, share of the mass by distance from the centre.
        mass: share of the frame that is object `[F]`.
    """

    harmonics: np.ndarray
    rings: np.ndarray
    mass: np.ndarray


def outline(place: Place) -> Outline:
    """Moments of the object about its centre.

    The harmonics are `h_k = Σ w r² e^{ikθ} / Σ w r²`: |h_k| does not change when the object is
    moved, scaled or turned, and a turn by φ multiplies h_k by e^{ikφ}. A regular n-gon has h_n.
    """
    count = len(place.map)
    square = place.u * place.u + place.v * place.v
    radius = np.sqrt(square)
    turn = (place.u + np.complex64(1j) * place.v) / np.maximum(radius, np.float32(1e-3))
    lever = (place.map * square).astype(np.complex64)
    scale = lever.real.sum(axis=(1, 2)) + np.float32(1e-6)
    found = []
    for _ in HARMONICS:
        lever = lever * turn
        found.append(lever.sum(axis=(1, 2)) / scale)
    ring = np.minimum((radius / np.float32(0.4)).astype(np.int64), RINGS - 1)
    ring += np.arange(count)[:, None, None] * RINGS
    rings = np.bincount(ring.ravel(), place.map.ravel(), count * RINGS).reshape(count, RINGS)
    total = place.map.sum(axis=(1, 2))
    rings = rings / (total[:, None] + 1e-6)
    return Outline(np.stack(found, axis=1), rings, place.map.mean(axis=(1, 2)))


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
    found: Gradients, place: Place, token: np.ndarray, tokens: int
) -> np.ndarray:
    """Histograms `[tokens, CELLS² · ORIENTATIONS]` in the object's own coordinates."""
    half = 1.8
    column = np.clip((place.u + half) * (CELLS / (2 * half)), 0, CELLS - 1).astype(np.int64)
    row = np.clip((place.v + half) * (CELLS / (2 * half)), 0, CELLS - 1).astype(np.int64)
    inside = (np.abs(place.u) < half + 0.4) & (np.abs(place.v) < half + 0.4)
    return _count(found, row * CELLS + column, found.magnitude * inside, token, tokens, CELLS**2)


def _count(
    found: Gradients,
    cell: np.ndarray,
    weight: np.ndarray,
    token: np.ndarray,
    tokens: int,
    cells: int,
) -> np.ndarray:
    flat = np.flatnonzero(weight)  # few pixels have an edge, fewer are the object's
    first = (np.broadcast_to(token[:, None, None], cell.shape).take(flat) * cells).astype(np.int64)
    first = (first + cell.take(flat)) * ORIENTATIONS
    lower, share, mass = found.bin.take(flat), found.share.take(flat), weight.take(flat)
    above = np.where(lower == ORIENTATIONS - 1, 0, lower + 1)
    size = tokens * cells * ORIENTATIONS
    counts = np.bincount(first + lower, mass * (1 - share), size)
    counts += np.bincount(first + above, mass * share, size)
    return counts.reshape(tokens, cells * ORIENTATIONS)
