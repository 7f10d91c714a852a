"""What became of one file: the tokens of every encoder, or the reason why there are none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ezav.encoders.base import Encoded, EncoderCard
from ezav.extraction.shown import finite, shown_message, shown_of, text
from ezav.extraction.wire import Arrays
from ezav.media import Clip

OK, DAMAGED, UNREADABLE = "ok", "damaged", "unreadable"
OUT_OF_MEMORY = "needs more memory than allowed"
NO_TOKENS = "the encoders gave no tokens"


class MediaEncoder(Protocol):
    """An encoder of pictures or of sound, whichever its card asks for."""

    @property
    def card(self) -> EncoderCard: ...

    def encode(self, clips: Sequence[Any], /) -> list[Encoded]: ...


@dataclass(frozen=True, slots=True)
class EncodedClip:
    """What became of one file, or of one window of it.

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
        missing: "visual" and "audio" -> why the file has no such stream.
        warnings: what was wrong with a file that could still be read.
        start: seconds from the beginning of the recording; 0 but for windows, whose times are
            counted from there.
        claimed: seconds that the file says it has; None if it does not say.
        lost: the process that read it crashed or was ended, and what it had is gone.
        shown: the clip decoded small for display, where that was asked for.
    """

    tokens: Mapping[str, Encoded] = field(default_factory=dict)
    duration: float = 0.0
    status: str = OK
    reason: str = ""
    frames: int = 0
    path: Path = field(default=Path())
    failed: Mapping[str, str] = field(default_factory=dict)
    remarks: str = ""
    missing: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    start: float = 0.0
    claimed: float | None = None
    lost: bool = False
    shown: Clip | None = None

    @property
    def visual(self) -> Encoded | None:
        """Of the first visual encoder."""
        return self.tokens.get("visual")

    @property
    def audio(self) -> Encoded | None:
        """Of the first audio encoder."""
        return self.tokens.get("audio")

    @property
    def error(self) -> str:
        """Why there are no features; empty where there are."""
        return "" if self.status == OK else self.reason or self.status

    def lacks(self, slots: Iterable[str] = ("audio", "visual")) -> dict[str, str]:
        """Slot -> why there are no tokens, of those without.

        Example:
            >>> EncodedClip(missing={"audio": "no audio stream"}).lacks()
            {'audio': 'no audio stream', 'visual': 'too short for the visual encoder'}
        """
        return {
            slot: self.missing.get(kind_of(slot)) or f"too short for the {slot} encoder"
            for slot in slots
            if slot not in self.tokens
        }

    def checked(self) -> EncodedClip:
        """The clip; unreadable where an encoder failed, or where it has no tokens but should.

        Example:
            >>> EncodedClip(failed={"audio": "'x' failed: no weights"}).checked().reason
            "'x' failed: no weights"
        """
        if self.status == OK and self.failed:
            reason = next(iter(self.failed.values()))
            return replace(self, status=UNREADABLE, reason=reason, remarks=self.reason)
        if self.status == OK and not self.tokens:
            return replace(self, status=UNREADABLE, reason=self.reason or NO_TOKENS)
        return self

    def of_pair(self, visual: str, audio: str) -> EncodedClip:
        """What the encoders of two slots gave, as `visual` and `audio`; others may have failed.

        Example:
            >>> import numpy as np
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
        head: dict[str, Any] = {
            "status": self.status,
            "reason": self.reason,
            "duration": self.duration,
            "frames": self.frames,
            "failed": dict(self.failed),
            "remarks": self.remarks,
            "missing": dict(self.missing),
            "warnings": list(self.warnings),
            "start": self.start,
            "claimed": self.claimed,
            "lost": self.lost,
        }
        arrays: Arrays = {}
        for slot, (values, times) in self.tokens.items():
            arrays[f"{slot}.values"], arrays[f"{slot}.times"] = values, times
        if self.shown is not None:
            head["shown"], shown = shown_message(self.shown)
            arrays |= shown
        return head, arrays

    @classmethod
    def of(cls, head: Mapping[str, Any], arrays: Arrays, path: Path) -> EncodedClip:
        """What :meth:`message` gave; nothing is believed of it.

        Raises:
            ValueError, LookupError, TypeError, AttributeError: it makes no sense.

        Example:
            >>> clip = EncodedClip(reason="no audio stream", duration=2.0)
            >>> EncodedClip.of(*clip.message(), Path()) == clip
            True
        """
        slots = [name.removesuffix(".values") for name in arrays if name.endswith(".values")]
        claimed, frames, status = head["claimed"], head["frames"], head["status"]
        if status not in (OK, DAMAGED, UNREADABLE) or type(frames) is not int:
            raise ValueError("a clip of another kind")
        return cls(
            tokens={slot: _tokens(arrays, slot) for slot in slots},
            duration=finite(head["duration"]),
            status=status,
            reason=text(head["reason"]),
            frames=frames,
            path=path,
            failed=_texts(head["failed"]),
            remarks=text(head["remarks"]),
            missing=_texts(head["missing"]),
            warnings=tuple(map(text, head["warnings"])),
            start=finite(head["start"]),
            claimed=None if claimed is None else finite(claimed),
            lost=head["lost"] is True,
            shown=shown_of(head["shown"], arrays, path) if "shown" in head else None,
        )


def _tokens(arrays: Arrays, slot: str) -> Encoded:
    values, times = arrays[f"{slot}.values"], arrays[f"{slot}.times"]
    if values.ndim != 2 or times.shape != (len(values),):
        raise ValueError("tokens of another shape")
    if not np.isfinite(values).all() or not np.isfinite(times).all():
        raise ValueError("tokens that are not finite")
    return Encoded(values, times)


def _texts(told: Mapping[str, Any]) -> dict[str, str]:
    return {text(name): text(value) for name, value in told.items()}


def slotted(visual: Any, audio: Any) -> dict[str, Any]:
    """Encoders (or their specs) by slot: "visual", "visual 2", …, "audio", "audio 2", …

    Args:
        visual, audio: one, several (a list or tuple), or None.

    Example:
        >>> slotted(["a", "b"], None), slotted("a", "c")
        ({'visual': 'a', 'visual 2': 'b'}, {'visual': 'a', 'audio': 'c'})
    """
    found: dict[str, Any] = {}
    for kind, given in (("visual", visual), ("audio", audio)):
        several: Sequence[Any] = given if isinstance(given, list | tuple) else [given]
        for number, one in enumerate(several, start=1):
            if one is not None:
                found[kind if number == 1 else f"{kind} {number}"] = one
    return found


def kind_of(slot: str) -> str:
    """The kind of the encoders of a slot.

    Example:
        >>> kind_of("visual 2"), kind_of("audio")
        ('visual', 'audio')
    """
    return slot.split()[0]
