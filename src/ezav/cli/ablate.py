"""The tables of ablations of EZ-AVGZL: every row one switch away from the full method.

Class embeddings (no optimisation, separation only, proximity, ranking, shuffled control), alpha,
margin, exact or sampled ranking, similarity, query, negatives, depth, prior, members, class folds,
modalities; text encoders and time where the store has several. Mean and standard deviation over
seeds, as Markdown and CSV. Rows above the full method are marked. Seed by seed: the tables are
there after the first seed of all rows, and grow with each further one. What is done already is
kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from ezav.cli.common import Command, at_least_one, output

if TYPE_CHECKING:
    from ezav.benchmarks.ablate import RowResult
    from ezav.benchmarks.runner import Job
    from ezav.protocol.result import RunResult


@dataclass(frozen=True, kw_only=True)
class AblateResult:
    """The tables of ablations.

    Attributes:
        table: the Markdown file.
        simulated: the data say nothing about a method's worth.
        rows: of all tables, one after the other.
    """

    table: Path
    simulated: bool
    rows: list[RowResult]


@dataclass(kw_only=True)
class AblateCommand(Command):
    store: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="STORE")]
    """Train and test on this feature store."""
    out: Path
    """Write runs and tables into this folder."""
    seeds: int = 5
    """Run each row with so many seeds, from 0 on."""
    recipe: str = "ez_avgzl"
    """Take the full method from this recipe: the one that comes with it, or a file ('ezav tune'
    writes one)."""
    tables: tuple[str, ...] = ()
    """Make only these tables, by name; by default all that the store allows."""
    processes: int | None = None
    """Make so many runs in parallel; by default one for each CPU."""
    epochs: int | None = None
    """Override the recipe's number of epochs, for all rows."""
    batches_per_epoch: int | None = None
    """Override the recipe's batches an epoch, for all rows."""
    text_encoder: str | None = None
    """Use this text encoder for the full method; by default the store's first."""
    device: str = "cpu"
    """Compute on this device: `cpu`, `cuda`, or `auto`, which is a GPU if there is one."""

    def run(self) -> AblateResult:
        from ezav.benchmarks.ablate import plan_ablation, row_results
        from ezav.benchmarks.ablation_tables import write_ablation
        from ezav.benchmarks.runner import is_done, run_jobs
        from ezav.cli.runs_progress import runs_progress
        from ezav.device import choose_device
        from ezav.features.store import FeatureStore

        at_least_one(seeds=self.seeds, processes=self.processes)
        store = FeatureStore.open(self.store)
        overrides = {"epochs": self.epochs, "batches_per_epoch": self.batches_per_epoch}
        ablation = plan_ablation(
            store,
            range(self.seeds),
            self.out,
            recipe=self.recipe,
            tables=self.tables,
            training={k: v for k, v in overrides.items() if v is not None},
            text_encoder=self.text_encoder,
            device=choose_device(self.device),
        )
        kept = {job.folder for job in ablation.jobs if is_done(job, store)}
        told: set[Path] = set()
        with runs_progress(store.header.dataset, len(ablation.jobs)) as tell:

            def on_done(job: Job, result: RunResult) -> None:
                if job.folder not in told:
                    told.add(job.folder)
                    news = f"{job.label}, seed {job.seed}: HM {result.metrics.HM:.1%}"
                    tell(news, job.folder in kept)

            for part in ablation.rounds():  # a stop leaves the tables of the seeds so far
                results = run_jobs(part.jobs, self.processes, on_done)
                table = write_ablation(part, results, store, self.out)
        rows = row_results(ablation, results)
        return AblateResult(table=table, simulated=store.header.simulated, rows=rows)

    def show(self, result: AblateResult) -> None:
        output.print(result.table.read_text(encoding="utf-8"))
        output.print(f"written to {result.table}")


CLI = AblateCommand
