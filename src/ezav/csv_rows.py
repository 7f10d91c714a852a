"""Rows of a CSV file that a person, a spreadsheet or ezav wrote, by the names of its columns."""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

from ezav.errors import DamagedError, EzavError, UnavailableError
from ezav.naming import clean, shown


def csv_rows(
    file: Path, columns: Sequence[str], needed: int
) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows with the number of their line; other columns than those named are left out.

    Commas, semicolons (spreadsheets of countries with decimal commas) and, in a `.tsv`, tabs
    separate; a byte order mark and the case of the columns' names do not matter.

    Args:
        file: in UTF-8.
        columns: the names to be read.
        needed: the first so many of them must be there.

    Raises:
        EzavError: a column is missing or twice there, or a row has too many.
        DamagedError: it is no CSV file in UTF-8.
        UnavailableError: it cannot be read.
    """
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            comma = separator(stream.readline(), file)
            stream.seek(0)
            reader = csv.DictReader(stream, delimiter=comma, restval="", strict=True)
            names = as_columns(reader.fieldnames or [])
            _check_columns(file, names, columns, needed)
            reader.fieldnames = names
            for row in reader:
                values = as_columns([row[name] for name in names if name in columns])
                if values == [name for name in names if name in columns]:
                    continue  # files that were joined: the headline once more
                if None in row:
                    raise EzavError(
                        f"line {reader.line_num} of '{file}' has too many columns",
                        'write names with commas in "quotes"',
                    )
                yield reader.line_num, {name: row[name] or "" for name in columns if name in row}
    except (csv.Error, UnicodeDecodeError) as error:
        raise DamagedError(f"'{file}' is not a CSV file in UTF-8: {error}") from error
    except OSError as error:
        raise UnavailableError(f"cannot read '{file}': {error.strerror}") from error


def columns_of(file: Path) -> list[str]:
    """The names of a file's columns as :func:`csv_rows` knows them.

    Raises:
        DamagedError: it is no CSV file in UTF-8.
        UnavailableError: it cannot be read.
    """
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            comma = separator(stream.readline(), file)
            stream.seek(0)
            return as_columns(next(csv.reader(stream, delimiter=comma, strict=True), []))
    except (csv.Error, UnicodeDecodeError) as error:
        raise DamagedError(f"'{file}' is not a CSV file in UTF-8: {error}") from error
    except OSError as error:
        raise UnavailableError(f"cannot read '{file}': {error.strerror}") from error


def separator(first: str, file: Path) -> str:
    """What separates the cells of a file, by its first line.

    Example:
        >>> separator('"dog, small";a dog, barking', Path("a.csv")), separator("", Path("a.tsv"))
        (';', '\\t')
        >>> separator("dog,a dog; it barks; loudly", Path("a.csv"))
        ','
    """
    if file.suffix.lower() == ".tsv":
        return "\t"
    bare = re.sub(r'"[^"]*"', "", first)
    found = re.search("[,;]", bare)
    return found.group() if found else ","


def as_columns(names: Sequence[str | None]) -> list[str]:
    """Names of columns as they are compared: without what cannot be seen, case and width.

    Example:
        >>> as_columns(["\\ufeffPath", " ＣＬＡＳＳ", None])
        ['path', 'class', '']
    """
    return [unicodedata.normalize("NFKC", clean(name or "")).casefold() for name in names]


def _check_columns(file: Path, names: list[str], columns: Sequence[str], needed: int) -> None:
    if not set(columns[:needed]) <= set(names):
        optional = "".join(f"[,{name}]" for name in columns[needed:])
        raise EzavError(
            f"'{file}' does not begin with the columns {','.join(columns[:needed])}{optional}",
            f"its first line has {', '.join(map(shown, names)) or 'nothing'}",
        )
    for name in columns:
        if names.count(name) > 1:
            raise EzavError(f"'{file}' has {names.count(name)} columns '{name}'", "leave one")
