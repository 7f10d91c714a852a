"""Methods x seeds on feature stores, under one protocol, into one table.

A target is a store folder, or the name of a suite (ucf-cls, vggsound-main, …) inside --stores.
What is done already (same store and settings) is kept, whichever version of ezav did it; a kill
loses the runs in hand only. Where the encoders share a space with the text (CLIP, CLAP), the frozen
baseline, zero_shot, is in the table whether asked for or not.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from ezav.cli.common import Command, Importing, at_least_one, described_by, output, tell_seen_unseen
from ezav.errors import EzavError

if TYPE_CHECKING:
    from ezav.benchmarks.runner import Job
    from ezav.features.store import FeatureStore
    from ezav.protocol.result import RunResult


@dataclass(frozen=True, kw_only=True)
class TargetResult:
    """The runs on one store.

    Attributes:
        table: the Markdown file, with published rows.
        results: of all runs, method by method.
    """

    table: Path
    results: list[RunResult]


@dataclass(frozen=True, kw_only=True)
class BenchResult:
    """Path of a store -> its runs."""

    targets: dict[str, TargetResult]


@dataclass(kw_only=True)
class BenchCommand(Command):
    targets: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="STORE...")]
    """Run on these stores, or suites by name."""
    methods: tuple[str, ...]
    """Run these methods: names, your own as `package.module:Class`, or recipe files."""
    out: Path
    """Write runs and tables into this folder; with several targets, each has one inside."""
    seeds: int = 5
    """Run each method with so many seeds, from 0 on."""
    stores: Path = Path("stores")
    """Look for suites in this folder."""
    processes: int | None = None
    """Make so many runs in parallel; by default one for each CPU."""
    epochs: int | None = None
    """Override the recipes' number of epochs, for all methods."""
    batches_per_epoch: int | None = None
    """Override the recipes' batches an epoch, for all methods."""
    text_encoder: str | None = None
    """Use these class embeddings of the store; by default its first."""
    descriptions: Path | None = None
    """Let the text encoder read the descriptions of a CSV (name,description,…) or YAML file in the
    place of the class names; the stores stay as they are."""
    device: str = "cpu"
    """Compute on this device: `cpu`, `cuda`, or `auto`, which is a GPU if there is one."""
    import_code: Importing = False

    def run(self) -> BenchResult:
        at_least_one(seeds=self.seeds, processes=self.processes)
        # What is wrong with any target is said before hours of work.
        planned = self._planned()
        done = {str(store.path): self._run(store, out, jobs) for store, out, jobs in planned}
        return BenchResult(targets=done)

    def _planned(self) -> list[tuple[FeatureStore, Path, list[Job]]]:
        """Each target's store, its folder, and its jobs."""
        from ezav.benchmarks.bench import find_store, plan
        from ezav.device import choose_device

        overrides = {"epochs": self.epochs, "batches_per_epoch": self.batches_per_epoch}
        planned: list[tuple[FeatureStore, Path, list[Job]]] = []
        for target in self.targets:
            store = find_store(target, self.stores)
            if self.descriptions is not None:
                device = choose_device(self.device)
                store = described_by(
                    store, self.descriptions, self.text_encoder, device, self.import_code
                )
            if any(store.path.name == other.path.name for other, _, _ in planned):
                raise EzavError(
                    f"two of the targets are called '{store.path.name}'",
                    "one folder inside --out is for each name: bench them apart",
                )
            out = self.out if len(self.targets) == 1 else self.out / store.path.name
            jobs = plan(
                store,
                self.methods,
                range(self.seeds),
                out,
                training={k: v for k, v in overrides.items() if v is not None},
                text_encoder=self.text_encoder,
                device=choose_device(self.device),
                import_code=self.import_code,
            )
            tell_seen_unseen(store)
            planned.append((store, out, jobs))
        return planned

    def _run(self, store: FeatureStore, out: Path, jobs: list[Job]) -> TargetResult:
        from ezav.benchmarks.bench import write_tables
        from ezav.benchmarks.pace import pace_of
        from ezav.benchmarks.runner import is_done, run_jobs
        from ezav.cli.runs_progress import runs_progress

        done = [job for job in jobs if is_done(job, store)]
        kept = {job.folder for job in done}
        pace = pace_of(jobs, done, self.processes or os.cpu_count() or 1)
        with runs_progress(store.header.dataset, len(jobs), lambda: str(pace.left)) as tell:

            def on_done(job: Job, result: RunResult) -> None:
                if job.folder not in kept:
                    pace.ended(job.label, sum(result.timing.values()))
                news = f"{job.label}, seed {job.seed}: HM {result.metrics.HM:.1%}"
                tell(news, job.folder in kept)

            results = run_jobs(jobs, self.processes, on_done)
        return TargetResult(table=write_tables(results, store, out), results=results)

    def show(self, result: BenchResult) -> None:
        from ezav.reports.tables import rich_table, summary_rows

        for one in result.targets.values():
            output.print(rich_table(summary_rows(one.results)))
            output.print(f"tables with published rows: {one.table}\n")


CLI = BenchCommand
