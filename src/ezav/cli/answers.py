"""`ezav predict --out`: many files, tables of answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from ezav.cli.clips_progress import clip_progress
from ezav.cli.common import (
    frozen_recognizer,
    load_recognizer,
    names_progress,
    output,
    progress,
    read_classes,
    tell_read,
    tell_remarks,
)
from ezav.errors import EzavError
from ezav.naming import shown

if TYPE_CHECKING:
    from ezav.answers import Answered
    from ezav.cli.predict import PredictCommand
    from ezav.recognizer import Recognizer
    from ezav.recognizer.names import Names

_TOLD = 10
"""Files, or classes, that are named; of more it is said how many."""


@dataclass(frozen=True, kw_only=True)
class Tabled:
    """What `ezav predict --out` did.

    Attributes:
        run: where the recogniser is; empty of a frozen one.
        answered: what became of the files.
        caution: where the run was no better than guessing on its test clips, that; else empty.
        status: 1 where files could not be read.
    """

    run: str
    answered: Answered
    caution: str
    status: int


def named_lists(command: PredictCommand) -> dict[str, Names | None]:
    """The lists of names that the options give, each with a name; None: the run's classes.

    Raises:
        EzavError: they are given in two ways; a file of them cannot be read.
    """
    from ezav.answers import read_lists
    from ezav.answers.lists import RUN

    typed = command.classes
    if command.lists is not None:
        if typed or command.class_file is not None or command.descriptions is not None:
            raise EzavError("both --lists and other names are given", "give one of them")
        return dict(read_lists(command.lists))
    if len(typed) > 1:
        if command.class_file is not None or command.descriptions is not None:
            raise EzavError("several lists go with no file of names", "put them into --lists")
        return {str(number): list(names) for number, names in enumerate(typed, start=1)}
    names = read_classes(typed[0] if typed else None, command.class_file, command.descriptions)
    return {RUN if names is None else "names": names}


def answer_table(
    command: PredictCommand, given: Sequence[Path], lists: dict[str, Names | None]
) -> Tabled:
    """Answer files into the tables of `--out`."""
    from ezav.answers import AnswerSettings, answer_files
    from ezav.answers.table import ENDINGS
    from ezav.safe_io import check_ending

    if command.explain:
        raise EzavError("a table holds no explanations", "leave --explain or --out out")
    for path in command.out:
        check_ending(path, ENDINGS, "answers")
    recognizer = _recognizer(command, lists)
    with progress.status("class names") as status:
        found = [recognizer.candidates(names, names_progress(status)) for names in lists.values()]
    for one in found:
        tell_read(one.read)
    tell_remarks(dict.fromkeys(remark for one in found for remark in one.remarks))
    if command.several:
        recognizer.answering.thresholds()  # raises: there are none
    settings = AnswerSettings(
        workers=command.workers,
        retry=command.retry,
        together=command.together,
        several=command.several,
        allow_outside=command.allow_outside,
    )
    with (
        recognizer,
        clip_progress("answering", "answered", quiet=command.json) as tell,
    ):
        answered = answer_files(recognizer, given, command.out, lists, settings, tell)
    return Tabled(
        run="" if command.frozen else command.run_folder,
        answered=answered,
        caution=recognizer.caution,
        status=1 if answered.unread else 0,
    )


def _recognizer(command: PredictCommand, lists: dict[str, Names | None]) -> Recognizer:
    if not command.frozen:
        return load_recognizer(
            command.run_folder,
            command.device,
            command.import_code,
            command.limits,
            require_signature=command.require_signature,
        )
    every = [name for names in lists.values() for name in names or ()]
    seen = list(dict.fromkeys(every)) or None
    return frozen_recognizer(command, command.device, command.limits, seen)


def show_table(result: Tabled) -> None:
    """What was answered and written, for people."""
    told = result.answered
    if told.anew:
        progress.print("earlier answers were of other names or another recogniser: answered anew")
    rate = f", {told.read / told.seconds:.1f} clips/s" if told.read and told.seconds > 0 else ""
    known = f", {told.earlier} known from an earlier call" if told.earlier else ""
    output.print(f"{told.files} clips: {told.read} read now{known}{rate}")
    for among, counts in told.counts.items():
        head = f"{shown(among)}: " if len(told.counts) > 1 else ""
        some = [f"{shown(name)} {count}" for name, count in list(counts.items())[:_TOLD]]
        some += [f"and {len(counts) - _TOLD} more"] * (len(counts) > _TOLD)
        none = told.none_of_these[among]
        some += [f"none of these? {none}"] * bool(none)
        output.print(f"  {head}{', '.join(some)}")
    for path in told.written:
        output.print(f"written: {path}")
    if not told.written:
        output.print("nothing has changed: the tables are as they were")
    if told.unread:
        progress.print(f"{len(told.unread)} of {told.files} could not be read:", style="red")
        for file, why in list(told.unread.items())[:_TOLD]:
            progress.print(f"  {shown(file)}: {why}", soft_wrap=True)
        if len(told.unread) > _TOLD:
            progress.print(f"  and {len(told.unread) - _TOLD} more: the table says why")
    if result.caution:
        output.print(Text(f"this run: {result.caution}", "bold red"))
