"""What a person said of answers: the column `correct` of a table, read and written."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ezav.csv_rows import csv_rows, separator
from ezav.errors import DamagedError, EzavError, NotFoundError, RefusedError
from ezav.features.pages import texts_size, unpacked_size
from ezav.naming import as_cell, clean, same, shown
from ezav.safe_io import write_text
from ezav.small_files import parse_json, read_small

_READ = ("file", "correct", "answer", "among")
_NEEDED = 2
_LARGEST = 1 << 30
"""Bytes of a table."""
_FREE, _RATIO = 1 << 26, 64
"""Bytes that a Parquet table may always take; above, so many for each that is stored."""


@dataclass(frozen=True, slots=True)
class Correction:
    """What a clip is, as a person said.

    Attributes:
        file: the clip, as the table has it: relative to the table's folder.
        correct: the name of the class.
        answer: what it had been called; empty where the table does not say.
        among: the list of names.
        path: where the clip is.
    """

    file: str
    correct: str
    answer: str = ""
    among: str = ""
    path: Path = Path()


def corrections(table: str | Path) -> tuple[Correction, ...]:
    """The corrected rows of a table of answers (`.csv`, `.json`, `.parquet`), in its order.

    A clip that stands in several rows (several lists of names) is corrected once where they agree.

    Raises:
        NotFoundError: there is no such table.
        EzavError: it has no columns `file` and `correct`; a clip has two corrections.
        DamagedError: it cannot be read.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     table = Path(folder, "answers.csv")
        ...     _ = table.write_text("file,answer,correct\\na.mp4,dog,cat\\nb.mp4,dog,\\n")
        ...     [(one.file, one.answer, one.correct) for one in corrections(table)]
        [('a.mp4', 'dog', 'cat')]
    """
    path = Path(table)
    found: dict[str, Correction] = {}
    for row in _rows(path):
        name = clean(_uncelled(row.get("correct", "")))
        if not name:
            continue
        file = _uncelled(row["file"].strip())
        earlier = found.get(file)
        if earlier is not None and same(earlier.correct) != same(name):
            raise EzavError(
                f"'{path}' corrects '{shown(file)}' twice: '{earlier.correct}' and '{name}'",
                "leave one of them",
            )
        where = Path(os.path.abspath(path.parent / file))
        said = Correction(file, name, _uncelled(row.get("answer", "")), row.get("among", ""), where)
        found.setdefault(file, said)
    return tuple(found.values())


def correct(table: str | Path, names: Mapping[str, str], among: str | None = None) -> int:
    """Write corrections into a CSV table of answers, in one step; all else of it stays.

    Nothing is learned: that is for :meth:`ezav.recognizer.Recognizer.teach`.

    Args:
        table: the CSV file.
        names: file, as the table has it -> what it is; an empty name takes a correction back.
        among: only in the rows of that list of names; None: in all.

    Returns:
        How many rows were changed.

    Raises:
        EzavError: the table has no such row or column, or is not one of CSV.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     table = Path(folder, "answers.csv")
        ...     _ = table.write_text("file,answer,correct\\na.mp4,dog,\\n")
        ...     correct(table, {"a.mp4": "cat"}), table.read_text()
        (1, 'file,answer,correct\\na.mp4,dog,cat\\n')
    """
    path = Path(table)
    _check_there(path)
    list(csv_rows(path, _READ, _NEEDED))  # says what is wrong with it
    text = read_small(path, _LARGEST).decode("utf-8-sig")
    comma = separator(text.splitlines()[0], path)
    head, *rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=comma))
    at = {clean(name).lower(): column for column, name in enumerate(head)}
    missing, changed = dict(names), 0
    for row in rows:
        if not row or (file := _uncelled(row[at["file"]].strip())) not in names:
            continue
        if among is not None and row[at["among"]] != among:
            continue
        missing.pop(file, None)
        row.extend([""] * (len(head) - len(row)))
        name = as_cell(clean(names[file]))
        changed += row[at["correct"]] != name
        row[at["correct"]] = name
    if missing:
        raise EzavError(f"'{path}' has no row of '{shown(next(iter(missing)))}'")
    made = io.StringIO()
    csv.writer(made, delimiter=comma, lineterminator="\n").writerows([head, *rows])
    write_text(path, made.getvalue())
    return changed


def _check_there(path: Path) -> None:
    if not path.is_file():
        raise NotFoundError(f"there is no table of answers '{path}'", "'ezav predict' writes one")


def _rows(path: Path) -> Iterable[dict[str, str]]:
    _check_there(path)
    kind = path.suffix.lower()
    if kind == ".json":
        return _checked(path, _json_rows(path))
    if kind == ".parquet":
        return _checked(path, _parquet_rows(path))
    return (row for _, row in csv_rows(path, _READ, _NEEDED))


def _json_rows(path: Path) -> list[dict[str, Any]]:
    try:
        rows = parse_json(read_small(path, _LARGEST))
    except ValueError as error:
        raise DamagedError(f"'{path}' is not JSON: {error}") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DamagedError(f"'{path}' is no table of answers: it is no list of objects")
    return rows


def _parquet_rows(path: Path) -> list[dict[str, Any]]:
    from pyarrow import ArrowException, parquet

    try:
        there = [name for name in _READ if name in parquet.read_schema(path).names]
        with parquet.ParquetFile(path, read_dictionary=there) as file:
            allowed = _FREE + _RATIO * path.stat().st_size
            claimed = max(unpacked_size(file, path), file.metadata.num_rows)
            found = file.read(columns=there) if claimed <= allowed else None
        if found is None or claimed + sum(map(texts_size, found.columns)) > allowed:
            raise RefusedError(f"refused '{path}': it claims far more than its size")
        return [dict(row) for row in found.to_pylist()]
    except (ArrowException, OSError, ValueError, OverflowError, LookupError) as error:
        raise DamagedError(f"'{path}' is no Parquet file: {error}") from error


def _checked(path: Path, rows: list[dict[str, Any]]) -> list[dict[str, str]]:
    for row in rows:
        for name in _READ[:_NEEDED]:
            if name not in row:
                raise EzavError(f"'{path}' has no column '{name}'", "'ezav predict' writes one")
    return [{name: str(row.get(name) or "") for name in _READ} for row in rows]


def _uncelled(text: str) -> str:
    """A cell as it was before :func:`ezav.naming.as_cell`."""
    return text[1:] if text[:1] == "'" and as_cell(text[1:]) == text else text
