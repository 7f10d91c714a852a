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
ORIENTATIONS, CELLS = 8, 3  # in the object's own coordinates
GRID_ORIENTATIONS, GRID = 6, 6  # on the frame: what real pictures are told apart by


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
    """Strength `[F, h, w]` and orientation modulo π, in [0, 1], of every pixel."""

    magnitude: np.ndarray
    orientation: np.ndarray


def gradients(grey: np.ndarray) -> Gradients:
    """Central differences of `[F, h, w]`; an edge has an orientation but no sign.

    Example:
        >>> edge = np.zeros((1, 3, 6), np.float32)
        >>> edge[:, :, 3:] = 1.0
        >>> found = gradients(edge)
        >>> print(found.magnitude[0, 1].round(2))
        [0.   0.   0.98 0.98 0.   0.  ]
    """
    dx, dy = np.zeros_like(grey), np.zeros_like(grey)
    dx[:, :, 1:-1] = grey[:, :, 2:] - grey[:, :, :-2]
    dy[:, 1:-1] = grey[:, 2:] - grey[:, :-2]
    magnitude = np.sqrt(dx * dx + dy * dy)
    orientation = np.arctan2(dy, dx) * np.float32(1 / np.pi) % 1
    # Weak gradients are noise and compression; soft threshold.
    return Gradients(np.maximum(magnitude - np.float32(0.02), 0.0), orientation)


def orientation_grid(found: Gradients, token: np.ndarray, tokens: int) -> np.ndarray:
    """Histograms `[tokens, GRID² · GRID_ORIENTATIONS]` over a grid on the frame (HOG).

    `token` `[F]` says which token a frame belongs to.
    """
    _, height, width = found.magnitude.shape
    row = np.arange(height) * GRID // height
    column = np.arange(width) * GRID // width
    cell = np.broadcast_to(row[:, None] * GRID + column[None, :], found.magnitude.shape)
    shape = (tokens, GRID**2, GRID_ORIENTATIONS)
    return _count(found, cell, found.magnitude, token, shape)


def object_orientations(
    found: Gradients, place: Place, token: np.ndarray, tokens: int
) -> np.ndarray:
    """Histograms `[tokens, CELLS² · ORIENTATIONS]` in the object's own coordinates."""
    half = 1.8
    column = np.clip((place.u + half) * (CELLS / (2 * half)), 0, CELLS - 1).astype(np.int64)
    row = np.clip((place.v + half) * (CELLS / (2 * half)), 0, CELLS - 1).astype(np.int64)
    inside = (np.abs(place.u) < half + 0.4) & (np.abs(place.v) < half + 0.4)
    shape = (tokens, CELLS**2, ORIENTATIONS)
    return _count(found, row * CELLS + column, found.magnitude * inside, token, shape)


def _count(
    found: Gradients,
    cell: np.ndarray,
    weight: np.ndarray,
    token: np.ndarray,
    shape: tuple[int, int, int],
) -> np.ndarray:
    """Weights by token, cell and orientation; each is shared between two orientations."""
    tokens, cells, orientations = shape
    flat = np.flatnonzero(weight)  # few pixels have an edge, fewer are the object's
    first = np.broadcast_to(token[:, None, None], cell.shape).take(flat).astype(np.int64)
    first = (first * cells + cell.take(flat)) * orientations
    angle, mass = found.orientation.take(flat) * orientations, weight.take(flat)
    lower = np.minimum(angle.astype(np.int64), orientations - 1)
    share = angle - lower
    above = np.where(lower == orientations - 1, 0, lower + 1)
    size = tokens * cells * orientations
    counts = np.bincount(first + lower, mass * (1 - share), size)
    counts += np.bincount(first + above, mass * share, size)
    return counts.reshape(tokens, cells * orientations)
