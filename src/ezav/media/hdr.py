"""Pictures of high dynamic range (PQ, HLG) to what an ordinary screen shows."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

PQ, HLG = 16, 18
"""`color_trc` of a frame (ITU-T H.273)."""
BT2020 = 9
"""`color_primaries` of a frame."""
_REFERENCE_WHITE = 203.0
"""cd/m² of diffuse white in both systems (ITU-R BT.2408); it becomes the white of the screen."""
_HLG_PEAK, _HLG_GAMMA = 1000.0, 1.2
_TO_BT709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]],
    np.float32,
)
"""Linear light with the primaries of BT.2020 to BT.709 (ITU-R BT.2087)."""


def to_display(codes: NDArray[np.uint16], transfer: int, primaries: int) -> NDArray[np.uint8]:
    """RGB `[H, W, 3]` of 16 bits to sRGB of 8 bits: reference white is 255, what is brighter too.

    Args:
        codes: as decoded, full range.
        transfer: `PQ` or `HLG`.
        primaries: as the frame has them.

    Example:
        >>> white = np.full((1, 1, 3), round(0.5806 * 65535), np.uint16)
        >>> int(to_display(white, PQ, BT2020).min()) >= 254
        True
        >>> to_display(np.zeros((1, 1, 3), np.uint16), HLG, BT2020).ravel().tolist()
        [0, 0, 0]
    """
    light = _light(transfer)[codes]
    if primaries == BT2020:
        light = light @ _TO_BT709.T
    steps = len(_srgb()) - 1
    return _srgb()[(light.clip(0.0, 1.0) * steps).round().astype(np.uint16)]


@cache
def _light(transfer: int) -> NDArray[np.float32]:
    """Code of 16 bits -> linear light, reference white at 1."""
    code = np.linspace(0.0, 1.0, 1 << 16)
    if transfer == PQ:  # SMPTE ST 2084
        m1, m2 = 2610 / 16384, 2523 / 4096 * 128
        c1, c2, c3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
        root = code ** (1 / m2)
        light = 10_000 * (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1)
    else:  # ARIB STD-B67, seen on a screen of 1,000 cd/m²
        a, b = 0.17883277, 0.28466892
        c = 0.5 - a * np.log(4 * a)
        scene = np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
        light = _HLG_PEAK * scene**_HLG_GAMMA
    return (light / _REFERENCE_WHITE).astype(np.float32)


@cache
def _srgb() -> NDArray[np.uint8]:
    """Linear light of 16 bits -> code of 8 bits (IEC 61966-2-1)."""
    light = np.linspace(0.0, 1.0, 1 << 16)
    code = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return (code * 255).round().astype(np.uint8)
