"""The clips of one visitor, and their answers among the names that the visitor chose."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from ezav.answers.lists import RUN
from ezav.answers.table import as_csv
from ezav.encoders.descriptions import typed
from ezav.errors import EzavError, NotFoundError, RefusedError
from ezav.naming import clean, same, shown
from ezav.recognizer import Prediction, Recognizer
from ezav.recognizer.frozen import Frozen
from ezav.recognizer.frozen_folder import named
from ezav.web.kept import Kept, Pictures
from ezav.web.reading import Looked
from ezav.web.settings import WebSettings

SHOWN = 8
"""Ranked names of a clip."""


class Clips:
    """A table of clips, each answered; what one visitor has changes nobody else's answers.

    Args:
        recognizer: the server's, which stays as it is.
        settings: how many clips and names.
        computing: held while anything is computed, by all visitors.
        names: to choose from, one a line; empty: the classes of the run.
    """

    def __init__(
        self,
        recognizer: Recognizer,
        settings: WebSettings,
        computing: threading.RLock,
        names: str = "",
    ) -> None:
        self.recognizer = recognizer.apart()
        self.names = names
        self.clips: dict[int, Kept] = {}
        self.used = time.monotonic()
        self._settings = settings
        self._lock, self._computing = threading.RLock(), computing
        self._number = 0
        self._names_size = 0
        """Bytes of the vectors of new names."""

    @property
    def size(self) -> int:
        """Bytes that are kept, about."""
        names = self._names_size + 3 * sys.getsizeof(self.names)  # as text, as lines, as asked for
        return names + sum(one.size for one in list(self.clips.values()))

    def clip(self, number: int) -> Kept:
        """A clip of the table.

        Raises:
            NotFoundError: it was taken out.
        """
        if number not in self.clips:
            raise NotFoundError("this clip is not in the table any more")
        return self.clips[number]

    def add(
        self, file: str, read: Looked | EzavError, shows: str = "", explain: bool = False
    ) -> Kept:
        """Put a clip into the table, answered.

        Args:
            file: what the visitor calls it.
            read: what was read, or why that could not be.
            shows: the class that it is to teach.
            explain: with what speaks for the answer.
        """
        file = clean(file)[:400] or "clip"
        with self._doing():
            self.check_room()
            self._number += 1
            one = Kept(self._number, file)
            if isinstance(read, EzavError):
                one.error = shown(read.message)
            else:
                one.encoded = replace(read.encoded, path=Path(file), shown=None)
                one.pictures = Pictures.of(read.shown)
                one.correct = self._called(shows) if shows else ""
                self._answer([one], explain)
            self.clips[one.number] = one
            return one

    def check_room(self) -> None:
        """Raise where the table is full.

        Raises:
            RefusedError: it is.
        """
        most = self._settings.max_clips
        if len(self.clips) >= most:
            raise RefusedError(
                f"the table is full: {most:,} clips",
                "take some out; 'ezav predict --out' takes any number",
            )

    def ask(self, names: str) -> None:
        """Choose among other names; every clip is answered again.

        Raises:
            EzavError: a bad list; the names stay as they were.
        """
        with self._doing():
            self._take_names(names)

    def remove(self, numbers: Sequence[int]) -> None:
        """Take clips out of the table; what was learned of them stays."""
        with self._doing():
            for number in numbers:
                self.clips.pop(number, None)

    def explained(self, number: int) -> tuple[Kept, Prediction | None]:
        """A clip, and its answer with what speaks for it.

        Raises:
            EzavError: there is no such clip.
        """
        with self._doing():
            one = self.clip(number)
            if one.encoded is None or one.found is None:
                return one, one.found
            with self._computing:
                (found,) = self.recognizer.predict(
                    [one.encoded], self._lines(self.names), top_k=SHOWN, explain=True
                )
            return one, found

    def table(self) -> str:
        """The table as CSV, as `ezav predict --out` writes it."""
        with self._doing():
            among = "names" if self._lines(self.names) else RUN
            return as_csv([one.answer(among) for one in self.clips.values()])

    @contextmanager
    def _doing(self) -> Iterator[None]:
        self.used = time.monotonic()
        with self._lock:
            yield

    def _lines(self, names: str) -> list[str] | None:
        """Names to choose from; None: all classes of the run."""
        lines = [line.strip() for line in names.splitlines() if line.strip()]
        if len(lines) > self._settings.max_names:
            raise EzavError(
                f"{len(lines):,} classes are too many for this page",
                f"name at most {self._settings.max_names:,}; 'ezav predict' takes more",
            )
        if not self.recognizer.is_frozen and lines == list(self.recognizer.classes):
            return None
        return lines or None

    def _choices(self) -> list[str]:
        lines = self._lines(self.names)
        return [typed(x)[0] for x in lines] if lines else list(self.recognizer.classes)

    def _called(self, name: str) -> str:
        """A class as it is listed, or a new name."""
        name = clean(name)
        said = (one.correct for one in self.clips.values())
        found = [one for one in (*self._choices(), *said) if same(one) == same(name)]
        return found[0] if found else next(iter(named([name])))

    def _take_names(self, names: str) -> None:
        """Read the names, once, and answer every clip; a bad list leaves all as it was."""
        lines = self._lines(names)
        before = trained = self.recognizer.trained
        if isinstance(trained, Frozen):
            trained = replace(trained, names=named(lines or ()))
        with self._computing:
            self.recognizer.become(trained)  # the lists of before are forgotten
            try:
                asked = lines or not self.recognizer.is_frozen
                read = self.recognizer.candidates(lines) if asked else None
            except EzavError:
                self.recognizer.become(before)
                raise
        self.names = names
        self._names_size = 0 if read is None else read.new_vectors.nbytes
        self._answer(list(self.clips.values()))

    def _answer(self, clips: Sequence[Kept], explain: bool = False) -> None:
        lines = self._lines(self.names)
        read = [one for one in clips if one.encoded is not None]
        if not lines and not self.recognizer.classes:
            for one in read:
                one.found = None
            return
        with self._computing:
            found = self.recognizer.predict(
                [one.encoded for one in read if one.encoded is not None],
                lines,
                top_k=SHOWN,
                explain=explain,
            )
        for one, told in zip(read, found, strict=True):
            one.found = None if told.error else told
            one.error = told.error
