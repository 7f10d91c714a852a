"""Tables and figures of one or more runs, as one HTML page that needs no network.

Runs of one label are seeds of one row (mean and standard deviation); several labels on one
feature store are compared. Results on other stores, settings or text alignments get sections of
their own. Nothing is trained or scored again: everything comes from the run folders.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from rich.text import Text

from ezav.cli.common import Command, output, progress

if TYPE_CHECKING:
    from ezav.protocol.result import Metrics


@dataclass(frozen=True, kw_only=True)
class ReportRow:
    """One row of the headline table: the runs of one label on one store.

    Attributes:
        label, kind: what the table calls it, and "trained", "frozen" or "shuffled".
        dataset, setting, text_alignment, simulated, store_fingerprint: what it may be compared in.
        seeds: of the runs.
        mean, sd: S, U, HM, ZSL and AUSUC over seeds, as fractions; no sd with one seed.
        chance: what a guess reaches that ignores the clip.
    """

    label: str
    kind: str
    dataset: str
    setting: str
    text_alignment: str
    simulated: bool
    store_fingerprint: str
    seeds: tuple[int, ...]
    mean: dict[str, float]
    sd: dict[str, float] | None
    chance: Metrics


@dataclass(frozen=True, kw_only=True)
class ReportResult:
    """The page that was written, and its headline table.

    Attributes:
        report: the HTML file.
        figures: the folder of the figures, where one was asked for.
        runs: the run folders, in the order of the table.
        rows: of the headline table.
        notes: what must not be overlooked.
    """

    report: Path
    figures: Path | None
    runs: tuple[Path, ...]
    rows: tuple[ReportRow, ...]
    notes: tuple[str, ...]


@dataclass(kw_only=True)
class ReportCommand(Command):
    runs: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN...")] = ()
    """Report on these run folders as 'ezav run' writes them, or folders of run folders."""
    out: Path = Path("report.html")
    """Write the page to this HTML file."""
    figures: Path | None = None
    """Write the tables and every figure, as SVG and PNG with its numbers as CSV, into this
    folder."""
    store: Path | None = None
    """Look up where each clip's file is in the feature store of the runs."""
    videos: Path | None = None
    """Take frames and spectrograms of mistakes from the videos in this folder."""

    def run(self) -> ReportResult:
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
        self._rows = summary_rows([read_result(folder) for folder in folders])
        return ReportResult(
            report=out,
            figures=self.figures,
            runs=tuple(folders),
            rows=tuple(
                ReportRow(
                    label=row.label,
                    kind=row.kind,
                    **row.where._asdict(),
                    seeds=row.seeds,
                    mean=row.mean,
                    sd=row.sd,
                    chance=row.chance,
                )
                for row in self._rows
            ),
            notes=tuple(notes(self._rows)),
        )

    def show(self, result: ReportResult) -> None:
        from ezav.reports.tables import rich_table

        output.print(rich_table(self._rows))
        output.print(f"report: {result.report}")
        if result.figures:
            output.print(f"figures: {result.figures}")


CLI = ReportCommand
