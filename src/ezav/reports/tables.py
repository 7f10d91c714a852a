"""Tables of results for terminals, Markdown and CSV; settings are never mixed in one table."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ezav.reports.summary import (
    METRICS,
    SummaryRow,
    by_comparison,
    notes,
    percent,
    summary_rows,
)

if TYPE_CHECKING:
    from rich.console import RenderableType

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


def rich_table(rows: Sequence[SummaryRow], title: str = "") -> RenderableType:
    """A table for the terminal, one for each data set, setting and text alignment, in percent.

    The last row of a table is chance; below it stands what must not be overlooked (:func:`notes`).
    """
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    parts: list[RenderableType] = []
    for table_rows in by_comparison(rows):
        first = table_rows[0]
        # As `Text`, names are shown as they are, whatever console prints the table.
        heading = Text(title or first.where.title, "bold")
        # A column that says the same in every row costs width; say it once.
        counts = {len(row.seeds) for row in table_rows}
        if len(counts) == 1 and max(counts) > 1:
            heading.append(f", mean ± sd of {max(counts)} seeds")
        if first.where.simulated:
            heading.append("  SIMULATED DATA", "red")
        table = Table(title=heading, title_justify="left", box=None)
        table.add_column("", overflow="fold", min_width=12)
        if len(counts) > 1:
            table.add_column("seeds", justify="right")
        for metric in METRICS:
            table.add_column(metric, justify="right", no_wrap=True)
        for row in table_rows:
            seeds = [str(len(row.seeds))] if len(counts) > 1 else []
            cells = [row.cell(metric).replace("± ", "±") for metric in METRICS]
            table.add_row(Text(row.marked_label), *seeds, *cells)
        blank = [""] if len(counts) > 1 else []
        table.add_row("chance", *blank, *_chance_cells(first), style="dim")
        parts.append(table)
        parts.extend(Text.assemble(("note:", "yellow"), f" {note}") for note in notes(table_rows))
    return Group(*parts)


def markdown_table(rows: Sequence[SummaryRow]) -> str:
    """The same as Markdown, in percent."""
    blocks = []
    for table_rows in by_comparison(rows):
        first = table_rows[0]
        heading = f"**{_markdown(first.where.title)}**"
        if first.where.simulated:
            heading += " — **SIMULATED DATA**"
        lines = [
            heading,
            "",
            "| | seeds | " + " | ".join(METRICS) + " |",
            "|---|--:|" + "--:|" * len(METRICS),
        ]
        for row in table_rows:
            cells = " | ".join(row.cell(metric) for metric in METRICS)
            lines.append(f"| {_markdown(row.marked_label)} | {len(row.seeds)} | {cells} |")
        lines.append(f"| chance | | {' | '.join(_chance_cells(first))} |")
        found = notes(table_rows)
        if found:
            lines += ["", *(f"- {_markdown(note)}" for note in found)]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"


def csv_table(rows: Sequence[SummaryRow]) -> str:
    """The same as CSV with a header, as fractions; empty where there is no number."""
    spread = [f"{metric}_{part}" for metric in METRICS for part in ("mean", "sd")]
    head = ["label", "method", "kind", "dataset", "setting", "text_alignment", "simulated"]
    table: list[list[Any]] = [[*head, "seeds", *spread, *(f"{m}_chance" for m in METRICS)]]
    for row in rows:
        values: list[Any] = []
        for metric in METRICS:
            values += [row.mean[metric], "" if row.sd is None else row.sd[metric]]
        chance = [getattr(row.chance, metric) for metric in METRICS]
        where = [row.dataset, row.setting, row.where.text_alignment, row.where.simulated]
        table.append([row.label, row.method, row.kind, *where, len(row.seeds), *values, *chance])
    return to_csv(table)


def to_csv(table: Iterable[Iterable[Any]]) -> str:
    """Rows as CSV text with plain newlines; text that a spreadsheet would compute is marked.

    Example:
        >>> to_csv([["=1+1", -0.5]])
        "'=1+1,-0.5\\n"
    """
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(map(_harmless, row) for row in table)
    return text.getvalue()


def _harmless(cell: Any) -> Any:
    if not isinstance(cell, str) or cell[:1] not in ("=", "+", "-", "@", "\t", "\r"):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell


def _chance_cells(row: SummaryRow) -> list[str]:
    return [percent(getattr(row.chance, metric)) for metric in METRICS]


def _markdown(text: str) -> str:
    for mark in "\\`*_[]<>|":
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.split())
