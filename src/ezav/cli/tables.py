"""Tables for people, that `grep` and `cut` read too: no word is ever broken.

In a pipe every row is one line. On a terminal too narrow for that, a row's long columns stand in
lines of their own below it, wrapped between words.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from rich.cells import cell_len
from rich.text import Text

from ezav.cli.common import output
from ezav.naming import shown

_GAP = 2
_LEAST = 20
"""Characters that a wrapped line is worth, however narrow the terminal."""


def print_rows(columns: Sequence[str], rows: Sequence[Sequence[str]], short: int) -> None:
    """Print a table on stdout.

    Args:
        columns: headings; an empty one is allowed.
        rows: cells of one line each.
        short: how many columns from the left stay in one line on a narrow terminal.
    """
    for text, style in laid_out(columns, rows, short, output.width if output.is_terminal else None):
        output.print(Text(text, style))


def laid_out(
    columns: Sequence[str], rows: Sequence[Sequence[str]], short: int, width: int | None
) -> list[tuple[str, str]]:
    """The lines of a table, each with its style.

    Args:
        columns: headings.
        rows: cells of one line each.
        short: how many columns from the left stay in one line where `width` is too small.
        width: of the terminal, in characters; None: one line a row, however long.

    Example:
        >>> rows = [["sje", "2015", "Akata, Reed and others"], ["tcaf", "2022", "Mercea"]]
        >>> for line, style in laid_out(["name", "year", "paper"], rows, 2, None): print(line)
        name  year  paper
        sje   2015  Akata, Reed and others
        tcaf  2022  Mercea
        >>> for line, style in laid_out(["name", "year", "paper"], rows[:1], 2, 26): print(line)
        name  year
        sje   2015
              paper: Akata, Reed
              and others
    """
    table = [list(columns), *([shown(" ".join(cell.split())) for cell in row] for row in rows)]
    widths = [max(cell_len(row[at]) for row in table) for at in range(len(columns))]
    whole = sum(widths) + _GAP * (len(widths) - 1)
    if width is None or whole <= width:
        lines = [_line(row, widths) for row in table]
        return [(line, "" if at else "bold") for at, line in enumerate(lines)]
    indent = " " * (widths[0] + _GAP)
    found = [(_line(table[0][:short], widths), "bold")]
    for row in table[1:]:
        found.append((_line(row[:short], widths), "bold"))
        for heading, cell in zip(columns[short:], row[short:], strict=True):
            if cell:
                text = f"{heading}: {cell}" if heading else cell
                room = max(width - len(indent), _LEAST)
                parts = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False)
                found += [(indent + part, "") for part in parts]
    return found


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [cell + " " * (width - cell_len(cell)) for cell, width in zip(cells, widths)]
    return (" " * _GAP).join(padded).rstrip()
