"""Markdown tables, written in one place."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ezav.naming import shown

_SPECIAL = re.compile(r"([\\`*_\[\]<>|&])")
_BARE_PIPE = re.compile(r"(?<!\\)\|")
_RULES = {"l": "---", "r": "--:"}


def markdown_rows(columns: Sequence[str], rows: Iterable[Sequence[str]], align: str = "") -> str:
    """A table in Markdown, without a newline at its end.

    Args:
        columns: headings; an empty one is allowed.
        rows: cells, Markdown themselves (:func:`escaped` makes such of any text); each is one
            line, and a `|` in it does not end it.
        align: a letter a column, `l` or `r` (to the right, as numbers are); by default all left.

    Raises:
        ValueError: a row or `align` is not as long as the headings.

    Example:
        >>> print(markdown_rows(["method", "HM"], [["a | b", "45.7"]], align="lr"))
        | method | HM |
        |---|--:|
        | a \\| b | 45.7 |
    """
    letters = align or "l" * len(columns)
    if len(letters) != len(columns):
        raise ValueError(f"align names {len(letters)} columns of {len(columns)}")
    rule = "|".join(_RULES[letter] for letter in letters)
    lines = [_row(columns), f"|{rule}|"]
    for row in rows:
        if len(row) != len(columns):
            raise ValueError(f"a row has {len(row)} cells, the table {len(columns)} columns")
        lines.append(_row(row))
    return "\n".join(lines)


def escaped(text: str) -> str:
    """Any text as Markdown that shows it: in one line, without markup or marks that act.

    Example:
        >>> print(escaped("a*b [c]"))
        a\\*b \\[c\\]
    """
    return _SPECIAL.sub(r"\\\1", shown(" ".join(text.split())))


def _row(cells: Sequence[str]) -> str:
    lines = (_BARE_PIPE.sub(r"\|", " ".join(cell.split())) for cell in cells)
    return "|" + "".join(f" {line} |" if line else " |" for line in lines)
