"""Many files read at once, each answered among every list of names, into tables."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ezav.answers.correcting import Correction, corrections
from ezav.answers.journal import Entry, Journal
from ezav.answers.lists import RUN, Lists
from ezav.answers.media import media_files
from ezav.answers.row import Answer
from ezav.answers.sheet import write_sheet
from ezav.answers.table import ENDINGS, SHEET, write_answers
from ezav.answers.work import LOOK, AnswerSettings, Work, relative
from ezav.errors import EzavError, RefusedError
from ezav.naming import shown
from ezav.recognizer import Recognizer
from ezav.safe_io import check_ending, check_writable

OnFile = Callable[[int, int, bool], None]
"""Told after each file: how many are done, of how many, and whether this one was not read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answered:
    """What became of the files.

    Attributes:
        files: how many there are.
        read: those that were read in this call.
        earlier: those that an earlier call had answered.
        unread: file -> why it could not be read.
        counts: list of names -> answer -> number of clips, the most first.
        none_of_these: list of names -> clips that none of them suits.
        written: the tables of this call; those that were as they should be are left alone.
        anew: earlier answers were of other names, or of another recogniser, and were dropped.
        seconds: that reading and answering took.
    """

    files: int
    read: int
    earlier: int
    unread: dict[str, str]
    counts: dict[str, dict[str, int]]
    none_of_these: dict[str, int]
    written: tuple[Path, ...]
    anew: bool
    seconds: float


def answer_files(
    recognizer: Recognizer,
    media: Sequence[str | os.PathLike[str]],
    out: Sequence[str | os.PathLike[str]],
    lists: Lists | None = None,
    settings: AnswerSettings | None = None,
    on_progress: OnFile | None = None,
) -> Answered:
    """Answer every file, and write tables of the answers.

    What is done is noted in a journal beside the first table (`answers.csv.journal`): a call that
    was killed goes on, the same call again reads nothing, and a file that has changed is read
    again. Corrections that a table holds are kept.

    Args:
        recognizer: any.
        media: files, folders and manifests (:func:`ezav.answers.media_files`).
        out: tables, each in the format of its ending: .csv, .parquet, .json, .html (a contact
            sheet).
        lists: name of the list -> candidates; by default the classes of the run. Each file is
            decoded once for all.
        settings: how files are read and answered.
        on_progress: told after every file.

    Raises:
        EzavError: nothing to read or to write; a table cannot be written, or is none of ours; a
            bad list of names; an encoder that does not work; corrections would be lost.

    Example:
        >>> answer_files(recognizer=None, media=[], out=["answers.xlsx"])
        Traceback (most recent call last):
        ezav.errors.EzavError: 'answers.xlsx': answers cannot be written as '.xlsx'; end the ...
    """
    settings = settings or AnswerSettings()
    for path in out:
        check_ending(Path(path), ENDINGS, "answers")
    tables = [Path(os.path.abspath(path)) for path in out]
    if not tables:
        raise EzavError("no table to write the answers to", "name one with `out`")
    asked: Lists = {RUN: None} if lists is None else lists
    given = media_files(media, allow_outside=settings.allow_outside)
    files = [Path(os.path.abspath(path)) for path in given]
    if not files:
        raise EzavError("no clips are given", "name at least one file or folder")
    kept = _kept_corrections(tables, files)
    for table in tables:
        check_writable(table)
    made_of = _made_of(recognizer, asked, settings)
    home = tables[0].parent
    sheet = any(table.suffix.lower() == SHEET for table in tables)
    began = time.monotonic()
    with Journal(tables[0].with_name(f"{tables[0].name}.journal"), made_of) as journal:
        work = Work(recognizer, asked, journal, home, LOOK if sheet else None)
        todo = work.todo(files, settings)
        for number, entry in enumerate(work.answered(todo, settings), start=1):
            if on_progress is not None:
                on_progress(number, len(todo), entry.unread)
        entries = [journal.entries[relative(file, home)] for file in files]
        digest = _digest(entries)
        fresh = [t for t in tables if not t.exists() or journal.written.get(t.name) != digest]
        for table in fresh:
            _write(table, entries, home, kept, list(asked))
            journal.note_written(table.name, digest)
    return Answered(
        files=len(files),
        read=len(todo),
        earlier=len(files) - len(todo),
        unread={one.file: str(one.rows[0]["error"]) for one in entries if one.unread},
        counts={name: _counts(entries, name) for name in asked},
        none_of_these={name: _rejected(entries, name) for name in asked},
        written=tuple(fresh),
        anew=journal.begun_anew,
        seconds=time.monotonic() - began,
    )


def _kept_corrections(tables: Sequence[Path], files: Sequence[Path]) -> dict[Path, Correction]:
    """What the tables that are there say is correct, by file.

    Raises:
        EzavError: one is no table of answers.
        RefusedError: it corrects a file that is not asked for now, and would be lost.
    """
    found: dict[Path, Correction] = {}
    asked = set(files)
    for table in tables:
        if table.suffix.lower() == SHEET or not table.exists():
            continue
        try:
            said = corrections(table)
        except EzavError as error:
            raise RefusedError(
                f"'{table}' is there and is no table of answers: {error.message}",
                "name another `out`",
            ) from error
        for one in said:
            if one.path not in asked:
                raise RefusedError(
                    f"'{table}' corrects '{shown(one.file)}', which is not among these clips",
                    "teach the corrections first, or name another `out`",
                )
            found.setdefault(one.path, one)
    return found


def _made_of(recognizer: Recognizer, lists: Lists, settings: AnswerSettings) -> str:
    """What the answers depend on, as a digest: the recogniser, and what it chooses among."""
    digest = hashlib.sha256()
    model = recognizer.model
    for name, value in sorted(model.method.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    digest.update(recognizer.header.model_dump_json().encode())
    digest.update(json.dumps(recognizer.calibration.as_dict()).encode())
    how = [settings.together, *(["several"] * settings.several)]
    digest.update(json.dumps([list(model.classes.names), model.seen.tolist(), *how]).encode())
    digest.update(model.classes.vectors.cpu().numpy().tobytes())
    for name, names in lists.items():
        candidates = recognizer.candidates(names)
        digest.update(json.dumps([name, candidates.names, candidates.columns.tolist()]).encode())
        digest.update(candidates.new_vectors.cpu().numpy().tobytes())
    return digest.hexdigest()


def _digest(entries: Sequence[Entry]) -> str:
    said = [(one.file, one.rows, one.pictures) for one in entries]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def _write(
    table: Path,
    entries: Sequence[Entry],
    home: Path,
    kept: dict[Path, Correction],
    lists: Sequence[str],
) -> None:
    answers: list[Answer] = []
    pictures: dict[str, tuple[str, ...]] = {}
    for entry in entries:
        path = Path(os.path.abspath(home / entry.file))
        file = relative(path, table.parent)
        said = kept[path].correct if path in kept else ""
        answers += [Answer(**row, file=file, correct=said) for row in entry.rows]
        pictures[file] = entry.pictures or ()
    if table.suffix.lower() == SHEET:
        write_sheet(answers, pictures, table, lists)
    else:
        write_answers(answers, table)


def _counts(entries: Sequence[Entry], name: str) -> dict[str, int]:
    rows = [row for one in entries for row in one.rows if row["among"] == name]
    return dict(Counter(row["answer"] for row in rows if row["answer"]).most_common())


def _rejected(entries: Sequence[Entry], name: str) -> int:
    rows = [row for one in entries for row in one.rows if row["among"] == name]
    return sum(bool(row["none_of_these"]) for row in rows)
