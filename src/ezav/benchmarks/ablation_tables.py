"""The tables of an ablation: Markdown for people, CSV for programs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from ezav.benchmarks.ablate import Ablation, RowResult, row_results
from ezav.features.simulated import simulated_banner
from ezav.features.store import FeatureStore
from ezav.markdown import markdown_rows
from ezav.protocol.result import RunResult
from ezav.reports.summary import METRICS, percent
from ezav.reports.tables import to_csv
from ezav.safe_io import write_text


def write_ablation(
    ablation: Ablation, results: Sequence[RunResult], store: FeatureStore, out: Path
) -> Path:
    """Write `ablation.md` and `ablation.csv` (a row a row); returns the first."""
    rows = row_results(ablation, results)
    write_text(out / "ablation.csv", _csv(rows))
    write_text(out / "ablation.md", _markdown(rows, results[0], store))
    return out / "ablation.md"


def _csv(rows: Sequence[RowResult]) -> str:
    spread = [f"{metric}_{part}" for metric in METRICS for part in ("mean", "sd")]
    head = ["table", "row", "seeds", *spread, "validation_HM", "HM_minus_full", "verdict"]
    lines: list[list[object]] = [[*head, "above_full"]]
    for row in rows:
        values: list[object] = []
        for metric in METRICS:
            values += [row.mean[metric], "" if row.sd is None else row.sd[metric]]
        found = [row.validation_hm, row.difference, row.verdict, row.above_full]
        lines.append([row.table, row.label, row.seeds, *values, *found])
    return to_csv(lines)


def _markdown(rows: Sequence[RowResult], first: RunResult, store: FeatureStore) -> str:
    header = store.header
    lines = [f"# Ablations: {header.dataset} · {header.setting}", ""]
    if header.simulated:
        lines += [f"**{simulated_banner()}**"]
        lines += [""]
    seeds = rows[0].seeds
    lines += [
        f"{'One seed' if seeds == 1 else f'Mean ± sd of {seeds} seeds'}, percent; "
        f"chance HM {percent(first.chance.HM)}. "
        "Every row is one switch away from the full method (bold). Delta: HM minus the full "
        "method's. **▲** marks a row whose HM exceeds the full method's; *within sd* one that "
        "differs by no more than one standard deviation. Settings are to be chosen by the "
        "validation column, never by the others.",
    ]
    columns = ["", *METRICS, "validation HM", "delta", ""]
    align = "l" + "r" * (len(METRICS) + 2) + "l"
    for table, found in groupby(rows, lambda row: row.table):
        lines += ["", f"## {table.capitalize()}", ""]
        lines += [markdown_rows(columns, map(_cells, found), align)]
    not_lower = sorted({row.label for row in rows if row.above_full})
    lines += ["", f"Rows above the full method: {', '.join(not_lower) or 'none'}.", ""]
    return "\n".join(lines)


def _cells(row: RowResult) -> list[str]:
    """A row of the Markdown table."""
    is_full = row.verdict == "full"
    marks = ["▲"] if row.above_full else []
    marks += ["within sd"] if row.verdict == "within" else []
    return [
        f"**{row.label}**" if is_full else row.label,
        *(_cell(row, metric) for metric in METRICS),
        percent(row.validation_hm),
        "" if is_full else f"{100 * row.difference:+.1f}",
        " ".join(marks),
    ]


def _cell(row: RowResult, metric: str) -> str:
    spread = "" if row.sd is None else f" ± {percent(row.sd[metric])}"
    return f"{percent(row.mean[metric])}{spread}"
