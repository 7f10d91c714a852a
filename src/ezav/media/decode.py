"""Packets to pictures and sound in order of the file, past damage, with times that only go on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from math import inf

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.packet import Packet
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from ezav.media.clock import Clock
from ezav.media.container import Source

_MAX_ERRORS = 100
"""Undecodable packets of one stream after which the rest of it is given up."""


@dataclass(slots=True)
class Picture:
    """A decoded frame: shown from `time` for `length` seconds (on the file's own clock)."""

    frame: VideoFrame
    time: float
    length: float


@dataclass(slots=True)
class Sound:
    """Decoded samples, float32 `[S]` mono at `rate`, the first at `time` (the file's clock)."""

    samples: NDArray[np.float32]
    rate: int
    time: float


@dataclass(slots=True)
class Problems:
    """What went wrong while a file was decoded, told once a kind."""

    errors: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)
    notes: dict[str, None] = field(default_factory=dict)
    truncated: bool = False
    skipped: float = 0.0
    """Seconds that jumps of the time stamps would have lasted."""
    ends: dict[int, float] = field(default_factory=dict)
    """Index of a stream -> when its packets end; streams that are not read tell of a cut, too."""
    broken: set[str] = field(default_factory=set)
    """Streams of which a packet was undecodable ("picture", "sound"); for the reader to clear."""
    _told: set[str] = field(default_factory=set)

    def error(self, stream: str, time: float | None, text: str) -> None:
        """An undecodable packet of the picture or the sound."""
        self.errors[stream] += 1
        self.broken.add(stream)
        where = "" if time is None else f" at {time:.2f} s"
        self.first.setdefault(stream, f"{text}{where}")

    def note(self, text: str) -> None:
        """Anything else, once."""
        self.notes.setdefault(text)

    def mended(self, stream: str, seconds: float = 0.0) -> None:
        """Time stamps of a stream jumped; what follows was moved up by so many seconds."""
        self.note(f"{stream}: time stamps jump, mended")
        self.skipped += seconds

    def lines(self) -> list[str]:
        """The warnings, one a kind."""
        lines = []
        for stream, count in self.errors.items():
            many = f" and {count - 1} more" if count > 1 else ""
            lines.append(f"{stream} damaged: {self.first[stream]}{many}")
        return lines + list(self.notes)

    def news(self) -> list[str]:
        """The warnings since the last call, one a kind; nothing is noted twice."""
        lines = [line for line in self.lines() if line not in self._told]
        self._told.update(self.notes)
        self.errors.clear()
        self.first.clear()
        return lines


def packets(source: Source, problems: Problems) -> Iterator[Packet]:
    """What the file holds of the source's streams, still encoded; at the end one empty packet each.

    A file that breaks off is told to `problems`, and so are time stamps that jump: they are mended
    (:class:`ezav.media.clock.Clock`). So is the end of every stream, read or not.
    """
    read = {stream.index for stream in (source.video, source.audio) if stream is not None}
    if not read:
        return
    clock = Clock(source, problems.mended)
    ends = {s.index: _End(float(s.time_base or 0)) for s in source.container.streams}
    for packet in clock.mend(_demuxed(source, problems)):
        index = packet.stream.index
        if (line := ends.get(index)) is not None and line.move(packet):
            # What the clock does not know is moved up as well.
            moved = 0.0 if index in clock.knows else problems.skipped
            problems.ends[index] = max(problems.ends.get(index, -inf), line.end - moved)
        if index in read:
            yield packet


@dataclass(slots=True)
class _End:
    """When the packets of a stream end."""

    tick: float
    last: int | None = None
    end: float = 0.0

    def move(self, packet: Packet) -> bool:
        """Take note of a packet; whether it has a time."""
        stamp = packet.dts if packet.pts is None else packet.pts
        if stamp is None:
            return False
        # Where lengths are not given, the one before stands in.
        step = 0 if self.last is None else max(0, stamp - self.last)
        self.last, self.end = stamp, (stamp + (packet.duration or step)) * self.tick
        return True


def _demuxed(source: Source, problems: Problems) -> Iterator[Packet]:
    found = source.container.demux()
    while True:
        try:
            packet = next(found, None)
        except (av.FFmpegError, ValueError) as error:
            problems.note(f"reading stopped: {_text(error)}")
            return
        if packet is None:
            return
        yield packet


def decode(
    source: Source, problems: Problems, given: Iterable[Packet] | None = None
) -> Iterator[Picture | Sound]:
    """Every picture and every piece of sound, in the order of the file.

    A damaged packet of sound is left out; after a damaged picture nothing is given until the next
    key frame, because what depends on the lost one would be smeared.

    Args:
        source: the open file.
        problems: told what is damaged.
        given: the packets, where they have been read already.
    """
    readers: dict[int, _Reader] = {}
    if source.video is not None:
        rate = source.video.average_rate or source.video.guessed_rate
        step = 1 / float(rate) if rate else 0.04
        tick = float(source.video.time_base or 0)
        readers[source.video.index] = _Reader("picture", _Times(step), tick, problems)
    if source.audio is not None:
        readers[source.audio.index] = _Reader("sound", _Times(0.0), 0.0, problems)
    for packet in packets(source, problems) if given is None else given:
        yield from readers[packet.stream.index].read(packet)


class _Times:
    """Seconds of each frame: its time stamp where that goes on, else the last one's end."""

    def __init__(self, step: float) -> None:
        self.step = step
        self.shift = 0.0
        self.last: float | None = None
        self.end = 0.0

    def tell(self, stamp: float | None, length: float) -> tuple[float, bool]:
        """The time of a frame `length` seconds long, and whether its stamp had to be mended."""
        time = self.end if stamp is None else stamp + self.shift
        mended = False
        if self.last is not None and time - self.last < -1e-6:
            self.shift += self.end - time
            time, mended = self.end, True
        self.last, self.end = time, time + length
        return time, mended


class _Reader:
    def __init__(self, name: str, times: _Times, tick: float, problems: Problems) -> None:
        self.name = name
        self.times = times
        self.tick = tick
        self.problems = problems
        self.errors = 0
        self.waiting = False
        self.given_up = False

    def read(self, packet: Packet) -> Iterator[Picture | Sound]:
        if self.given_up:
            return
        if packet.size and packet.has_sidedata("encryption_info"):
            self.problems.note("encrypted")
            self.given_up = True
            return
        if self.waiting:
            if not packet.is_keyframe:
                return
            packet.stream.codec_context.flush_buffers()
            self.waiting = False
        try:
            frames = packet.decode()
        except MemoryError:
            raise
        except (av.FFmpegError, ValueError) as error:
            self._failed(packet, error)
            return
        for frame in frames:
            item = self._picture(frame) if isinstance(frame, VideoFrame) else self._sound(frame)
            if item is not None:
                yield item
            if self.waiting:
                return

    def _failed(self, packet: Packet, error: Exception) -> None:
        time = None if packet.pts is None else float(packet.pts * packet.time_base)
        self._error(time, _text(error))
        self.waiting = self.name == "picture"
        if self.errors >= _MAX_ERRORS:
            self.problems.note(f"{self.name} given up after {_MAX_ERRORS} damaged packets")
            self.given_up = True

    def _error(self, time: float | None, text: str) -> None:
        self.errors += 1
        self.problems.error(self.name, time, text)

    def _picture(self, frame: VideoFrame) -> Picture | None:
        if frame.is_corrupt:
            self._error(frame.time, "incomplete frame")
            self.waiting = True
            return None
        length = frame.duration * self.tick if frame.duration and self.tick else self.times.step
        return Picture(frame, self._time(frame.time, length), length)

    def _sound(self, frame: AudioFrame) -> Sound | None:
        if not frame.samples or not frame.sample_rate:
            return None
        time = self._time(frame.time, frame.samples / frame.sample_rate)
        return Sound(mono(frame), frame.sample_rate, time)

    def _time(self, stamp: float | None, length: float) -> float:
        time, mended = self.times.tell(stamp, length)
        if mended:
            self.problems.mended(self.name)
        return time


def mono(frame: AudioFrame) -> NDArray[np.float32]:
    """The mean of all channels, float32 `[S]`, full scale at 1.

    Example:
        >>> frame = AudioFrame.from_ndarray(
        ...     np.array([[-32768, 0, 16384, 16384]], dtype="int16"), format="s16", layout="stereo"
        ... )
        >>> mono(frame).tolist()
        [-0.5, 0.5]
    """
    if frame.format.name == "fltp":  # what most codecs give, read where it lies
        planes = [
            np.frombuffer(memoryview(plane), np.float32, frame.samples) for plane in frame.planes
        ]
        total = planes[0].copy()
        for plane in planes[1:]:
            total += plane
        return total if len(planes) == 1 else total / np.float32(len(planes))
    values = frame.to_ndarray()
    if not frame.format.is_planar:
        values = values.reshape(-1, frame.layout.nb_channels).T
    if values.dtype == np.uint8:
        return (values.mean(axis=0, dtype=np.float32) - 128) / 128
    # Full scale of 8, 16, 32 bits is half their range.
    scale = 1.0 if values.dtype.kind == "f" else 2.0 ** (8 * values.itemsize - 1)
    if len(values) == 1:
        return (values[0] / np.float32(scale)).astype(np.float32)
    # The mean over a contiguous sum of rows is several times faster than mean(axis=0) of int16.
    total = values[0].astype(np.float32)
    for channel in values[1:]:
        total += channel
    return total / np.float32(scale * len(values))


def _text(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
