"""A journal of single clips: one fsync each, no file each; a torn end costs one clip."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import torch

from ezav.errors import UnavailableError
from ezav.features.shards import ClipRecord, Values, pack_records, sync, unpack_records
from ezav.safe_io import open_for_writing, write_whole

_FRAME = struct.Struct("<4sQI")
"""Before each clip: a mark, the number of bytes that follow, their CRC-32."""
_MARK = b"clip"


class Journal:
    """Clips waiting to become a shard, appended durably one by one.

    A clip counts as written when its whole frame is on the disk with the right checksum; a
    frame cut short by a kill, a power cut or a full disk is dropped when the journal is opened
    again.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = open_for_writing(path)
            self.size = sum(_FRAME.size + len(payload) for payload in _frames(path))
            os.ftruncate(self._file, self.size)
            os.lseek(self._file, self.size, os.SEEK_SET)
            sync(path.parent)
        except OSError as error:
            raise UnavailableError(f"cannot write '{path}': {error.strerror}") from error

    def append(self, record: ClipRecord, audio: Values | None, visual: Values | None) -> None:
        """Write one clip; on the disk when this returns.

        Raises:
            EzavError: it cannot be written (disk full); the journal is as it was before.
        """
        payload = _encode(record, audio, visual)
        frame = _FRAME.pack(_MARK, len(payload), zlib.crc32(payload)) + payload
        try:
            write_whole(self._file, frame)
            os.fsync(self._file)
        except OSError as error:
            with suppress(OSError):  # after an fsync that failed, too: it was not promised
                os.ftruncate(self._file, self.size)
                os.lseek(self._file, self.size, os.SEEK_SET)
            raise UnavailableError(
                f"cannot write clip '{record.clip}' to '{self.path}': {error.strerror}",
                "the clips before it are kept; free some space and run the same command again",
            ) from error
        self.size += len(frame)

    def read(self) -> list[tuple[ClipRecord, Values | None, Values | None]]:
        """All clips, in the order they were added."""
        return [_decode(payload) for payload in _frames(self.path)]

    def close(self) -> None:
        """Let go of the file; it stays."""
        os.close(self._file)


def _frames(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        while len(head := file.read(_FRAME.size)) == _FRAME.size:
            mark, length, crc = _FRAME.unpack(head)
            if mark != _MARK or length > size:
                return
            payload = file.read(length)
            if len(payload) < length or zlib.crc32(payload) != crc:
                return
            yield payload


def _encode(record: ClipRecord, audio: Values | None, visual: Values | None) -> bytes:
    from safetensors.torch import save

    tensors = {}
    for modality, tokens in (("audio", audio), ("visual", visual)):
        if tokens is not None:
            tensors[f"{modality}.values"], tensors[f"{modality}.times"] = tokens
    head = pack_records([record]).encode()
    return struct.pack("<I", len(head)) + head + save(tensors)


def _decode(payload: bytes) -> tuple[ClipRecord, Values | None, Values | None]:
    from safetensors.torch import load

    buffer = io.BytesIO(payload)
    (length,) = struct.unpack("<I", buffer.read(4))
    (record,) = unpack_records(buffer.read(length).decode())
    tensors: dict[str, torch.Tensor] = load(buffer.read())

    def tokens(modality: str) -> Values | None:
        values = tensors.get(f"{modality}.values")
        return None if values is None else (values, tensors[f"{modality}.times"])

    return record, tokens("audio"), tokens("visual")
