"""Teach a recogniser: a new class, or an old one better, by one to twenty clips; in seconds.

    ezav teach RUN --class "kettle boiling" a.mp4 b.mp4 [--class ...]
    ezav teach RUN --answers answers.csv            what was corrected in a table of `ezav predict`
    ezav teach RUN --remove NAME --rename OLD NEW
    ezav teach --frozen --class NAME CLIP... --out OUT         without a run

Nothing is trained: the class's name and the likeness to its clips score together. Written into RUN,
in one step; with --out, RUN stays as it is and a recogniser of its own is written.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

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
)
from ezav.errors import EzavError, NotFoundError
from ezav.extraction.reading import Limits
from ezav.naming import same, shown

if TYPE_CHECKING:
    from ezav.recognizer import Recognizer
    from ezav.recognizer.lessons import TaughtClass


@dataclass(frozen=True, kw_only=True)
class Learned:
    """What `ezav teach` did.

    Attributes:
        folder: where the recogniser is that knows it.
        classes: those that clips showed.
        removed, renamed: classes that went, and those that are called otherwise.
        unchanged: all of it was known already: nothing was written.
    """

    folder: str
    classes: tuple[TaughtClass, ...]
    removed: tuple[str, ...]
    renamed: tuple[tuple[str, str], ...]
    unchanged: bool


@dataclass(kw_only=True)
class TeachCommand(FrozenOptions, Command):
    run_folder: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")] = None
    """Teach this run folder or saved recogniser, or a hub id 'owner/name' with --out; with --frozen
    give none."""
    lessons: Annotated[
        tyro.conf.UseAppendAction[tuple[tuple[str, ...], ...]],
        tyro.conf.arg(name="class", metavar="NAME CLIP..."),
    ] = ()
    """Teach a class by clips that show it (files, folders, CSV manifests); may be given several
    times."""
    answers: Path | None = None
    """Learn from a table of answers with a column `correct`, as `ezav predict --out` and its
    contact sheet write it."""
    new: bool = False
    """Take a correction of --answers that names no class of the recogniser as a new class."""
    remove: tuple[str, ...] = ()
    """Take these classes away."""
    rename: tyro.conf.UseAppendAction[tuple[tuple[str, str], ...]] = ()
    """Give a class another name: type the class, and what it is to be called. It may be given
    several times."""
    out: Path | None = None
    """Write a recogniser of its own into this folder, and leave RUN as it is."""
    allow_outside: bool = False
    """Accept manifest paths that are absolute or lead out of the manifest's folder."""
    device: str = "cpu"
    """Compute on this device: `cpu`, `cuda`, or `auto`, which is a GPU if there is one."""
    import_code: Importing = False
    require_signature: Signed = None
    limits: Annotated[Limits, tyro.conf.arg(name="")] = field(default_factory=Limits)
    """What reading one file may cost."""

    def run(self) -> Learned:
        if not (self.lessons or self.answers or self.remove or self.rename):
            raise EzavError(
                "nothing to learn is given", "name --class, --answers, --remove or --rename"
            )
        folder = self._folder()
        if self.out is not None:
            from ezav.alone import alone
            from ezav.protocol.run_folder import check_free

            with alone(self.out):
                check_free(self.out)  # another process may have written it meanwhile
                return self._learned(folder)
        from ezav.recognizer.folder import to_teach

        with to_teach(folder):
            return self._learned(folder)

    def _learned(self, folder: Path) -> Learned:
        lessons = self._clips()
        recognizer = self._recognizer()
        with recognizer:
            if self.answers is not None:
                add_corrections(lessons, self.answers, recognizer, self.new)
            for name in self.remove:
                recognizer.forget(name)
            for old, new in self.rename:
                recognizer.rename(old, new)
            classes: tuple[TaughtClass, ...] = ()
            if lessons:
                with progress.status(f"reading {sum(map(len, lessons.values()))} clips"):
                    classes = recognizer.teach(lessons)
        changed = self.remove or self.rename or any(one.added for one in classes)
        if self.out is not None:
            recognizer.save_pretrained(self.out)
        elif changed:
            recognizer.save_taught(folder)
        return Learned(
            folder=str(self.out or folder),
            classes=classes,
            removed=self.remove,
            renamed=self.rename,
            unchanged=not changed and self.out is None,
        )

    def _recognizer(self) -> Recognizer:
        if self.frozen or self.run_folder is None:
            return frozen_recognizer(self, self.device, self.limits, must=False)
        return load_recognizer(
            self.run_folder,
            self.device,
            self.import_code,
            self.limits,
            require_signature=self.require_signature,
        )

    def _folder(self) -> Path:
        """Where the recogniser is, that what it learned can be written there."""
        from ezav.protocol.run_folder import check_free

        check_frozen(self)
        if self.frozen and (self.run_folder is not None or self.out is None):
            raise EzavError("--frozen takes no run", "name the folder to be written with `out`")
        if not self.frozen and self.run_folder is None:
            raise EzavError("no run is given", "name one, or --frozen and `out`")
        folder = Path(self.run_folder or "").expanduser()
        if self.out is not None:
            check_free(self.out)
        elif not folder.is_dir():
            raise NotFoundError(
                f"there is no run folder '{self.run_folder}'",
                "name one; what a run of the hub is taught goes to `out`",
            )
        return folder

    def _clips(self) -> dict[str, list[Path]]:
        """Class -> clips of `--class`."""
        from ezav.answers.media import media_files

        found: dict[str, list[Path]] = {}
        for name, *clips in self.lessons:
            if not clips:
                raise EzavError(f"no clip shows '{shown(name)}'", "name one after the class")
            if twin := next((one for one in found if same(one) == same(name)), None):
                name = twin
            files = media_files(clips, allow_outside=self.allow_outside)
            found.setdefault(name, []).extend(files)
        return found

    def show(self, result: Learned) -> None:
        for name in result.removed:
            output.print(f"{shown(name)}: removed")
        for old, new in result.renamed:
            output.print(f"{shown(old)}: now {shown(new)}")
        for one in result.classes:
            output.print(str(one))
        if result.unchanged:
            output.print("nothing is new: the recogniser is as it was")
        else:
            output.print(f"written: {result.folder}")


def add_corrections(
    lessons: dict[str, list[Path]], table: Path, recognizer: Recognizer, new: bool
) -> None:
    """Add the corrected clips of a table of answers to what is to be learned.

    Raises:
        EzavError: the table cannot be read, corrects nothing, or names a class that is none.
    """
    from ezav.answers import corrections

    said = corrections(table)
    if not said:
        raise EzavError(
            f"'{table}' corrects nothing", "write what a clip is into its column `correct`"
        )
    classes = {same(name): name for name in recognizer.classes}
    counts: dict[str, int] = {}
    for one in said:
        if same(one.correct) not in classes:
            counts[one.correct] = counts.get(one.correct, 0) + 1
    if counts and not new:
        raise _no_class(table, counts, recognizer.classes)
    names = {same(name): name for name in lessons}
    for one in said:
        if not one.path.is_file():
            raise NotFoundError(
                f"there is no file '{shown(str(one.path))}', which '{table}' corrects",
                "its paths start from its own folder: keep it where 'ezav predict' wrote the sheet",
            )
        key = same(one.correct)
        name = names.setdefault(key, classes.get(key, one.correct))
        lessons.setdefault(name, []).append(one.path)


def _no_class(table: Path, counts: Mapping[str, int], classes: tuple[str, ...]) -> EzavError:
    name, count = next(iter(counts.items()))
    more = f", and {len(counts) - 1} more such names" if len(counts) > 1 else ""
    near = difflib.get_close_matches(name, classes, n=1)
    mean = f"did you mean '{shown(near[0])}'? " if near else ""
    clips = f"{count} clip{'s' * (count != 1)}"
    return EzavError(
        f"'{table}' corrects {clips} to '{shown(name)}', which is no class{more}",
        f"{mean}`new=True` takes it as a new one",
    )


CLI = TeachCommand
