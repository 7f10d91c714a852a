"""One file to the tokens of its picture and its sound."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ezav.encoders.base import AudioEncoder, Encoded, VisualEncoder
from ezav.errors import EzavError
from ezav.extraction.wire import Arrays
from ezav.media import Clip, FrameSpec, TooLongError, read_clip, read_windows

OK, DAMAGED, UNREADABLE = "ok", "damaged", "unreadable"
OUT_OF_MEMORY = "needs more memory than allowed"

_LONG = 150.0
"""Seconds from which a recording is read and encoded in windows, so that memory stays bounded."""
_WINDOW = 60.0
_MOST_REASONS = 5


@dataclass(frozen=True, slots=True)
class EncodedClip:
    """What became of one file.

    Attributes:
        visual, audio: tokens float32 `[T, d]` and their times `[T]`, or None where it is missing.
        duration: seconds decoded.
        status: "ok", "damaged" (cut short, no tokens) or "unreadable" (no tokens).
        reason: what is missing or wrong; empty for a whole clip.
        frames: frames decoded.
        path: the file.
        encoder_failed: it is unreadable because an encoder raised an exception.
    """

    visual: Encoded | None = None
    audio: Encoded | None = None
    duration: float = 0.0
    status: str = OK
    reason: str = ""
    frames: int = 0
    path: Path = field(default=Path())
    encoder_failed: bool = False

    def message(self) -> tuple[dict[str, Any], Arrays]:
        """The clip as another process may send it (:mod:`ezav.extraction.wire`)."""
        head = {
            "status": self.status,
            "reason": self.reason,
            "duration": self.duration,
            "frames": self.frames,
            "encoder_failed": self.encoder_failed,
        }
        arrays: Arrays = {}
        for name, tokens in (("visual", self.visual), ("audio", self.audio)):
            if tokens is not None:
                arrays[f"{name}.values"], arrays[f"{name}.times"] = tokens
        return head, arrays

    @classmethod
    def of(cls, head: Mapping[str, Any], arrays: Arrays, path: Path) -> EncodedClip:
        """What :meth:`message` gave."""
        tokens = {
            name: Encoded(arrays[f"{name}.values"], arrays[f"{name}.times"])
            for name in ("visual", "audio")
            if f"{name}.values" in arrays
        }
        return cls(
            visual=tokens.get("visual"),
            audio=tokens.get("audio"),
            duration=float(head["duration"]),
            status=str(head["status"]),
            reason=str(head["reason"]),
            frames=int(head["frames"]),
            path=path,
            encoder_failed=bool(head["encoder_failed"]),
        )


def encode_clip(
    path: str | Path,
    visual: VisualEncoder | None,
    audio: AudioEncoder | None,
    *,
    use_damaged: bool = False,
) -> EncodedClip:
    """Decode a file once and encode what is there. A bad file gives a status, never an exception.

    Recordings of more than 150 s are encoded in windows of 60 s, unless the visual encoder asks for
    a number of frames of the whole.

    Args:
        path: the file.
        visual, audio: the encoders; None leaves that modality out.
        use_damaged: keep the tokens of a file that is cut short (status "ok" with a reason).

    Example:
        >>> encode_clip("no/such/clip.mp4", None, None).reason
        'no such file'
    """
    spec = None if visual is None else visual.card.needs.frame_spec
    rate = None if audio is None else audio.card.needs.sample_rate
    if spec is None and rate is None:
        spec = FrameSpec.middle()
    gathered = _Gathered(Path(path), visual, audio)
    try:
        for piece in _pieces(Path(path), spec, rate):
            gathered.add(piece)
    except EncoderError as error:
        return EncodedClip(
            status=UNREADABLE, reason=str(error), path=Path(path), encoder_failed=True
        )
    return gathered.result(use_damaged)


def _pieces(path: Path, spec: FrameSpec | None, rate: int | None) -> Iterator[Clip]:
    """The whole clip, or its windows where it is long."""
    try:
        yield read_clip(path, video=spec, audio=rate, longest=_LONG)
        return
    except TooLongError:
        pass
    if spec is not None and spec.count is not None:
        yield read_clip(path, video=spec, audio=None)
        spec = None
    if spec is not None or rate is not None:
        yield from read_windows(path, _WINDOW, video=spec, audio=rate)


class EncoderError(Exception):
    """An encoder raised; the text says which and why."""


class _Gathered:
    """The tokens of the pieces of one recording, and what was wrong with them."""

    def __init__(
        self, path: Path, visual: VisualEncoder | None, audio: AudioEncoder | None
    ) -> None:
        self.path = path
        self.encoders: dict[str, Any] = {"video": visual, "audio": audio}
        self.tokens: dict[str, list[Encoded]] = {"video": [], "audio": []}
        self.missing: dict[str, dict[str, None]] = {"video": {}, "audio": {}}
        self.warnings: dict[str, None] = {}
        self.truncated = False
        self.duration = 0.0
        self.frames = 0

    def add(self, piece: Clip) -> None:
        """Encode a piece; its frames and sound are let go."""
        media = {"video": piece.frames, "audio": piece.waveform}
        reasons = {"video": piece.video_missing, "audio": piece.audio_missing}
        for name, encoder in self.encoders.items():
            if reasons[name]:
                self.missing[name].setdefault(reasons[name])
            if encoder is None or media[name] is None:
                continue
            ((values, times),) = encode_checked(encoder, [media[name]])
            if len(values):
                self.tokens[name].append(Encoded(values, times + np.float32(piece.start)))
        self.warnings |= dict.fromkeys(piece.warnings)
        self.truncated |= piece.truncated
        self.duration = max(self.duration, piece.start + piece.duration)
        self.frames += piece.frames_decoded

    def result(self, use_damaged: bool) -> EncodedClip:
        """What became of the file."""
        found = {name: joined(tokens) for name, tokens in self.tokens.items()}
        reasons = [
            reason
            for name, missing in self.missing.items()
            if found[name] is None
            for reason in missing
        ]
        reasons = list(dict.fromkeys([*reasons, *self.warnings]))[:_MOST_REASONS]
        status = OK
        if found["video"] is None and found["audio"] is None:
            status = UNREADABLE
            reasons = reasons or ["the encoders gave no tokens"]
        elif self.truncated and not use_damaged:
            status = DAMAGED
            found = {}
        return EncodedClip(
            visual=found.get("video"),
            audio=found.get("audio"),
            duration=self.duration,
            status=status,
            reason="; ".join(reasons),
            frames=self.frames,
            path=self.path,
        )


def joined(tokens: Sequence[Encoded]) -> Encoded | None:
    """The tokens of consecutive pieces as one; None if there are none."""
    if not tokens:
        return None
    values, times = zip(*tokens)
    return Encoded(np.concatenate(values), np.concatenate(times))


def encode_checked(encoder: Any, media: Sequence[Any]) -> list[Encoded]:
    """The tokens of some pieces of media.

    Raises:
        EncoderError: the encoder raised, or gave something else than its card promises.
    """
    name, dim = encoder.card.name, encoder.card.dimension
    try:
        found = encoder.encode(media)
    except MemoryError:
        raise
    except Exception as error:
        kind = "" if isinstance(error, EzavError) else f"{type(error).__name__}: "
        raise EncoderError(f"'{name}' failed: {kind}{' '.join(str(error).split())}") from error
    checked = []
    for tokens in found:
        values, times = (np.asarray(part, dtype=np.float32) for part in tokens)
        if values.ndim != 2 or values.shape[1] != dim or times.shape != (len(values),):
            raise EncoderError(
                f"'{name}' gave tokens {values.shape} with times {times.shape}, "
                f"expected [T, {dim}] and [T]"
            )
        if not (np.isfinite(values).all() and np.isfinite(times).all()):
            raise EncoderError(f"'{name}' gave features that are not finite")
        checked.append(Encoded(values, times))
    if len(checked) != len(media):
        raise EncoderError(f"'{name}' gave tokens for {len(checked)} of {len(media)} clips")
    return checked
