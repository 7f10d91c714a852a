"""Open a media file without trusting it, and choose its picture and its sound."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, cast

import av
from av.audio.stream import AudioStream
from av.container import Flags, InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from ezav.media.chained import Chain, demuxed, links
from ezav.media.formats import readable

_MP4_BOXES = {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide"}
_MAX_PIXELS = 16_384 * 16_384
# Other containers only estimate how long they are, from the bit rate.
_EXACT = {"mov", "mp4", "matroska", "avi", "wav", "asf", "ogg", "flac", "aiff", "w64"}
_FRAGMENTED = {"mov", "mp4"}
_LATE = 0.1
"""Seconds; what begins no later begins at the beginning, but for the order of its pictures."""
_LIVE_HEAD = "1500000"
"""Microseconds of a live stream that are looked at to find out what is in it."""
_NO_STREAM = "no media stream that can be read as it comes"
_SPECIAL = Disposition.comment | Disposition.hearing_impaired | Disposition.visual_impaired
_Stream = TypeVar("_Stream", VideoStream, AudioStream)


class UnreadableError(Exception):
    """A file that gives nothing; the text is the reason, fit for an index."""


@dataclass(slots=True)
class Source:
    """An open container with the streams to be read.

    Attributes:
        container: the open file.
        video, audio: the streams to be read, or None.
        unread: the file's picture or sound where it is not to be read; its packets still tell
            whether time stamps jump (:mod:`ezav.media.clock`).
    """

    container: InputContainer
    video: VideoStream | None
    audio: AudioStream | None
    unread: tuple[VideoStream | AudioStream, ...] = ()
    chain: Chain | None = None
    """What follows the container in the same file, in one stream with it."""

    def only(self, video: bool, audio: bool) -> Source:
        """The source without a stream that nobody asked for."""
        kept = self.video if video else None, self.audio if audio else None
        unread = tuple(
            stream
            for stream in (self.video, self.audio, *self.unread)
            if stream is not None and stream not in kept
        )
        return Source(self.container, *kept, unread, self.chain)

    def demux(self) -> Iterator[Packet[Stream]]:
        """All packets of the file, on one clock."""
        end = 0.0
        for packet in demuxed(self.container):
            if packet.pts is not None and self.chain is not None:
                last = packet.pts + (packet.duration or 0)
                end = max(end, float(last * packet.time_base))
            yield packet
        for packet, later in () if self.chain is None else self.chain.packets(end):
            own = next((s for s in self.container.streams if s.index == packet.stream.index), None)
            if own is None or own.type != packet.stream.type:
                continue
            base = own.time_base or packet.time_base
            for name in ("pts", "dts"):
                if (stamp := getattr(packet, name)) is not None:
                    setattr(packet, name, round((stamp * packet.time_base + later) / base))
            packet.duration = round((packet.duration or 0) * packet.time_base / base)
            packet.time_base = base
            yield packet

    @property
    def formats(self) -> set[str]:
        """The names of the container's format."""
        return set(self.container.format.name.split(","))

    @property
    def exact(self) -> bool:
        """Whether what the container says of lengths was measured, not guessed."""
        return bool(_EXACT & self.formats)

    @property
    def length(self) -> float | None:
        """Seconds that the container has as a whole, where it says that and not only guesses."""
        duration = self.container.duration if self.exact else None
        return duration / av.time_base + self._chained if duration else None

    @property
    def _chained(self) -> float:
        return 0.0 if self.chain is None else self.chain.length

    @property
    def claimed(self) -> float | None:
        """The length the file says it has, in seconds."""
        streams = (self.video, self.audio)
        lengths = [length for one in streams if one is not None and (length := self.length_of(one))]
        if lengths:
            return max(lengths) + self._chained
        return self.container.duration / av.time_base if self.container.duration else None

    def length_of(self, stream: VideoStream | AudioStream) -> float:
        """The length that the file gives a stream, in seconds; 0 if it gives none."""
        if not stream.duration or not stream.time_base:
            return 0.0
        length, begin = stream.duration, stream.start_time or 0
        # A fragment that was cut out of a longer recording is said to last from its beginning.
        late = begin * stream.time_base > _LATE and begin < length
        if late and _FRAGMENTED & self.formats and not stream.frames:
            length -= begin
        return float(length * stream.time_base)


def _check_file(path: Path, live: bool) -> None:
    """Say why `path` cannot be a recording before anything is decoded.

    Raises:
        UnreadableError: broken link, no such file, a folder, no permission, empty; a pipe where
            none is expected.
    """
    try:
        info = path.stat()
    except FileNotFoundError:
        raise UnreadableError("broken link" if path.is_symlink() else "no such file") from None
    except ValueError:
        raise UnreadableError("no file can have such a name") from None
    except OSError as error:
        raise UnreadableError((error.strerror or str(error)).lower()) from None
    if stat.S_ISDIR(info.st_mode):
        raise UnreadableError("a folder, not a file")
    if live and stat.S_ISFIFO(info.st_mode):
        return
    if not stat.S_ISREG(info.st_mode):
        raise UnreadableError("a pipe or device, not a file")
    if not os.access(path, os.R_OK):
        raise UnreadableError("permission denied")
    if info.st_size == 0:
        raise UnreadableError("empty file")


@contextmanager
def open_source(path: str | Path, live: bool = False) -> Iterator[Source]:
    """Open the file for decoding in this one thread, with its first real picture and sound.

    Cover art is no picture. Of several streams the file's default one is taken, else the first;
    of several sounds one that belongs to the picture's programme and is no commentary.

    Args:
        path: of the file.
        live: it is a named pipe, which is opened once and read as it comes.

    Raises:
        UnreadableError: it cannot be opened; the text says why.
    """
    # An absolute path cannot be taken for an option or for a protocol ("concat:…").
    path = Path(os.path.abspath(path))
    _check_file(path, live)
    options = {
        "protocol_whitelist": "file",
        "format_whitelist": readable(),
    }
    chain = None
    try:
        if not live and len(begins := links(path)) > 1:
            chain = Chain(path, begins)
            container = chain.first()
        else:
            # Here already, not only for the streams that are chosen: FFmpeg decodes some frames
            # of every stream to find out what they are.
            limits = {"max_pixels": str(_MAX_PIXELS), "threads": "1"}
            if live:  # its first events are not to wait for five seconds, as FFmpeg has it
                options["analyzeduration"] = _LIVE_HEAD
            container = av.open(
                str(path), metadata_errors="ignore", container_options=options, options=limits
            )
    except MemoryError:
        raise UnreadableError("needs more memory than allowed") from None
    except (av.FFmpegError, ValueError, UnicodeError, OSError) as error:
        why = _NO_STREAM if live else _why_not(path, error)
        raise UnreadableError(why) from None
    with container:
        # Stamps of display that are made up from those of decoding are in the wrong order.
        container.flags &= ~cast(int, Flags.gen_pts.value)
        video = _choose([stream for stream in container.streams.video if _is_moving(stream)])
        audio = _sound_of(container, video)
        for stream in (video, audio):
            if stream is not None:
                # One thread each: the clips are spread over processes instead.
                stream.codec_context.thread_count = 1
        if video is not None:
            video.codec_context.options = {"max_pixels": str(_MAX_PIXELS)}
        yield Source(container, video, audio, chain=chain)


def _choose(streams: list[_Stream]) -> _Stream | None:
    plain = [stream for stream in streams if not stream.disposition & _SPECIAL] or streams
    for stream in plain:
        if stream.disposition & Disposition.default:
            return stream
    return plain[0] if plain else None


def _sound_of(container: InputContainer, video: VideoStream | None) -> AudioStream | None:
    streams = [stream for stream in container.streams.audio if _can_decode(stream)]
    if video is not None and len(streams) > 1:
        # FFmpeg knows the programmes: where the picture's has sound, that is what differs.
        related = container.streams.best("audio", related=video)
        if related in streams and related != container.streams.best("audio"):
            return related
    return _choose(streams)


def _is_moving(stream: VideoStream) -> bool:
    return not stream.disposition & Disposition.attached_pic and _can_decode(stream)


def _can_decode(stream: VideoStream | AudioStream) -> bool:
    return stream.codec_context is not None


def _why_not(path: Path, error: Exception) -> str:
    try:
        with path.open("rb") as file:
            head = file.read(12)
    except OSError as problem:
        return (problem.strerror or str(problem)).lower()
    if head[4:8] in _MP4_BOXES:
        return "cannot be opened: the index (moov) is missing or damaged"
    if isinstance(error, av.InvalidDataError | av.ArgumentError):
        return "not a media file"
    return f"cannot be opened: {getattr(error, 'strerror', None) or error}"
