"""Find the moments of a folder of recordings that fit a text, or a clip, best.

    ezav find RUN FOLDER "glass breaking"
    ezav find --frozen FOLDER "glass breaking"       no run, nothing trained
    ezav find --frozen FOLDER --like clip.mp4        what looks and sounds like a clip

Every recording is read once: its features are kept in an index, in a hidden folder inside of
FOLDER. A later call reads only what is new or has changed, and forgets what was deleted.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import tyro
from rich.text import Text

from ezav.cli.clips_progress import clip_progress
from ezav.cli.common import (
    Command,
    FrozenOptions,
    Importing,
    Signed,
    check_frozen,
    frozen_recognizer,
    load_recognizer,
    output,
    progress,
    tell_read,
    tell_remarks,
)
from ezav.errors import EzavError
from ezav.extraction.reading import Limits
from ezav.library.find import Moment, find_like, find_text
from ezav.library.index import Library, LibrarySettings
from ezav.library.table import ENDINGS, SHEET, between, write_moments
from ezav.library.vectors import check_installed
from ezav.naming import shown
from ezav.recognizer import Recognizer
from ezav.safe_io import check_ending, check_writable

_TOLD = 10
"""Files that are named; of more it is said how many."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """What `ezav find` found.

    Attributes:
        query: the text, or the clip.
        moments: the best first.
        recordings, windows: how many the index holds.
        read, dropped: recordings that were read, and forgotten, in this call.
        unread: recording -> why it could not be read, or not to its end.
        files: those that were written.
        caution: where the run is no better than guessing, or than what needs no training, that.
    """

    query: str
    moments: tuple[Moment, ...]
    recordings: int
    windows: int
    read: int
    dropped: int
    unread: dict[str, str]
    files: tuple[Path, ...]
    caution: str = ""


@dataclass(kw_only=True)
class FindCommand(FrozenOptions, Command):
    given: Annotated[
        tuple[str, ...],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="RUN FOLDER TEXT"),
    ]
    """Give a run (none with --frozen), a folder of recordings, and what to look for in quotes
    (nothing with --like): a name, or "name: description"."""
    like: Path | None = None
    """Look for what resembles this clip, instead of a text."""
    count: int = 10
    """Show at most so many moments; of those that overlap only the best."""
    out: tuple[Path, ...] = ()
    """Write the moments to these files, each in the format of its ending: .csv .json, or .html, a
    contact sheet."""
    index: Path | None = None
    """Keep the index in this folder; by default in the hidden folder .ezav-library inside of
    FOLDER."""
    settings: Annotated[LibrarySettings, tyro.conf.arg(name="")] = field(
        default_factory=LibrarySettings
    )
    """How recordings are cut and read."""
    device: str = "cpu"
    """Compute on this device: `cpu`, `cuda`, or `auto`, which is a GPU if there is one."""
    import_code: Importing = False
    require_signature: Signed = None
    limits: Annotated[Limits, tyro.conf.arg(name="")] = field(default_factory=Limits)
    """What reading one file may cost."""

    @property
    def goes_on(self) -> bool:
        """Interrupted and called again, it goes on where it stopped."""
        return True

    def run(self) -> Found:
        run, folder, text = self._asked()
        if self.count < 1:
            raise EzavError(f"--count must be at least 1, not {self.count}")
        check_installed()
        for path in self.out:
            check_ending(path, ENDINGS, "moments")
            check_writable(path)
        with (
            self._recognizer(run, text) as recognizer,
            Library(folder, recognizer, self.settings, self.index) as library,
        ):
            candidates = None
            if text:  # a bad name is told before anything is read
                candidates = recognizer.candidates([text])
                tell_read(candidates.read)
                tell_remarks(candidates.remarks)
            with clip_progress("reading", "read", quiet=self.json) as tell:
                read, dropped = library.update(tell)
            pictures = any(path.suffix.lower() == SHEET for path in self.out)
            if candidates is None:
                assert self.like is not None
                moments = find_like(library, self.like, self.count, pictures)
            else:
                moments = find_text(library, candidates, self.count, pictures)
            recordings = library.recordings
            caution = recognizer.caution
        query = text or f"like {self.like}"
        for path in self.out:
            write_moments(moments, path, query)
        return Found(
            query=query,
            moments=tuple(replace(one, pictures=()) for one in moments),
            recordings=len(recordings),
            windows=sum(one.windows for one in recordings),
            read=read,
            dropped=dropped,
            unread={one.file: one.error for one in recordings if one.error},
            files=self.out,
            caution=caution,
        )

    def _asked(self) -> tuple[str, Path, str]:
        """The run, the folder and the text; what is not wanted is empty."""
        check_frozen(self)
        if self.calibrate is not None:
            raise EzavError("moments are ranked, not calibrated", "leave --calibrate out")
        wanted = ["a run"] * (not self.frozen) + ["a folder"]
        wanted += ["a text to look for"] * (self.like is None)
        if len(self.given) != len(wanted):
            raise EzavError(
                f"{len(self.given)} words are given where {' and '.join(wanted)} "
                f"{'are' if len(wanted) > 1 else 'is'} wanted",
                "put a text of several words into quotes",
            )
        given = list(self.given)
        run = "" if self.frozen else given.pop(0)
        text = "" if self.like is not None else given.pop()
        if self.like is None and not text.strip():
            raise EzavError("the text to look for is empty", "give a name")
        return run, Path(given[0]), text

    def _recognizer(self, run: str, text: str) -> Recognizer:
        if self.frozen:
            return frozen_recognizer(
                self, self.device, self.limits, [text] if text else None, must=False
            )
        return load_recognizer(
            run,
            self.device,
            self.import_code,
            self.limits,
            require_signature=self.require_signature,
        )

    def show(self, result: Found) -> None:
        news = [f"{result.read} read now"] * bool(result.read)
        news += [f"{result.dropped} forgotten"] * bool(result.dropped)
        told = ", ".join([f"{result.windows:,} moments of {result.recordings} recordings", *news])
        output.print(told, style="dim", soft_wrap=True)
        for rank, one in enumerate(result.moments, start=1):
            output.print(
                f"{rank:>3}  {between(one)}  {one.score:>8.3f}  {shown(one.file)}", soft_wrap=True
            )
        if not result.moments:
            output.print("no moments: nothing could be read")
        for path in result.files:
            output.print(f"written: {path}")
        if result.unread:
            progress.print(f"{len(result.unread)} could not be read, or not all of it:")
            for file, why in list(result.unread.items())[:_TOLD]:
                progress.print(f"  {shown(file)}: {why}", soft_wrap=True)
            if len(result.unread) > _TOLD:
                progress.print(f"  and {len(result.unread) - _TOLD} more")
        if result.caution:
            output.print(Text(f"this run: {result.caution}", "bold red"), soft_wrap=True)


CLI = FindCommand

__all__ = ["CLI", "FindCommand"]
