"""One clip of a visitor's table: what was read of it, its answer, and what the visitor said."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from ezav.answers.row import Answer, answer_of
from ezav.extraction.encoded import EncodedClip
from ezav.media import Clip
from ezav.naming import shown
from ezav.recognizer import Prediction
from ezav.reports.thumbnails import Image, frame_images, sound_strip


@dataclass(frozen=True, slots=True)
class Pictures:
    """What a clip looks and sounds like, small."""

    frames: tuple[Image, ...] = ()
    sound: Image | None = None
    duration: float = 0.0

    @classmethod
    def of(cls, clip: Clip) -> Pictures:
        """Of a clip that was decoded for display."""
        frames = () if clip.frames is None else tuple(frame_images(clip.frames))
        wave = clip.waveform
        sound = None if wave is None else sound_strip(wave, clip.duration)
        return cls(frames, sound, clip.duration)

    @property
    def small(self) -> str:
        """The one that stands for the clip, as a data URI; empty where there is none."""
        if self.frames:
            return self.frames[len(self.frames) // 2].uri
        return self.sound.uri if self.sound else ""


@dataclass(slots=True, eq=False)
class Kept:
    """A clip in the table.

    Attributes:
        number: of the clip, its own within the visit.
        file: what the visitor calls it.
        encoded: its features; None where it could not be read.
        error: why it could not be read, in words for the visitor.
        found: its answer; None where there are no names yet.
        correct: what it is, as the visitor says.
        learned: it was taught as that.
    """

    number: int
    file: str
    encoded: EncodedClip | None = None
    pictures: Pictures = field(default_factory=Pictures)
    error: str = ""
    found: Prediction | None = None
    correct: str = ""
    learned: bool = False

    @property
    def size(self) -> int:
        """Bytes that it takes, about."""
        total = 4_000 + sum(len(one.data) for one in self.pictures.frames)
        if self.pictures.sound is not None:
            total += len(self.pictures.sound.data)
        if self.encoded is not None:
            for one in self.encoded.tokens.values():
                total += sum(getattr(part, "nbytes", 0) for part in (one.values, one.times))
        return total

    def answer(self, among: str) -> Answer:
        """The row of a table of answers, with what the visitor said."""
        error = self.error or "no names to choose from"
        told = self.found or Prediction(clip=self.file, error=error)
        return replace(answer_of(told, self.file, among), correct=self.correct)

    def row(self) -> dict[str, Any]:
        """What the page shows of it."""
        known = self.found is not None
        told = self.answer("") if known else Answer(file=self.file, among="", error=self.error)
        columns = {
            name: shown(value) if isinstance(value, str) else value
            for name, value in told.columns().items()
            if name != "among"
        }
        return {
            **columns,
            "correct": self.correct,
            "number": self.number,
            "learned": self.learned,
            "picture": self.pictures.small,
        }
