"""One clock for both streams of a file: time stamps that jump are mended before decoding.

Whatever reads the packets of a file (:func:`ezav.media.decode.packets`) sees the same times. An
error of the file is a step back (recordings put one behind the other), a step ahead that both
streams make together (a clock that was set), and one beyond the end that the file gives itself:
what follows is moved up to what went before, both streams by the same time. A step ahead of one
stream alone is a pause.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from itertools import islice

from av.packet import Packet
from av.stream import Stream

from ezav.media.container import Source

_MAX_JUMP = 60.0
"""Seconds; a longer step of both streams together is an error of the file, not a pause."""
_TOGETHER = 2.0
"""Seconds within which the streams of a file do the same."""
_BACK = 1.0
"""Seconds; shorter steps back are left to the frames, whose order is the right one."""
_LOOK_AHEAD = 500
"""Packets in which the other stream must jump as well."""
_MOST_AHEAD = 5_000
"""Packets of all streams that wait meanwhile, at most."""


@dataclass(slots=True)
class _Line:
    """The packets of one stream on the mended clock."""

    name: str
    tick: float
    """Seconds a unit of time stamps."""
    shift: float = 0.0
    last: float | None = None
    """When the last packet begins."""
    end: float = 0.0
    """When it ends."""
    step: float = 0.0
    """Between the last two; stands in for a length that is not given."""
    coming: float | None = None
    """The shift of the other stream, which has jumped: this one is expected to follow."""

    def time(self, packet: Packet[Stream]) -> float | None:
        """Of a packet; None if it has none. Stamps of decoding are in order, others need not be."""
        return None if packet.dts is None else packet.dts * self.tick + self.shift

    def move(self, packet: Packet[Stream]) -> None:
        """Give the packet its mended stamps, and take note of it."""
        if ticks := round(self.shift / self.tick):
            packet.pts = None if packet.pts is None else packet.pts + ticks
            packet.dts = None if packet.dts is None else packet.dts + ticks
        if packet.dts is None:
            return
        time = packet.dts * self.tick
        if self.last is not None and 0 < time - self.last <= _MAX_JUMP:
            self.step = time - self.last
        self.last, self.end = time, time + ((packet.duration or 0) * self.tick or self.step)


class Clock:
    """Mends the stamps of the packets that go through it.

    Args:
        source: the open file.
        note: told the name of a stream ("picture", "sound") that was mended, and the seconds by
            which it was moved up (0 if the other stream was, just before).
    """

    def __init__(self, source: Source, note: Callable[[str, float], None]) -> None:
        self._note = note
        self._length = source.length
        self._begin: float | None = None
        self._ahead: deque[Packet[Stream]] = deque()
        self._lines = {
            stream.index: _Line("picture" if stream.type == "video" else "sound", float(base))
            for stream in (source.video, source.audio, *source.unread)
            if stream is not None and (base := stream.time_base)
        }

    @property
    def knows(self) -> Collection[int]:
        """The indices of the streams that are mended."""
        return self._lines.keys()

    def mend(self, found: Iterator[Packet[Stream]]) -> Iterator[Packet[Stream]]:
        """The same packets with mended stamps; those of further streams are not changed."""
        while (packet := self._ahead.popleft() if self._ahead else next(found, None)) is not None:
            line = self._lines.get(packet.stream.index)
            if line is not None:
                time = line.time(packet)
                if time is not None and self._begin is None:
                    self._begin = time
                if time is not None and line.last is not None:
                    self._check(line, time, found)
                line.move(packet)
            yield packet

    def _check(self, line: _Line, time: float, found: Iterator[Packet[Stream]]) -> None:
        """Change the line's shift if its step to `time` is an error."""
        assert line.last is not None
        step = time - line.end
        if time - line.last >= -_BACK and step <= _MAX_JUMP:
            return
        other = next((one for one in self._lines.values() if one is not line), None)
        raw = time - line.shift
        if line.coming is not None and -_TOGETHER <= raw + line.coming - line.end <= _MAX_JUMP:
            line.shift, line.coming = line.coming, None
            self._note(line.name, 0.0)
        elif step < 0 or self._beyond(time) or self._jump_together(line, time, other, found):
            line.shift -= step
            if other is not None:
                other.coming = line.shift
            self._note(line.name, max(0.0, step))

    def _beyond(self, time: float) -> bool:
        if self._length is None or self._begin is None:
            return False
        return time - self._begin > self._length + _TOGETHER

    def _jump_together(
        self, line: _Line, time: float, other: _Line | None, found: Iterator[Packet[Stream]]
    ) -> bool:
        """Whether the other stream makes the same step ahead."""
        if other is None or other.last is None or other.end > line.end + _TOGETHER:
            return False
        for packet in islice(self._coming(found), _LOOK_AHEAD):
            there = other.time(packet) if self._lines.get(packet.stream.index) is other else None
            if there is None:
                continue
            if there - other.end > _MAX_JUMP:
                return abs(there - time) <= _TOGETHER
            if there > line.end + _TOGETHER:
                return False
        return False

    def _coming(self, found: Iterator[Packet[Stream]]) -> Iterator[Packet[Stream]]:
        """The packets of either stream after this one; they and all others stay to be given out."""
        yield from (packet for packet in self._ahead if packet.stream.index in self._lines)
        for packet in found:
            self._ahead.append(packet)
            if packet.stream.index in self._lines:
                yield packet
            elif len(self._ahead) >= _MOST_AHEAD:
                return
