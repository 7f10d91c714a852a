"""The times of decoded frames: their stamps where these can be believed, else the best there is."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappop, heappush
from itertools import pairwise

from av.audio.frame import AudioFrame
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame

_BACK = 1.0
"""Seconds; a shorter step back is an overlap (segments that were joined): what follows has its own
time. A longer one is an error of the file: what follows is moved up."""
_ASTRAY = 0.2
"""Seconds by which stamps between those that the file has may be off."""
_MOST_IN_HAND = 20
"""Packets that a decoder holds back, at most (16 in H.264 and HEVC)."""


class Times:
    """Seconds of each frame of a stream, in the order in which they are decoded.

    Args:
        overlaps: a frame may begin before the last one (sound of joined segments); else it begins
            no earlier.
    """

    def __init__(self, overlaps: bool) -> None:
        self.overlaps = overlaps
        self.shift = 0.0
        self.last: float | None = None
        self.end = 0.0

    def tell(self, stamp: float | None, length: float) -> tuple[float, bool]:
        """The time of a frame `length` seconds long, and whether its stamp had to be mended.

        Example:
            >>> times = Times(overlaps=True)
            >>> times.tell(5.0, 0.04), times.tell(None, 0.04), times.tell(5.02, 0.04)
            ((5.0, False), (5.04, False), (5.02, False))
            >>> times.tell(1.0, 0.04)
            (5.06, True)
        """
        time = self.end if stamp is None else stamp + self.shift
        mended = False
        if self.last is not None and time < self.last:
            if time - self.last < -_BACK:
                self.shift += self.end - time
                time, mended = self.end, True
            elif not self.overlaps:
                time = self.last
        self.last, self.end = time, time + length
        return time, mended


class SoundStamps:
    """Stamps of decoded sound, in seconds.

    Where the sample rate changes midway, FFmpeg goes on with the first one: it makes up stamps for
    formats that have none, and for what lies between those of others. Sound of another rate than
    the file says therefore follows on, unless its stamps go elsewhere in earnest.

    Args:
        rate: samples a second, as the file says.
    """

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self._made_up = False
        self._since: tuple[float, float] | None = None
        """Stamp and time of the first frame that followed on."""

    def seconds(self, frame: AudioFrame, end: float) -> float | None:
        """When the frame begins; None if it follows on.

        Args:
            frame: the next one.
            end: of the last one.
        """
        stamp = frame.time
        if self._made_up or stamp is None:
            return None
        if frame.sample_rate == self.rate:
            self._since = None
            return stamp
        if self._since is None:
            self._since = stamp, end
            return stamp
        if abs(stamp - end) <= _ASTRAY:
            return None
        began, heard = self._since[0], end - self._since[1]
        if abs(stamp - began - heard * frame.sample_rate / self.rate) < _ASTRAY / 2:
            self._made_up = True
            return None
        self._since = stamp, stamp
        return stamp


class PictureStamps:
    """When decoded pictures are shown, in seconds.

    Some containers (AVI) keep stamps of decoding only, and some files have stamps of display that
    are really those of decoding. Pictures leave the decoder in the order of display, so the stamps
    of their packets, sorted, are theirs.

    Args:
        tick: seconds a unit of time stamps.
        step: between two pictures, as the header has it.
    """

    def __init__(self, tick: float, step: float) -> None:
        self.tick = tick
        self.step = step
        self.sorted = False
        """The stamps of packets are used, sorted."""
        self._waiting: list[int] = []
        self._last: int | None = None

    def enters(self, packet: Packet[Stream]) -> None:
        """A packet goes to the decoder."""
        stamp = packet.dts if packet.pts is None else packet.pts
        if packet.pts is None and packet.dts is not None:
            self.sorted = True
        if stamp is not None:
            heappush(self._waiting, stamp)

    def lost(self, packet: Packet[Stream]) -> None:
        """The packet that entered last was not decoded."""
        stamp = packet.dts if packet.pts is None else packet.pts
        if stamp in self._waiting:
            self._waiting.remove(stamp)
            self._waiting.sort()  # a sorted list is a heap

    def flushed(self) -> None:
        """What the decoder held back is lost."""
        self._waiting.clear()

    def look(self, frames: Iterable[VideoFrame]) -> None:
        """The first pictures: are their stamps in order?"""
        stamps = [frame.pts for frame in frames if frame.pts is not None]
        if any(after < before for before, after in pairwise(stamps)):
            self.sorted = True

    def leaves(self, frame: VideoFrame) -> tuple[float | None, float]:
        """When the next picture is shown (None: nothing says that), and for how many seconds."""
        stamp = None
        while self._waiting and (stamp is None or len(self._waiting) > _MOST_IN_HAND):
            stamp = heappop(self._waiting)
        if not self.sorted:
            length = frame.duration * self.tick if frame.duration and self.tick else self.step
            return (None if frame.pts is None else frame.time), length
        if stamp is not None and self._last is not None and stamp > self._last:
            self.step = (stamp - self._last) * self.tick
        self._last = stamp if stamp is not None else self._last
        return (None if stamp is None else stamp * self.tick), self.step
