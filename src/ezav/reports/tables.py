"""Tables of results for terminals, Markdown and CSV; settings are never mixed in one table."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.cells import cell_len

from ezav.features.simulated import SIMULATED
from ezav.markdown import escaped, markdown_rows
from ezav.naming import as_cell
from ezav.reports.summary import (
    METRICS,
    SummaryRow,
    by_comparison,
    notes,
    percent,
    summary_rows,
)

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.table import Table

__all__ = [
    "METRICS",
    "SummaryRow",
    "csv_table",
    "markdown_table",
    "notes",
    "rich_table",
    "summary_rows",
    "to_csv",
]

_UNBOUNDED = 10_000


def rich_table(rows: Sequence[SummaryRow], title: str = "") -> RenderableType:
    """A table for the terminal, one for each data set, setting and text alignment, in percent.

    The last row of a table is chance; below it stands what must not be overlooked (:func:`notes`).
    On a narrow terminal labels wrap between words, and then deviations stand below the means.

    Example:
        >>> from rich.console import Console
        >>> Console().print(rich_table([]))
        <BLANKLINE>
    """
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = []
    for table_rows in by_comparison(rows):
        parts.append(_Fitting(table_rows, title or table_rows[0].where.title))
        parts.extend(Text.assemble(("note:", "yellow"), f" {note}") for note in notes(table_rows))
    return Group(*parts)


@dataclass(frozen=True)
class _Fitting:
    """One table, as wide as the console allows, without ever breaking a word or a number."""

    rows: Sequence[SummaryRow]
    title: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.measure import Measurement

        wide = self._table(" ±")
        least = Measurement.get(console, options.update(max_width=_UNBOUNDED), wide).minimum
        yield wide if least <= options.max_width else self._table("\n±")

    def _table(self, deviation: str) -> Table:
        from rich.table import Table
        from rich.text import Text

        first = self.rows[0]
        # As `Text`, names are shown as they are, whatever console prints the table.
        heading = Text(self.title, "bold")
        # A column that says the same in every row costs width; say it once.
        counts = {len(row.seeds) for row in self.rows}
        if len(counts) == 1 and max(counts) > 1:
            heading.append(f", mean ± sd of {max(counts)} seeds")
        if first.where.simulated:
            heading.append(f"  {SIMULATED}", "red")
        table = Table(title=heading, title_justify="left", box=None)
        words = [word for row in self.rows for word in row.marked_label.split()]
        table.add_column("", min_width=max(map(cell_len, words)))
        if len(counts) > 1:
            table.add_column("seeds", justify="right", no_wrap=True)
        cells = [[row.cell(m).replace(" ± ", deviation) for m in METRICS] for row in self.rows]
        for metric, column in zip(METRICS, zip(*cells)):
            widest = max(cell_len(line) for cell in column for line in cell.splitlines())
            table.add_column(metric, justify="right", no_wrap=True, min_width=widest)
        for row, numbers in zip(self.rows, cells):
            seeds = [str(len(row.seeds))] if len(counts) > 1 else []
            table.add_row(Text(row.marked_label), *seeds, *numbers)
        blank = [""] if len(counts) > 1 else []
        table.add_row("chance", *blank, *_chance_cells(first), style="dim")
        return table


def markdown_table(rows: Sequence[SummaryRow]) -> str:
    """The same as Markdown, in percent.

    Example:
        >>> markdown_table([])
        '\\n'
    """
    blocks = []
    for table_rows in by_comparison(rows):
        first = table_rows[0]
        heading = f"**{escaped(first.where.title)}**"
        if first.where.simulated:
            heading += f" — **{SIMULATED}**"
        cells = [
            [escaped(row.marked_label), str(len(row.seeds)), *map(row.cell, METRICS)]
            for row in table_rows
        ]
        cells.append(["chance", "", *_chance_cells(first)])
        table = markdown_rows(["", "seeds", *METRICS], cells, align="lr" + "r" * len(METRICS))
        found = [f"- {escaped(note)}" for note in notes(table_rows)]
        blocks.append("\n".join([heading, "", table, *([""] if found else []), *found]))
    return "\n\n".join(blocks) + "\n"


def csv_table(rows: Sequence[SummaryRow]) -> str:
    """The same as CSV with a header, as fractions; empty where there is no number.

    Example:
        >>> csv_table([]).split(",")[:3]
        ['label', 'method', 'kind']
    """
    spread = [f"{metric}_{part}" for metric in METRICS for part in ("mean", "sd")]
    head = ["label", "method", "kind", "dataset", "setting", "text_alignment", "simulated"]
    table: list[list[object]] = [[*head, "seeds", *spread, *(f"{m}_chance" for m in METRICS)]]
    for row in rows:
        values: list[object] = []
        for metric in METRICS:
            values += [row.mean[metric], "" if row.sd is None else row.sd[metric]]
        chance = [getattr(row.chance, metric) for metric in METRICS]
        where = [row.dataset, row.setting, row.where.text_alignment, row.where.simulated]
        table.append([row.label, row.method, row.kind, *where, len(row.seeds), *values, *chance])
    return to_csv(table)


def to_csv(table: Iterable[Iterable[object]]) -> str:
    """Rows as CSV text with plain newlines; text that a spreadsheet would compute is marked.

    Example:
        >>> to_csv([["=1+1", -0.5]])
        "'=1+1,-0.5\\n"
    """
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(map(_harmless, row) for row in table)
    return text.getvalue()


def _harmless(cell: object) -> object:
    if not isinstance(cell, str):
        return cell
    try:
        float(cell)
    except ValueError:
        return as_cell(cell)
    return cell


def _chance_cells(row: SummaryRow) -> list[str]:
    return [percent(getattr(row.chance, metric)) for metric in METRICS]
