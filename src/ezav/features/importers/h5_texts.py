"""Texts of any length in an HDF5 file: the heaps that hold them, looked at before HDF5 does.

HDF5 goes from object to object of a heap by the sizes that stand there, and does not end where one
is 0; and it takes as much memory as a reference says before it looks for the text (version 2.0).
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from h5py.h5d import DatasetID
    from h5py.h5f import FileID

_REFERENCE = np.dtype([("length", "<u4"), ("heap", "<u8"), ("object", "<u4")])
_HEAP = struct.Struct("<4sB3xQ")
"""Signature, version, bytes of all of it."""
_OBJECT = struct.Struct("<HHIQ")
"""Number (0: free space), uses, nothing, bytes."""
_BEGINS = b"GCOL\1\0\0\0"


def check_heaps(file: FileID, dataset: DatasetID) -> None:
    """Refuse texts that HDF5 would not come to the end of, or take far more memory for.

    Raises:
        OSError: a heap, or a reference into it, leads nowhere.
    """
    handle, base = file.get_vfd_handle(), file.get_create_plist().get_userblock()
    place, stored = dataset.get_offset(), dataset.get_storage_size()
    if place is None:  # in chunks, perhaps packed: every heap of the file is looked at
        for heap in _heaps(handle, base):
            _objects(handle, heap)
        return
    if stored % _REFERENCE.itemsize:
        raise OSError("its texts do not lie as HDF5 writes them")
    raw = os.pread(handle, stored, place)
    known: dict[int, dict[int, int]] = {}
    for length, heap, number in np.frombuffer(raw[: len(raw) & -16], _REFERENCE).tolist():
        if not length:
            continue
        if heap not in known:
            known[heap] = _objects(handle, base + heap)
        if length > known[heap].get(number, -1):
            raise OSError("a text is longer than what its heap holds")


def _heaps(handle: int, base: int) -> Iterator[int]:
    """Where heaps begin in a file, told by how they begin."""
    with mmap.mmap(handle, 0, access=mmap.ACCESS_READ) as data:
        at = data.find(_BEGINS)
        while at >= 0:
            if (at - base) % 8 == 0:
                yield at
            at = data.find(_BEGINS, at + 1)


def _objects(handle: int, at: int) -> dict[int, int]:
    """Number -> bytes of every object of the heap at a place in the file."""
    size = os.fstat(handle).st_size
    head = os.pread(handle, _HEAP.size, at) if at < size else b""
    kind, _, total = _HEAP.unpack(head.ljust(_HEAP.size, b"\0"))
    if kind != _BEGINS[:4] or not _HEAP.size <= total <= size - at:
        raise OSError("a heap of its texts is no heap")
    data, found, begin = os.pread(handle, total, at), {}, _HEAP.size
    while begin + _OBJECT.size <= total:
        number, _, _, length = _OBJECT.unpack_from(data, begin)
        # Free space counts its own head, and a text is filled up to 8 bytes.
        step = _OBJECT.size + (length + 7) // 8 * 8 if number else length
        if step < _OBJECT.size or begin + step > total:
            raise OSError("a heap of its texts does not end")
        found[number] = length
        begin += step
    return found
