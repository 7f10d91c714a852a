"""Tables and figures of one or more runs, as one HTML page that needs no network.

Runs of one label are seeds of one row (mean and standard deviation); several labels on one
feature store are compared. Results on other stores, settings or text alignments get sections of
their own. Nothing is trained or scored again: everything comes from the run folders.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro
from rich.text import Text

from ezav.cli.common import Command, output, progress


@dataclass(kw_only=True)
class ReportCommand(Command):
    runs: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Run folders as 'ezav run' writes them, or folders of run folders."""
    out: Path = Path("report.html")
    """The HTML file to write."""
    figures: Path | None = None
    """A folder for every figure as SVG and PNG with its numbers as CSV, and the tables."""
    store: Path | None = None
    """The feature store of the runs: it knows where each clip's file is."""
    videos: Path | None = None
    """The folder of the videos: frames and spectrograms of mistakes come from there."""

    def run(self) -> dict[str, Any]:
        from ezav.protocol.run_folder import read_result
        from ezav.reports.report import write_report
        from ezav.reports.runs import find_runs
        from ezav.reports.summary import notes, summary_rows

        folders = find_runs(self.runs)
        with progress.status("reading runs") as status:
            out = write_report(
                folders,
                self.out,
                figures=self.figures,
                store=self.store,
                videos=self.videos,
                on_progress=lambda step: status.update(Text(f"drawing: {step}")),
            )
        results = [read_result(folder) for folder in folders]
        self._rows = summary_rows(results)
        return {
            "report": str(out),
            "figures": None if self.figures is None else str(self.figures),
            "runs": [str(folder) for folder in folders],
            "rows": [
                {
                    "label": row.label,
                    "kind": row.kind,
                    **row.where._asdict(),
                    "seeds": row.seeds,
                    "mean": row.mean,
                    "sd": row.sd,
                    "chance": row.chance.model_dump(),
                }
                for row in self._rows
            ],
            "notes": notes(self._rows),
        }

    def show(self, result: dict[str, Any]) -> None:
        from ezav.reports.tables import rich_table

        output.print(rich_table(self._rows))
        output.print(f"report: {result['report']}")
        if result["figures"]:
            output.print(f"figures: {result['figures']}")


CLI = ReportCommand
