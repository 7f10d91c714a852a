"""Memory for features on their way from files to a store, used again and again."""

from __future__ import annotations

import math

import numpy as np


class Buffers:
    """Two sets of memory in turn: one is filled while the other is hashed and written.

    New memory has to be cleared by the system page by page, which takes longer than reading into
    it. Arrays taken one after the other lie so in memory, and are joined without a copy.

    Args:
        size: bytes of one set and modality; only what is used takes memory.

    Example:
        >>> buffers = Buffers(1024)
        >>> one, two = (buffers.take("audio", (2, 3), np.dtype("f4")) for _ in range(2))
        >>> two.ctypes.data - one.ctypes.data
        24
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._sets: tuple[dict[str, np.ndarray], ...] = ({}, {})
        self._used: dict[str, int] = {}

    def turn(self) -> None:
        """Go to the other set; what was taken from it before is overwritten."""
        self._sets = self._sets[::-1]
        self._used = {}

    def take(self, modality: str, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """An array to write into; new memory if the set is full."""
        size = math.prod(shape) * dtype.itemsize
        start = self._used.get(modality, 0)
        if size == 0 or start % dtype.itemsize or start + size > self._size:
            return np.empty(shape, dtype)
        self._used[modality] = start + size
        if modality not in self._sets[0]:
            self._sets[0][modality] = np.empty(self._size, np.uint8)
        return self._sets[0][modality][start : start + size].view(dtype).reshape(shape)
