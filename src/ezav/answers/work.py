"""Files to entries of the journal: read in parallel, answered among every list of names."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ezav.answers.journal import Entry, Journal, stamp_of
from ezav.answers.lists import Lists
from ezav.answers.row import answer_of
from ezav.answers.sheet import pictures_of
from ezav.errors import EzavError
from ezav.extraction.blame import encoders_work
from ezav.extraction.encoded import EncodedClip
from ezav.extraction.look import Look
from ezav.recognizer import Recognizer
from ezav.recognizer.prediction import Prediction

_BATCH = 16
"""Clips that are answered, and noted, at once; or those of a second."""
LOOK = Look(longest=600.0, refuse=False, count=3, short_side=96)
"""What a contact sheet shows of a clip."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerSettings:
    """How files are read and answered."""

    workers: int | None = None
    """Read in so many processes; by default one for each CPU."""
    retry: bool = False
    """Read again what could not be read earlier."""
    together: bool = False
    """Of a frozen recogniser: answer the clips jointly."""
    several: bool = False
    """Each class on its own: all names that a clip shows."""
    allow_outside: bool = False
    """Accept manifest paths that are absolute or lead out of the manifest's folder."""

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise EzavError(f"`workers` must be at least 1, not {self.workers}")
        if self.several and self.together:
            raise EzavError("both `several` and `together` are given", "leave one of them out")


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be read and answered, and what is known.

    Attributes:
        recognizer: answers.
        lists: name of the list -> candidates.
        journal: where entries go.
        home: its folder, which files are relative to.
        look: what is shown of a clip on a contact sheet; None where there is none.
    """

    recognizer: Recognizer
    lists: Lists
    journal: Journal
    home: Path
    look: Look | None

    def todo(self, files: Sequence[Path], settings: AnswerSettings) -> list[Path]:
        """Those whose answers are not known, or of which a picture is lacking; all, or none, where
        they are answered together."""
        found = [file for file in files if not self._known(file, settings.retry)]
        others = len(files) != len(self.journal.entries)
        return list(files) if settings.together and (found or others) else found

    def _known(self, file: Path, retry: bool) -> bool:
        entry = self.journal.entries.get(relative(file, self.home))
        if entry is None or entry.stamp != stamp_of(file) or (retry and entry.unread):
            return False
        return self.look is None or entry.pictures is not None

    def answered(self, todo: Sequence[Path], settings: AnswerSettings) -> Iterator[Entry]:
        """Read and answer; every entry is in the journal before it is given."""
        if not todo:
            return
        before = self.journal.entries
        stamps = [stamp_of(file) for file in todo]
        worked = any(not one.unread for one in before.values())
        again = {at for at, file in enumerate(todo) if self._unread(file)}
        read = encoders_work(
            self.recognizer.reader.each(todo, settings.workers, self.look),
            again=again,
            proven=self.recognizer.encoders.kinds if worked else (),
        )
        for some in _batches(read, None if settings.together else _BATCH):
            clips = [clip for _, clip in some]
            told = [self._predictions(name, clips, settings) for name in self.lists]
            entries = [
                self._entry(todo[at], stamps[at], clip, [of[row] for of in told])
                for row, (at, clip) in enumerate(some)
            ]
            self.journal.append(entries)
            yield from entries

    def _unread(self, file: Path) -> bool:
        entry = self.journal.entries.get(relative(file, self.home))
        return entry is not None and entry.unread

    def _predictions(
        self, name: str, clips: list[EncodedClip], settings: AnswerSettings
    ) -> list[Prediction]:
        return self.recognizer.predict(
            clips,
            classes=self.lists[name],
            top_k=2,
            together=settings.together,
            several=settings.several,
        )

    def _entry(
        self, file: Path, stamp: tuple[int, int], clip: EncodedClip, told: list[Prediction]
    ) -> Entry:
        rows = []
        for name, prediction in zip(self.lists, told, strict=True):
            columns = answer_of(prediction, "", name).columns()
            rows.append({k: v for k, v in columns.items() if k not in ("file", "correct")})
        pictures = None if self.look is None else pictures_of(clip.shown)
        return Entry(
            file=relative(file, self.home), stamp=stamp, rows=tuple(rows), pictures=pictures
        )


def _batches(
    read: Iterator[tuple[int, EncodedClip]], size: int | None
) -> Iterator[list[tuple[int, EncodedClip]]]:
    """So many at a time, or what a second gave; all at once where there is no size."""
    some: list[tuple[int, EncodedClip]] = []
    begun = time.monotonic()
    for one in read:
        some.append(one)
        if size is not None and (len(some) >= size or time.monotonic() - begun > 1):
            yield some
            some, begun = [], time.monotonic()
    if some:
        yield some


def relative(file: Path, folder: Path) -> str:
    """The file as seen from the folder, with `/`; absolute where they have nothing in common."""
    if len(Path(os.path.commonpath([file, folder])).parts) < 2:
        return file.as_posix()
    return Path(os.path.relpath(file, folder)).as_posix()
