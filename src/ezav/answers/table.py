"""Answers as CSV, Parquet and JSON: the same columns in each."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ezav.answers.row import COLUMNS, Answer
from ezav.naming import as_cell, shown
from ezav.safe_io import atomic_path, write_text

SHEET = ".html"
"""The ending of a contact sheet."""


def as_csv(answers: Sequence[Answer]) -> str:
    """A header and one line an answer; what is not known is empty.

    Example:
        >>> print(as_csv([Answer(file="a.mp4", among="run", answer="dog", probability=0.5)]))
        file,among,answer,kind,probability,runner_up,margin,also,none_of_these,missing,damage,error,correct
        a.mp4,run,dog,,0.500000,,,,no,,,,
        <BLANKLINE>
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    table.writerows(cells(one) for one in answers)
    return text.getvalue()


def cells(answer: Answer) -> list[str]:
    """The cells of a row of CSV: no spreadsheet takes one for a formula.

    Example:
        >>> cells(Answer(file="=a.mp4", among="run", margin=1.0, none_of_these=True))[:1]
        ["'=a.mp4"]
    """
    return [_cell(value) for value in answer.columns().values()]


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6f}"
    return "" if value is None else as_cell(str(value))


def as_json(answers: Sequence[Answer]) -> str:
    """A list of objects."""
    rows = [
        {name: shown(value) if isinstance(value, str) else value for name, value in row.items()}
        for row in (one.columns() for one in answers)
    ]
    return json.dumps(rows, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def as_parquet(answers: Sequence[Answer]) -> bytes:
    """One column each, numbers as numbers, null where there is none."""
    import pyarrow
    from pyarrow import parquet

    text, number = pyarrow.string(), pyarrow.float64()
    kinds = {"probability": number, "margin": number, "none_of_these": pyarrow.bool_()}
    rows: list[dict[str, Any]] = [one.columns() for one in answers]
    columns = {
        name: pyarrow.array(
            [shown(row[name]) if name not in kinds else row[name] for row in rows],
            kinds.get(name, text),
        )
        for name in COLUMNS
    }
    sink = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), sink)
    return sink.getvalue()


WRITERS: dict[str, Callable[[Sequence[Answer]], str | bytes]] = {
    ".csv": as_csv,
    ".parquet": as_parquet,
    ".json": as_json,
}
ENDINGS = (*WRITERS, SHEET)


def write_answers(answers: Sequence[Answer], path: Path) -> None:
    """Write a table in the format that the file's ending names; in one step.

    Raises:
        EzavError: it cannot be written.
    """
    made = WRITERS[path.suffix.lower()](answers)
    if isinstance(made, str):
        write_text(path, made)
        return
    with atomic_path(path) as temporary:
        temporary.write_bytes(made)
