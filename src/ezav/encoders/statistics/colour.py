"""Colour histograms: hue where there is colour, grey levels where there is none."""

from __future__ import annotations

from functools import cache

import numpy as np

HUES, SHADES, GREYS = 12, 2, 4
COLOURS = HUES * SHADES + GREYS
"""Bins of a colour histogram: each hue in a dark and a bright shade, then four greys."""
_LEVELS = 32  # a channel is read in 32 steps: finer than any bin


@cache
def _memberships() -> np.ndarray:
    """How much each of the 32³ colours belongs to each bin, `[32768, COLOURS]`; rows sum to 1.

    Memberships are linear between bin centres, so that a small change of colour changes the
    histogram little.
    """
    level = (np.arange(_LEVELS) + 0.5) / _LEVELS
    red, green, blue = (g.ravel() for g in np.meshgrid(level, level, level, indexing="ij"))
    value = np.maximum(np.maximum(red, green), blue)
    chroma = value - np.minimum(np.minimum(red, green), blue)
    safe = np.maximum(chroma, 1e-6)
    hue = np.where(
        value == red,
        (green - blue) / safe % 6,
        np.where(value == green, (blue - red) / safe + 2, (red - green) / safe + 4),
    )
    # A pixel is coloured when its chroma stands out from noise and from its own brightness.
    coloured = np.clip((chroma - 0.06) / 0.14, 0, 1) * np.clip((chroma / value - 0.1) / 0.2, 0, 1)
    bright = np.clip((value - 0.4) / 0.3, 0, 1)
    member = np.zeros((len(hue), COLOURS), dtype=np.float32)
    rows = np.arange(len(hue))
    place = hue / 6 * HUES
    lower = np.floor(place).astype(int)
    for hue_bin, hue_share in ((lower, 1 - (place - lower)), (lower + 1, place - lower)):
        for shade, shade_share in ((0, 1 - bright), (1, bright)):
            column = (hue_bin % HUES) * SHADES + shade
            np.add.at(member, (rows, column), coloured * hue_share * shade_share)
    grey = value * (GREYS - 1)
    below = np.minimum(np.floor(grey), GREYS - 2).astype(int)
    np.add.at(member, (rows, HUES * SHADES + below), (1 - coloured) * (1 - (grey - below)))
    np.add.at(member, (rows, HUES * SHADES + below + 1), (1 - coloured) * (grey - below))
    return member


def colour_codes(images: np.ndarray) -> np.ndarray:
    """The code 0…32767 of each pixel of float images `[…, 3]` in [0, 1].

    Example:
        >>> black_white_red = np.array([[0, 0, 0], [1, 1, 1], [1, 0, 0]], np.float32)
        >>> colour_codes(black_white_red).tolist()
        [0, 32767, 31744]
    """
    level = np.minimum((images * _LEVELS).astype(np.int32), _LEVELS - 1)
    return (level[..., 0] * _LEVELS + level[..., 1]) * _LEVELS + level[..., 2]


def colour_histogram(codes: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Weighted histogram `[COLOURS]` over pixels with these codes.

    Example:
        >>> red = colour_codes(np.array([[1.0, 0.0, 0.0]]))
        >>> int(colour_histogram(red).argmax())  # hue 0, bright
        1
    """
    flat = None if weights is None else weights.ravel()
    counts = np.bincount(codes.ravel(), flat).astype(np.float32)
    there = np.flatnonzero(counts)
    # Few colours, small rows: a BLAS that starts threads for it takes 30 times as long.
    histogram: np.ndarray = np.einsum("i,ij->j", counts[there], _memberships()[there])
    return histogram
