"""Ablations of EZ-AVGZL: tables whose rows are each one switch away from the full method."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from ezav.benchmarks.runner import Job
from ezav.benchmarks.switches import Switch, switches
from ezav.errors import EzavError, NotFoundError, RefusedError
from ezav.features.store import FeatureStore
from ezav.protocol.result import RunResult
from ezav.protocol.two_stage import TwoStageProtocol
from ezav.recipes.recipe import Recipe, load_recipe
from ezav.recipes.settings import protocol_for
from ezav.reports.summary import METRICS
from ezav.safe_io import refuse_links

METHOD = "ez_avgzl"
FULL = "full"

Verdict = Literal["full", "higher", "within", "lower"]


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of a table, as planned: the label of its runs, and whether it is the full method."""

    label: str
    run: str
    is_full: bool


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """All tables of a store: rows by table name, and the jobs behind them (each run once)."""

    tables: dict[str, list[Row]]
    jobs: list[Job]

    def rounds(self) -> Iterator[Ablation]:
        """The same tables with the first seed, with the first two, and so on to all."""
        seeds = sorted({job.seed for job in self.jobs})
        for last in seeds:
            yield replace(self, jobs=[job for job in self.jobs if job.seed <= last])


def plan_ablation(
    store: FeatureStore,
    seeds: Sequence[int],
    out: Path,
    *,
    recipe: str | Path = METHOD,
    tables: Sequence[str] = (),
    training: Mapping[str, Any] | None = None,
    text_encoder: str | None = None,
    device: str = "cpu",
) -> Ablation:
    """The tables and their jobs. Two rows with the same settings share their runs.

    Args:
        store: the features; its suite chooses the recipe's setting.
        seeds: of every row.
        out: the folder for runs.
        recipe: the full method: a recipe of ez_avgzl.
        tables: which tables; by default all that :func:`switches` gives.
        training: overrides of the recipe's training settings, for all rows alike.
        text_encoder: of the full method; by default the store's first.
        device: where to train.

    Raises:
        NotFoundError: an unknown recipe, table or text encoder.
        EzavError: a recipe of another method.
    """
    try:
        found = load_recipe(recipe)
    except RefusedError as error:  # it names code, and so no method of ezav: none is imported
        raise EzavError(
            f"the recipe '{recipe}' is of a method of one's own", f"ablations are those of {METHOD}"
        ) from error
    if found.method != METHOD:
        raise EzavError(
            f"the recipe '{recipe}' is of '{found.method}'", f"ablations are those of {METHOD}"
        )
    known = switches(store)
    unknown = [name for name in tables if name not in known]
    if unknown:
        raise NotFoundError(
            f"no table '{unknown[0]}' for this store", f"there are: {', '.join(known)}"
        )
    encoder = store.class_embeddings(text_encoder).encoder
    rows = _Rows(store, found, encoder, training or {}, device)
    full = rows.add(Switch(label=FULL))
    # Runs go by the first label that their settings have in any table, not in those asked for:
    # another choice of tables finds them again.
    every = {name: [rows.add(switch) for switch in table] for name, table in known.items()}
    planned = {name: every[name] for name in tables or known}
    for table in planned.values():
        if not any(row.is_full for row in table):
            table.insert(0, full)
    return Ablation(tables=planned, jobs=rows.jobs([full, *_flat(planned)], seeds, out))


def _flat(tables: Mapping[str, Sequence[Row]]) -> list[Row]:
    return [row for table in tables.values() for row in table]


class _Rows:
    """Every switch as a row, and the protocol behind it; rows of one protocol share their runs."""

    def __init__(
        self,
        store: FeatureStore,
        recipe: Recipe,
        encoder: str,
        training: Mapping[str, Any],
        device: str,
    ) -> None:
        self._store, self._recipe, self._encoder = store, recipe, encoder
        self._training, self._device = training, device
        self._protocols: dict[str, TwoStageProtocol] = {}
        self._names: dict[str, str] = {}

    def add(self, switch: Switch) -> Row:
        """The row of a switch; the first of its settings gives its runs their name."""
        protocol = protocol_for(
            self._recipe,
            self._store,
            config=switch.config,
            training=self._training,
            text_encoder=switch.text_encoder or self._encoder,
            device=self._device,
        )
        if switch.folds is not None:
            protocol = replace(protocol, folds=switch.folds)
        name = self._names.setdefault(protocol.key(self._store), switch.label)
        self._protocols.setdefault(name, protocol)
        return Row(label=switch.label, run=name, is_full=name == FULL)

    def jobs(self, rows: Sequence[Row], seeds: Sequence[int], out: Path) -> list[Job]:
        """The runs of some rows, each once, with every seed."""
        found = []
        for name in dict.fromkeys(row.run for row in rows):
            protocol = self._protocols[name]
            # The encoder is in the path: a run of another one must not pass for this row.
            folder = out / "runs" / _slug(protocol.text_encoder or "") / _slug(name)
            refuse_links(out, folder)
            found += [
                Job(
                    protocol=replace(protocol, seed=seed),
                    store=self._store.path,
                    folder=folder / f"seed-{seed}",
                    label=name,
                )
                for seed in seeds
            ]
        return found


def _slug(text: str) -> str:
    return re.sub(r"[^\w.-]+", "-", text).strip("-")


@dataclass(frozen=True, kw_only=True)
class RowResult:
    """A row of a table with its numbers.

    Attributes:
        table, label: where it stands.
        mean, sd: of S, U, HM, ZSL and AUSUC over seeds, as fractions; sd is None with one seed.
        validation_hm: mean HM on validation: the only number to choose by.
        difference: mean HM minus the full method's.
        verdict: `higher` or `lower` than the full method in HM by more than one standard
            deviation (the larger of the two rows'), `within` it, or `full`.
        above_full: mean HM exceeds the full method's, by however little.
    """

    table: str
    label: str
    seeds: int
    mean: dict[str, float]
    sd: dict[str, float] | None
    validation_hm: float
    difference: float
    verdict: Verdict
    above_full: bool


def row_results(ablation: Ablation, results: Sequence[RunResult]) -> list[RowResult]:
    """The numbers of every row, table by table.

    Args:
        ablation: the plan.
        results: of its jobs, in their order.
    """
    runs: dict[str, list[RunResult]] = {}
    for job, result in zip(ablation.jobs, results, strict=True):
        runs.setdefault(job.label, []).append(result)
    numbers = {label: _numbers(found) for label, found in runs.items()}
    full_mean, full_sd = numbers[FULL]
    told = []
    for table, rows in ablation.tables.items():
        for row in rows:
            mean, sd = numbers[row.run]
            difference = mean["HM"] - full_mean["HM"]
            spread = max(sd["HM"], full_sd["HM"]) if sd and full_sd else 0.0
            verdict: Verdict = "higher" if difference > 0 else "lower"
            if row.is_full:
                verdict = "full"
            elif abs(difference) <= spread:
                verdict = "within"
            told.append(
                RowResult(
                    table=table,
                    label=row.label,
                    seeds=len(runs[row.run]),
                    mean=mean,
                    sd=sd,
                    validation_hm=statistics.fmean(r.validation.HM for r in runs[row.run]),
                    difference=difference,
                    verdict=verdict,
                    above_full=difference > 0 and not row.is_full,
                )
            )
    return told


def _numbers(runs: Sequence[RunResult]) -> tuple[dict[str, float], dict[str, float] | None]:
    values = {metric: [getattr(run.metrics, metric) for run in runs] for metric in METRICS}
    mean = {metric: statistics.fmean(found) for metric, found in values.items()}
    if len(runs) < 2:
        return mean, None
    return mean, {metric: statistics.stdev(found) for metric, found in values.items()}
