"""`read_clip`: one media file to frames and waveforms, decoded once whatever is asked of it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from av.packet import Packet
from av.stream import Stream

from ezav.errors import EzavError
from ezav.media.clip import Clip, FrameSpec
from ezav.media.collect import Collector, Converters, Wanted, note_losses
from ezav.media.container import Source, UnreadableError, open_source
from ezav.media.decode import Problems, decode, packets
from ezav.media.scan import Extent, scan

DEFAULT_SPEC = FrameSpec.uniform(8)
DEFAULT_RATE = 16_000
Decoder = Literal["pyav", "torchcodec"]
"""What decodes pictures; sound is always PyAV's."""
_IN_MEMORY = 50 << 20
"""Bytes up to which a file is read once and kept, encoded, until its frames are chosen."""


class TooLongError(EzavError):
    """A recording too long to be read as a whole."""


def read_clip(
    path: str | os.PathLike[str],
    *,
    video: FrameSpec | Iterable[FrameSpec] | None = DEFAULT_SPEC,
    audio: int | Iterable[int] | None = DEFAULT_RATE,
    longest: float | None = None,
    decoder: Decoder = "pyav",
) -> Clip:
    """Read a file's picture and sound, or the reason why there is none.

    The file is decoded once, whatever the number of frame specs and sample rates. A bad file is no
    error: what is missing has a reason, what is damaged a warning (:class:`ezav.media.Clip`).

    Args:
        path: a file in any container that FFmpeg reads.
        video: which frames (one spec or several); None leaves the picture out.
        audio: sample rates in Hz (one or several); None leaves the sound out.
        longest: refuse a recording that has more seconds, before anything is decoded. What the
            file says counts; of one that says nothing the packets do (one of more than 50 MB that
            says nothing is refused unread).
        decoder: "torchcodec" takes the pictures from there (:mod:`ezav.media.codec`): quicker
            where few frames of a long recording are wanted.

    Returns:
        RGB frames uint8 `[T, H, W, 3]`, upright, with square pixels; the waveform float32 `[S]`,
        the mean of all channels. Times are seconds from the first picture or sound.

    Raises:
        EzavError: a sample rate that is not positive, nothing is asked for, or torchcodec is not
            installed.
        TooLongError: it is longer than `longest`; :func:`ezav.media.read_windows` reads it.

    Example:
        >>> read_clip("no/such/clip.mp4").reason
        'no such file'
    """
    wanted = check_wanted(video, audio)
    try:
        if decoder == "torchcodec" and (seeking := _seeking(path, wanted, longest)) is not None:
            return seeking
        clip, promised, found = _read(path, wanted, longest)
        # A damaged file gives less than its packets promise: choose again from what there is.
        if clip.video and promised is not None and _differs(promised, found):
            clip = _decoded_again(path, wanted, found)
        return clip
    except UnreadableError as error:
        return unreadable(path, wanted, str(error))
    except MemoryError:
        return unreadable(path, wanted, "needs more memory than allowed")


def _seeking(path: str | os.PathLike[str], wanted: Wanted, longest: float | None) -> Clip | None:
    from ezav.media.codec import read_seeking  # it needs torch, which is slow to import

    if longest is not None:
        with open_source(Path(path)) as source:
            _refuse_long(source, path, longest)
    return read_seeking(path, wanted)


def check_wanted(
    video: FrameSpec | Iterable[FrameSpec] | None, audio: int | Iterable[int] | None
) -> Wanted:
    """The frame specs and sample rates as tuples without repeats."""
    specs = (video,) if isinstance(video, FrameSpec) else tuple(dict.fromkeys(video or ()))
    rates = (audio,) if isinstance(audio, int) else tuple(dict.fromkeys(audio or ()))
    for rate in rates:
        if not 0 < rate <= 768_000:
            raise EzavError(f"cannot give sound at {rate} samples a second", "16000 is usual")
    if not specs and not rates:
        raise EzavError("neither frames nor sound are asked for", "give video= or audio=")
    return Wanted(specs, rates)


def unreadable(path: str | os.PathLike[str], wanted: Wanted, reason: str) -> Clip:
    """A clip that gave nothing at all."""
    return Clip(
        path=os.fspath(path),
        video_missing=reason if wanted.specs else "",
        audio_missing=reason if wanted.rates else "",
    )


def restrict(source: Source, wanted: Wanted) -> Source:
    """The source without the streams that nobody asked for."""
    return source.only(video=bool(wanted.specs), audio=bool(wanted.rates))


def _read(
    path: str | os.PathLike[str], wanted: Wanted, longest: float | None
) -> tuple[Clip, Extent | None, Extent]:
    """The clip, the picture's extent as its packets promise (None: not needed) and as decoded."""
    with open_source(Path(path)) as source:
        if longest is not None:
            _refuse_long(source, path, longest)
        asked = restrict(source, wanted)
        if all(spec.every_frame for spec in wanted.specs):
            clip, found = _collect(path, asked, wanted, Extent(), Problems())
            return clip, None, found
        view = source.only(video=True, audio=False)
        if os.path.getsize(path) <= _IN_MEMORY:
            problems = Problems()
            read = list(packets(asked, problems))
            promised = scan(view, read).get("video", Extent())
            clip, found = _collect(path, asked, wanted, promised, problems, read)
            return clip, promised, found
        promised = scan(view).get("video", Extent())
    with open_source(Path(path)) as source:
        clip, found = _collect(path, restrict(source, wanted), wanted, promised, Problems())
        return clip, promised, found


def _decoded_again(path: str | os.PathLike[str], wanted: Wanted, picture: Extent) -> Clip:
    with open_source(Path(path)) as source:
        return _collect(path, restrict(source, wanted), wanted, picture, Problems())[0]


def _collect(
    path: str | os.PathLike[str],
    source: Source,
    wanted: Wanted,
    picture: Extent,
    problems: Problems,
    given: Iterable[Packet[Stream]] | None = None,
) -> tuple[Clip, Extent]:
    collector = Collector(wanted, Converters(source), picture, problems)
    for item in decode(source, problems, given):
        collector.add(item)
    note_losses(collector.extents, {"video": picture}, source, problems)
    return collector.clip(source, os.fspath(path), problems, collector.first), collector.picture


def _refuse_long(source: Source, path: str | os.PathLike[str], longest: float) -> None:
    length = source.claimed
    if length is None:
        size = os.path.getsize(path)
        if size > _IN_MEMORY:
            raise TooLongError(f"{size / 1e6:.0f} MB of unknown length")
        with open_source(Path(path)) as again:
            extents = [extent for extent in scan(again).values() if extent.length > 0]
        if not extents:
            return
        length = max(e.end for e in extents) - min(e.begin for e in extents)
    if length > longest:
        raise TooLongError(f"{length:.0f} s, more than {longest:.0f} s")


def _differs(promised: Extent, found: Extent) -> bool:
    """By more than a tenth of a second: the specs would choose other frames."""
    if promised.length == 0:
        return False
    return max(abs(promised.begin - found.begin), abs(promised.end - found.end)) > 0.1
