"""One file to the tokens of its picture and its sound."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from ezav.encoders.base import AudioEncoder, Encoded, VisualEncoder
from ezav.errors import EzavError
from ezav.extraction.wire import Arrays
from ezav.media import (
    Clip,
    Decoder,
    Frames,
    FrameSpec,
    TooLongError,
    Waveform,
    read_clip,
    read_windows,
)

OK, DAMAGED, UNREADABLE = "ok", "damaged", "unreadable"
OUT_OF_MEMORY = "needs more memory than allowed"
NO_TOKENS = "the encoders gave no tokens"

_LONG = 150.0
"""Seconds from which a recording is read and encoded in windows, so that memory stays bounded."""
_WINDOW = 60.0
_MOST_REASONS = 5


@dataclass(frozen=True, slots=True)
class EncodedClip:
    """What became of one file.

    Attributes:
        tokens: slot -> tokens float32 `[T, d]` and their times `[T]`; a slot whose modality is
            missing is not there. `visual` and `audio` are the slots of the first encoders.
        duration: seconds decoded.
        status: "ok", "damaged" (cut short, no tokens) or "unreadable" (no tokens).
        reason: what is missing or wrong; empty for a whole clip.
        frames: frames decoded.
        path: the file.
        failed: slot -> what is wrong, of encoders that could not take it. The clip is unreadable
            then, though it has the tokens of the others.
        remarks: what the reason would be if they had not failed.
    """

    tokens: Mapping[str, Encoded] = field(default_factory=dict)
    duration: float = 0.0
    status: str = OK
    reason: str = ""
    frames: int = 0
    path: Path = field(default=Path())
    failed: Mapping[str, str] = field(default_factory=dict)
    remarks: str = ""

    @property
    def visual(self) -> Encoded | None:
        """Of the first visual encoder."""
        return self.tokens.get("visual")

    @property
    def audio(self) -> Encoded | None:
        """Of the first audio encoder."""
        return self.tokens.get("audio")

    def checked(self) -> EncodedClip:
        """The clip; unreadable where an encoder failed, or where it has no tokens but should."""
        if self.status == OK and self.failed:
            reason = next(iter(self.failed.values()))
            return replace(self, status=UNREADABLE, reason=reason, remarks=self.reason)
        if self.status == OK and not self.tokens:
            return replace(self, status=UNREADABLE, reason=self.reason or NO_TOKENS)
        return self

    def of_pair(self, visual: str, audio: str) -> EncodedClip:
        """What the encoders of two slots gave, as `visual` and `audio`; others may have failed.

        Example:
            >>> one = Encoded(np.ones((1, 2), np.float32), np.zeros(1, np.float32))
            >>> clip = EncodedClip(tokens={"visual 2": one})
            >>> clip.of_pair("visual 2", "audio").visual is one
            True
            >>> clip.of_pair("visual", "audio").reason
            'the encoders gave no tokens'
        """
        slots = (("visual", visual), ("audio", audio))
        tokens = {kind: self.tokens[slot] for kind, slot in slots if slot in self.tokens}
        failed = {kind: self.failed[slot] for kind, slot in slots if slot in self.failed}
        clip = replace(self, tokens={} if failed else tokens, failed=failed)
        if self.failed:
            clip = replace(clip, status=OK, reason=self.remarks)
        return clip.checked()

    def message(self) -> tuple[dict[str, Any], Arrays]:
        """The clip as another process may send it (:mod:`ezav.extraction.wire`)."""
        head = {
            "status": self.status,
            "reason": self.reason,
            "duration": self.duration,
            "frames": self.frames,
            "failed": dict(self.failed),
            "remarks": self.remarks,
        }
        arrays: Arrays = {}
        for slot, (values, times) in self.tokens.items():
            arrays[f"{slot}.values"], arrays[f"{slot}.times"] = values, times
        return head, arrays

    @classmethod
    def of(cls, head: Mapping[str, Any], arrays: Arrays, path: Path) -> EncodedClip:
        """What :meth:`message` gave."""
        slots = [name.removesuffix(".values") for name in arrays if name.endswith(".values")]
        return cls(
            tokens={
                slot: Encoded(arrays[f"{slot}.values"], arrays[f"{slot}.times"]) for slot in slots
            },
            duration=float(head["duration"]),
            status=str(head["status"]),
            reason=str(head["reason"]),
            frames=int(head["frames"]),
            path=path,
            failed=dict(head["failed"]),
            remarks=str(head["remarks"]),
        )


def slotted(visual: Any, audio: Any) -> dict[str, Any]:
    """Encoders (or their specs) by slot: "visual", "visual 2", …, "audio", "audio 2", …

    Args:
        visual, audio: one, several, or None.

    Example:
        >>> slotted(["a", "b"], None), slotted("a", "c")
        ({'visual': 'a', 'visual 2': 'b'}, {'visual': 'a', 'audio': 'c'})
    """
    found: dict[str, Any] = {}
    for kind, given in (("visual", visual), ("audio", audio)):
        several = given if isinstance(given, list | tuple) else [given]
        for number, one in enumerate(several, start=1):
            if one is not None:
                found[kind if number == 1 else f"{kind} {number}"] = one
    return found


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
    frames get those of the whole.

    Args:
        path: the file.
        visual, audio: the encoders, one or several; None leaves that modality out.
        use_damaged: keep the tokens of a file that is cut short (status "ok" with a reason).
        decoder: of pictures (:func:`ezav.media.read_clip`); windows are always PyAV's.

    Example:
        >>> encode_clip("no/such/clip.mp4", None, None).reason
        'no such file'
    """
    return encode_slots(Path(path), slotted(visual, audio), use_damaged, decoder).checked()


def encode_slots(
    path: Path, encoders: Mapping[str, Any], use_damaged: bool, decoder: Decoder
) -> EncodedClip:
    """:func:`encode_clip` with the encoders by slot, the result not yet checked."""
    needs = [encoder.card.needs for encoder in encoders.values()]
    specs = [need.frame_spec for need in needs if need.frame_spec is not None]
    rates = [need.sample_rate for need in needs if need.sample_rate is not None]
    if not specs and not rates:
        specs = [FrameSpec.middle()]
    gathered = _Gathered(path, encoders)
    for piece in _pieces(path, specs, rates, decoder):
        gathered.add(piece)
    return gathered.result(use_damaged)


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


class EncoderError(Exception):
    """An encoder raised; the text says which and why."""


class _Gathered:
    """The tokens of the pieces of one recording, and what was wrong with them."""

    def __init__(self, path: Path, encoders: Mapping[str, Any]) -> None:
        self.path = path
        self.encoders = encoders
        self.tokens: dict[str, list[Encoded]] = {}
        self.failed: dict[str, str] = {}
        self.missing: dict[str, dict[str, None]] = {"visual": {}, "audio": {}}
        self.warnings: dict[str, None] = {}
        self.truncated = False
        self.duration = 0.0
        self.frames = 0

    def add(self, piece: Clip) -> None:
        """Encode a piece; its frames and sound are let go."""
        for kind, reason in (("visual", piece.video_missing), ("audio", piece.audio_missing)):
            if reason:
                self.missing[kind].setdefault(reason)
        for slot, encoder in self.encoders.items():
            needs = encoder.card.needs
            media: Frames | Waveform | None
            if slot.startswith("visual"):
                media = None if needs.frame_spec is None else piece.video.get(needs.frame_spec)
            else:
                media = None if needs.sample_rate is None else piece.audio.get(needs.sample_rate)
            if media is None or slot in self.failed:
                continue
            try:
                ((values, times),) = encode_checked(encoder, [media])
            except EncoderError as error:
                self.failed[slot] = str(error)
                continue
            if len(values):
                tokens = Encoded(values, times + np.float32(piece.start))
                self.tokens.setdefault(slot, []).append(tokens)
        told = dict.fromkeys(piece.warnings)
        # Of a long list only the first are kept: those that make a clip damaged are among them.
        self.warnings = told | self.warnings if piece.truncated else self.warnings | told
        self.truncated |= piece.truncated
        self.duration = max(self.duration, piece.start + piece.duration)
        self.frames += piece.frames_decoded

    def result(self, use_damaged: bool) -> EncodedClip:
        """What became of the file."""
        found = {
            slot: tokens
            for slot, parts in self.tokens.items()
            if slot not in self.failed and (tokens := joined(parts)) is not None
        }
        reasons = [
            reason
            for kind, missing in self.missing.items()
            if not any(slot.startswith(kind) for slot in found)
            for reason in missing
        ]
        reasons = list(dict.fromkeys([*reasons, *self.warnings]))[:_MOST_REASONS]
        status, failed = OK, self.failed
        if (found or failed) and self.truncated and not use_damaged:
            status, found, failed = DAMAGED, {}, {}
        return EncodedClip(
            tokens=found,
            duration=self.duration,
            status=status,
            reason="; ".join(reasons),
            frames=self.frames,
            path=self.path,
            failed=failed,
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
