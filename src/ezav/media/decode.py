"""Packets to pictures and sound in order of the file, past damage, with times that only go on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import inf

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from ezav.media.channels import Mixer, UnknownSamplesError
from ezav.media.clock import Clock
from ezav.media.container import Source
from ezav.media.stamps import PictureStamps, SoundStamps, Times

_MAX_ERRORS = 100
"""Undecodable packets of one stream after which the rest of it is given up."""
_LOOKED_AT = 12
"""Pictures of a stream that is not decoded in the order of display, to see whether their stamps
are; at most."""
_CANCELLED = "sound: the channels cancel each other out, the strongest one is used"


@dataclass(slots=True)
class Picture:
    """A decoded frame: shown from `time` for `length` seconds (on the file's own clock)."""

    frame: VideoFrame
    time: float
    length: float
    repeated: bool = False
    """It is the picture before, which the file says is still shown."""


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


def packets(source: Source, problems: Problems) -> Iterator[Packet[Stream]]:
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

    def move(self, packet: Packet[Stream]) -> bool:
        """Take note of a packet; whether it has a time."""
        stamp = packet.dts if packet.pts is None else packet.pts
        if stamp is None:
            return False
        # Where lengths are not given, the one before stands in.
        step = 0 if self.last is None else max(0, stamp - self.last)
        self.last, self.end = stamp, (stamp + (packet.duration or step)) * self.tick
        return True


def _demuxed(source: Source, problems: Problems) -> Iterator[Packet[Stream]]:
    try:
        yield from source.demux()
    except (av.FFmpegError, ValueError) as error:
        problems.note(f"reading stopped: {_text(error)}")


def decode(
    source: Source, problems: Problems, given: Iterable[Packet[Stream]] | None = None
) -> Iterator[Picture | Sound]:
    """Every picture and every piece of sound, in the order of the file.

    A damaged packet of sound is left out; after a damaged picture nothing is given until the next
    key frame, because what depends on the lost one would be smeared.

    Args:
        source: the open file.
        problems: told what is damaged.
        given: the packets, where they have been read already.
    """
    readers: dict[int, _PictureReader | _SoundReader] = {}
    if source.video is not None:
        readers[source.video.index] = _PictureReader(source.video, problems)
    if source.audio is not None:
        readers[source.audio.index] = _SoundReader(source.audio, problems)
    for packet in packets(source, problems) if given is None else given:
        yield from readers[packet.stream.index].read(packet)


class _Reader:
    """Packets of one stream to frames, past damage."""

    def __init__(self, name: str, problems: Problems) -> None:
        self.name = name
        self.problems = problems
        self.times = Times(overlaps=name == "sound")
        self.errors = 0
        self.waiting = False
        """For a key frame: what comes before depends on a picture that was lost."""
        self.given_up = False

    def decoded(self, packet: Packet[Stream]) -> Sequence[VideoFrame | AudioFrame] | None:
        """The frames that a packet gives; None if it cannot be used."""
        if self.given_up:
            return None
        if packet.size and packet.has_sidedata("encryption_info"):
            self.give_up("encrypted")
            return None
        try:
            return [one for one in packet.decode() if isinstance(one, VideoFrame | AudioFrame)]
        except MemoryError:
            raise
        except (av.FFmpegError, ValueError) as error:
            time = None if packet.pts is None else float(packet.pts * packet.time_base)
            self.error(time, _text(error))
            if self.errors >= _MAX_ERRORS:
                self.give_up(f"{self.name} given up after {_MAX_ERRORS} damaged packets")
            return None

    def error(self, time: float | None, text: str) -> None:
        self.errors += 1
        self.problems.error(self.name, time, text)

    def give_up(self, why: str) -> None:
        self.problems.note(why)
        self.given_up = True

    def time(self, stamp: float | None, length: float) -> float:
        time, mended = self.times.tell(stamp, length)
        if mended:
            self.problems.mended(self.name)
        return time


class _PictureReader(_Reader):
    def __init__(self, stream: VideoStream, problems: Problems) -> None:
        super().__init__("picture", problems)
        rate = stream.average_rate or stream.guessed_rate
        step = 1 / float(rate) if rate else 0.04
        self.stamps = PictureStamps(float(stream.time_base or 0), step)
        # Held back until their stamps have been looked at; None once that is done.
        self.first: list[VideoFrame] | None = [] if stream.codec_context.has_b_frames else None
        self.last: Picture | None = None

    def read(self, packet: Packet[Stream]) -> Iterator[Picture]:
        at_end = not packet.size and packet.pts is None and packet.dts is None
        if not packet.size and not at_end:  # to a decoder this would be the end
            yield from self._repeat(packet)
            return
        frames = [one for one in self._decoded(packet) if isinstance(one, VideoFrame)]
        yield from self._in_order(frames, at_end)

    def _decoded(self, packet: Packet[Stream]) -> Sequence[VideoFrame | AudioFrame]:
        if self.waiting and not self.given_up:
            if not packet.is_keyframe:
                return ()
            packet.stream.codec_context.flush_buffers()
            self.stamps.flushed()
            self.waiting = False
        self.stamps.enters(packet)
        frames = self.decoded(packet)
        if frames is None:
            self.stamps.lost(packet)
            self.waiting = True
        return frames or ()

    def _in_order(self, frames: list[VideoFrame], at_end: bool) -> Iterator[Picture]:
        """The pictures; the first of them wait until enough of their stamps have been seen."""
        if self.first is not None:
            self.first += frames
            damaged = self.waiting or any(frame.is_corrupt for frame in frames)
            if len(self.first) < _LOOKED_AT and not (at_end or damaged):
                return
            self.stamps.look(self.first)
            frames, self.first = self.first, None
        for frame in frames:
            if frame.is_corrupt:
                self.error(frame.time, "incomplete frame")
                self.waiting = True
                return
            stamp, length = self.stamps.leaves(frame)
            self.last = Picture(frame, self.time(stamp, length), length)
            yield self.last

    def _repeat(self, packet: Packet[Stream]) -> Iterator[Picture]:
        """A packet without bytes: the last picture goes on."""
        if packet.dts is None or self.last is None:
            return
        stamp = packet.dts if packet.pts is None else packet.pts
        time = float(stamp * packet.time_base) + self.times.shift
        if time > self.last.time:
            length = float((packet.duration or 0) * packet.time_base) or self.last.length
            self.times.last, self.times.end = time, time + length
            self.last = Picture(self.last.frame, time, length, repeated=True)
            yield self.last


class _SoundReader(_Reader):
    def __init__(self, stream: AudioStream, problems: Problems) -> None:
        super().__init__("sound", problems)
        self.mixer = Mixer()
        self.stamps = SoundStamps(stream.rate)

    def read(self, packet: Packet[Stream]) -> Iterator[Sound]:
        if not packet.size and packet.dts is not None:  # to a decoder this would be the end
            return
        for frame in self.decoded(packet) or ():
            if not isinstance(frame, AudioFrame) or not frame.samples or not frame.sample_rate:
                continue
            try:
                samples = self.mixer.mono(frame)
            except UnknownSamplesError as error:
                self.give_up(f"sound: {error}")
                return
            if self.mixer.cancelled:
                self.problems.note(_CANCELLED)
            stamp = self.stamps.seconds(frame, self.times.end - self.times.shift)
            time = self.time(stamp, frame.samples / frame.sample_rate)
            yield Sound(samples, frame.sample_rate, time)


def _text(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
