"""Ogg files that are several recordings one behind the other ("chained": radio streams do that).

FFmpeg ends where the second begins unless both are of one kind, so each is opened by itself.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from contextlib import closing
from functools import cached_property
from pathlib import Path

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

_PAGE = struct.Struct("<4sBBqIIIB")
"""Capture pattern, version, flags, granule position, serial, sequence, checksum, segments."""
_BEGINS = 2
"""Flag of a page with which a stream begins."""
_MOST_LINKS = 10_000


def links(path: Path) -> list[int]:
    """Where each recording of a file begins; a single 0 for a file of another kind.

    Example:
        >>> links(Path(__file__))
        [0]
    """
    found = [0]
    with path.open("rb") as file:
        at, in_head = 0, True
        while len(header := file.read(_PAGE.size)) == _PAGE.size and len(found) < _MOST_LINKS:
            pattern, _, flags, *_, segments = _PAGE.unpack(header)
            if pattern != b"OggS":
                break
            begins = bool(flags & _BEGINS)
            if begins and not in_head:  # all streams of a link begin before any goes on
                found.append(at)
            in_head = begins
            at = file.tell() + segments + sum(file.read(segments))
            file.seek(at)
    return found


class _Part(io.RawIOBase):
    """The bytes of a file from one place to another."""

    def __init__(self, path: Path, begin: int, end: int) -> None:
        self._file = path.open("rb")
        self._begin, self._length = begin, end - begin
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._length - self._at)
        self._file.seek(self._begin + self._at)
        data = self._file.read(left if size < 0 else min(size, left))
        self._at += len(data)
        return data

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._length}[whence]
        self._at = max(0, base + offset)
        return self._at

    def close(self) -> None:
        self._file.close()
        super().close()


class Chain:
    """The recordings of one file behind the first.

    Args:
        path: the file.
        begins: where each of them begins, the first one's 0 among them.
    """

    def __init__(self, path: Path, begins: list[int]) -> None:
        self._path = path
        self._bounds = list(zip(begins, [*begins[1:], path.stat().st_size]))

    def first(self) -> InputContainer:
        """The first recording; closing it closes the file."""
        return self._open(0)

    @cached_property
    def length(self) -> float:
        """Seconds of the others, as they say."""
        total = 0.0
        for number in range(1, len(self._bounds)):
            with closing(self._open(number)) as container:
                total += (container.duration or 0) / av.time_base
        return total

    def packets(self, end: float) -> Iterator[tuple[Packet[Stream], float]]:
        """The packets of the others in order, and what to add to their times.

        Args:
            end: of the first one, in seconds.
        """
        for number in range(1, len(self._bounds)):
            with closing(self._open(number)) as container:
                for stream in container.streams:
                    if stream.codec_context is not None:
                        stream.codec_context.thread_count = 1
                later = end - (container.start_time or 0) / av.time_base
                for packet in demuxed(container):
                    if packet.pts is not None:
                        last = packet.pts + (packet.duration or 0)
                        end = max(end, float(last * packet.time_base) + later)
                    yield packet, later

    def _open(self, number: int) -> InputContainer:
        part = _Part(self._path, *self._bounds[number])
        return av.open(part, "r", format="ogg", metadata_errors="ignore")


def demuxed(container: InputContainer) -> Iterator[Packet[Stream]]:
    """The packets of a container; raises ValueError where it tells of a stream too late."""
    try:
        yield from container.demux()
    except IndexError:  # PyAV knows the streams that there were at the beginning
        raise ValueError("a stream begins that the file did not tell of") from None
