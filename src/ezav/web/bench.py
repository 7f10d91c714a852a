"""The workbench of one visitor: clips, answers, corrections, and a recogniser taught by them."""

from __future__ import annotations

import io
import sys
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ezav.answers.correcting import corrections
from ezav.encoders.descriptions import typed
from ezav.errors import EzavError
from ezav.naming import clean, same, shown
from ezav.private import private_folder
from ezav.recognizer.frozen import Frozen
from ezav.recognizer.lessons import TaughtClass
from ezav.recognizer.trained import Trained
from ezav.web.clips import Clips
from ezav.web.kept import Kept

LISTED = 300
"""Classes that are written into the text field to begin with, or offered to choose from."""
_STEPS = 20
"""How often one can undo."""
_MOST = 1000
"""Clips that all classes of a visitor may be shown by."""
FOLDER, NAMES = "recogniser", "classes.txt"
"""What a download holds."""


@dataclass(frozen=True, slots=True)
class _Step:
    """What there was before something was taught."""

    what: str
    trained: Trained | Frozen
    names: str
    said: dict[int, tuple[str, bool]]
    """Clip -> what it is, as the visitor said, and whether it was taught."""


class Bench(Clips):
    """What one visitor has, and teaches; no other's answers change by it.

    Args:
        options: of :class:`Clips`.
    """

    def __init__(self, *options: Any) -> None:
        super().__init__(*options)
        self._steps: list[_Step] = []

    @property
    def size(self) -> int:
        """Bytes that are kept, about."""
        steps = list(self._steps)
        states = [self.recognizer.trained, *(step.trained for step in steps)]
        parts = {id(part): part for state in states for part in _own(state)}
        names = {id(step.names): sys.getsizeof(step.names) for step in steps}
        return super().size + sum(part.nbytes for part in parts.values()) + sum(names.values())

    def correct(self, number: int, name: str) -> Kept:
        """Say what a clip is; an empty name takes that back. Nothing is learned.

        Raises:
            EzavError: no such clip, one that could not be read, or a bad name.
        """
        with self._doing():
            one = self.clip(number)
            if name and one.encoded is None:
                raise EzavError(f"'{shown(one.file)}' could not be read and can teach nothing")
            if one.learned:
                raise EzavError(
                    f"'{shown(one.file)}' was taught as '{shown(one.correct)}' already",
                    "undo that first",
                )
            one.correct = self._called(name) if clean(name) else ""
            return one

    def take_corrections(self, table: bytes) -> int:
        """Take over the column `correct` of a table of answers; of how many clips that is.

        Raises:
            EzavError: it is no such table, or says nothing of the clips that are here.
        """
        with self._doing(), private_folder("page") as place:
            path = place / "answers.csv"
            path.write_bytes(table)
            here = {one.file: one for one in self.clips.values() if one.encoded is not None}
            said = [one for one in corrections(path) if one.file in here]
            for one in said:
                self.correct(here[one.file].number, one.correct)
            if not said:
                raise EzavError("the table corrects no clip that is here", "give the clips first")
            return len(said)

    def teach(self) -> tuple[TaughtClass, ...]:
        """Learn from everything that was corrected, or given for a class; all of it or nothing.

        Raises:
            EzavError: nothing is there to learn, a clip shows two classes, there are too many, or
                the recogniser cannot be taught.
        """
        with self._doing():
            chosen = [one for one in self.clips.values() if one.correct and not one.learned]
            if not chosen:
                raise EzavError("nothing is there to learn", "say first what a clip really is")
            lessons: dict[str, list[Any]] = {}
            for one in chosen:
                lessons.setdefault(one.correct, []).append(one.encoded)
            taught = sum(self.recognizer.taught.values())
            if (count := taught + len(chosen)) > _MOST:
                raise EzavError(
                    f"{count:,} clips are too many to teach here, {_MOST:,} the most",
                    "train with them: 'ezav extract' and 'ezav run'",
                )
            with self._step(f"teaching {len(chosen)} clip{'s' * (len(chosen) != 1)}"):
                said = self.recognizer.teach(lessons)
            for one in chosen:
                one.learned = True
            self._take_names(self._with(said))
            return said

    def undo(self) -> str:
        """Take the last teaching, unlearning or renaming back; what that was.

        Raises:
            EzavError: there was none.
        """
        with self._doing():
            if not self._steps:
                raise EzavError("there is nothing to undo")
            step = self._steps.pop()
            self.recognizer.become(step.trained)
            for one in self.clips.values():
                correct, learned = step.said.get(one.number, (one.correct, False))
                if one.learned or learned:
                    one.correct, one.learned = correct or one.correct, learned
            self._take_names(step.names)
            return step.what

    def unlearn(self, name: str) -> None:
        """Take the clips away by which a class was taught; its name stays where it was typed.

        Raises:
            EzavError: it was not taught.
        """
        with self._doing():
            with self._step(f"unlearning '{shown(name)}'"):
                self.recognizer.unlearn(name)
            for one in self.clips.values():
                if one.learned and same(one.correct) == same(name):
                    one.learned, one.correct = False, ""
            self._take_names(self.names)

    def rename(self, old: str, new: str) -> None:
        """Call a taught class otherwise; what is known of it stays.

        Raises:
            EzavError: there is no such class, or the new name is that of another.
        """
        with self._doing():
            lines = self.names.splitlines()
            if any(same(typed(line)[0]) == same(new) != same(old) for line in lines):
                raise EzavError(f"'{shown(clean(new))}' is another class", "choose another name")
            with self._step(f"renaming '{shown(old)}'"):
                self.recognizer.rename(old, new)
            for one in self.clips.values():
                if same(one.correct) == same(old):
                    one.correct = clean(new)
            lines = [clean(new) if same(typed(x)[0]) == same(old) else x for x in lines]
            self._take_names("\n".join(lines))

    def archive(self) -> bytes:
        """The recogniser as it is now: a folder that the commands open, in a ZIP file."""
        with self._doing(), private_folder("page") as place:
            folder, lines = place / FOLDER, self._lines(self.names)
            with self._computing:
                self.recognizer.save(folder, lines if self.recognizer.is_frozen else None)
            made = io.BytesIO()
            with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
                for path in sorted(folder.iterdir()):
                    archive.write(path, f"{FOLDER}/{path.name}")
                if lines and not self.recognizer.is_frozen:
                    archive.writestr(NAMES, "\n".join(lines) + "\n")
            return made.getvalue()

    def state(self, rows: bool = True) -> dict[str, Any]:
        """Everything that the page shows, without the details of clips."""
        with self._doing():
            taught = self.recognizer.taught
            pending: dict[str, list[int]] = {}
            for one in self.clips.values():
                if one.correct and not one.learned:
                    pending.setdefault(one.correct, []).append(one.number)
            classes = self.recognizer.classes
            return {
                "names": self.names,
                "choices": self._choices()[:LISTED],
                "classes": list(classes) if len(classes) <= LISTED else [],
                "taught": [{"name": name, "clips": count} for name, count in taught.items()],
                "pending": [{"name": name, "clips": some} for name, some in pending.items()],
                "undo": self._steps[-1].what if self._steps else "",
                "rows": [one.row() for one in self.clips.values()] if rows else None,
            }

    def _with(self, said: Sequence[TaughtClass]) -> str:
        """The list of names, with what was taught on it."""
        lines = [line for line in self.names.splitlines() if line.strip()]
        if not self.names.strip():
            return self.names
        for one in said:
            at = [row for row, line in enumerate(lines) if same(typed(line)[0]) == same(one.name)]
            if not at:
                lines.append(one.name)
            elif one.new and not self.recognizer.is_frozen:
                lines[at[0]] = one.name  # it is known by its clips and its bare name now
        return "\n".join(lines)

    @contextmanager
    def _step(self, what: str) -> Iterator[None]:
        """What is learned in the block can be undone, if it ends well."""
        said = {one.number: (one.correct, one.learned) for one in self.clips.values()}
        step = _Step(what, self.recognizer.trained, self.names, said)
        with self._computing:
            yield
        self._steps = [*self._steps, step][-_STEPS:]


def _own(state: Trained | Frozen) -> list[Tensor]:
    """The tensors of a state that it does not share with the server's."""
    lessons = state.taught.lessons
    parts = [part for one in lessons for part in (*one.clips, one.vector, one.text)]
    if not state.taught.empty:
        parts += [state.model.classes.vectors, state.text.vectors]
    return parts
