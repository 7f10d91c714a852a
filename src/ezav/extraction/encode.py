"""One file to the tokens of its picture and its sound: the one road, whoever asks.

A worker process (:mod:`ezav.extraction.worker`) goes it with a file, this process with a clip that
is decoded already.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

from ezav.encoders.base import AudioEncoder, VisualEncoder
from ezav.errors import EzavError
from ezav.extraction.encoded import EncodedClip, MediaEncoder, slotted
from ezav.extraction.gather import Gathered
from ezav.extraction.reading import Reading
from ezav.media import Clip, Decoder, FrameSpec, TooLongError, read_clip, read_windows

_LONG = 150.0
"""Seconds from which a recording is read and encoded in windows, so that memory stays bounded."""
_WINDOW = 60.0


def encode_clip(
    path: str | Path,
    visual: VisualEncoder | Sequence[VisualEncoder] | None,
    audio: AudioEncoder | Sequence[AudioEncoder] | None,
    *,
    use_damaged: bool = False,
    decoder: Decoder = "pyav",
) -> EncodedClip:
    """Decode a file once and encode what is there. A bad file gives a status, never an exception.

    Recordings of more than 150 s are encoded in windows of 60 s; encoders that ask for a number of
    frames get those of the whole. Works in this process; :class:`ezav.extraction.WorkerPool` gives
    the same and survives files that crash a decoder.

    Args:
        path: the file.
        visual, audio: the encoders, one or several; None leaves that modality out.
        use_damaged: keep the tokens of a file that is cut short (status "ok" with a reason).
        decoder: of pictures (:func:`ezav.media.read_clip`); windows are always PyAV's.

    Example:
        >>> encode_clip("no/such/clip.mp4", None, None).reason
        'no such file'
    """
    reading = Reading(use_damaged=use_damaged, decoder=decoder)
    return encode_slots(Path(path), slotted(visual, audio), reading).checked()


def encode_slots(path: Path, encoders: Mapping[str, MediaEncoder], reading: Reading) -> EncodedClip:
    """:func:`encode_clip` with the encoders by slot, the result not yet checked."""
    specs, rates = _wanted(encoders)
    gathered = Gathered(path, encoders)
    for piece in _pieces(path, specs, rates, reading.decoder):
        gathered.add(piece)
    return gathered.result(reading.use_damaged, whole=True)


def encode_windows(
    path: Path,
    encoders: Mapping[str, MediaEncoder],
    length: float,
    hop: float,
    shown: tuple[FrameSpec, int] | None = None,
    live: bool = False,
) -> Iterator[EncodedClip]:
    """The windows of a recording in order, each encoded as a clip of its own; not yet checked.

    Args:
        path: of the recording.
        encoders: slot -> encoder.
        length, hop: of the windows, in seconds (:func:`ezav.media.read_windows`).
        shown: frames and rate of the sound that each window's `shown` has; None: nothing is shown.
        live: it is a named pipe, read as it comes.

    Example:
        >>> [window.checked().reason for window in encode_windows(Path("no.mkv"), {}, 2.0, 1.0)]
        ['no such file']
    """
    specs, rates = _wanted(encoders)
    if shown is not None:
        specs, rates = list({*specs, shown[0]}), list({*rates, shown[1]})
    for window in read_windows(path, length, hop, video=specs, audio=rates, live=live):
        gathered = Gathered(path, encoders)
        gathered.add(replace(window, start=0.0))
        small = None if shown is None else _small(window, *shown)
        yield replace(gathered.result(use_damaged=True), start=window.start, shown=small)


def _small(window: Clip, frames: FrameSpec, rate: int) -> Clip:
    """What is shown of a window, without what its encoders take."""
    return replace(
        window,
        start=0.0,
        video={frames: window.video[frames]} if frames in window.video else {},
        audio={rate: window.audio[rate]} if rate in window.audio else {},
    )


def encode_decoded(clip: Clip, encoders: Mapping[str, MediaEncoder]) -> EncodedClip:
    """The tokens of a clip that is decoded already, or the reason why there are none.

    Raises:
        EzavError: it was decoded for other needs than these encoders'.

    Example:
        >>> encode_decoded(read_clip("no/such/clip.mp4"), {}).error
        'no such file'
    """
    for encoder in encoders.values():
        needs = encoder.card.needs
        if clip.video and needs.frame_spec is not None and needs.frame_spec not in clip.video:
            raise EzavError(
                f"'{clip.path}' was decoded for other frames than those of '{encoder.card.name}'",
                f"read it with `video={needs.frame_spec!r}`, or give the path",
            )
        if clip.audio and needs.sample_rate is not None and needs.sample_rate not in clip.audio:
            raise EzavError(
                f"'{clip.path}' was decoded at another sample rate than that of "
                f"'{encoder.card.name}'",
                f"read it with `audio={needs.sample_rate}`, or give the path",
            )
    gathered = Gathered(Path(clip.path), encoders)
    gathered.add(clip)
    return gathered.result(use_damaged=True).checked()


def _wanted(encoders: Mapping[str, MediaEncoder]) -> tuple[list[FrameSpec], list[int]]:
    needs = [encoder.card.needs for encoder in encoders.values()]
    specs = [need.frame_spec for need in needs if need.frame_spec is not None]
    rates = [need.sample_rate for need in needs if need.sample_rate is not None]
    return (specs, rates) if specs or rates else ([FrameSpec.middle()], [])


def _pieces(
    path: Path, specs: list[FrameSpec], rates: list[int], decoder: Decoder
) -> Iterator[Clip]:
    """The whole clip, or its windows where it is long."""
    try:
        yield read_clip(path, video=specs, audio=rates, longest=_LONG, decoder=decoder)
        return
    except TooLongError:
        pass
    counted = [spec for spec in specs if spec.count is not None]
    others = [spec for spec in specs if spec.count is None]
    windows: Iterator[Clip] = iter(())
    heads: list[Clip] = []
    if others or rates:
        windows = read_windows(path, _WINDOW, video=others, audio=rates)
        heads.append(next(windows))
    if counted:
        heads.append(read_clip(path, video=counted, audio=None, decoder=decoder))
    # Each counts from the first of what it reads; all shall count from the first of the file.
    first = min((head.origin for head in heads if head.video or head.audio), default=0.0)
    for piece in chain(heads, windows):
        yield replace(piece, start=piece.start + max(0.0, piece.origin - first))
