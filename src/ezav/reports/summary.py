"""Runs of several seeds as one row: mean, standard deviation, and what must not be overlooked."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from ezav.errors import EzavError
from ezav.protocol.result import Metrics, RunResult

METRICS = ("S", "U", "HM", "ZSL", "AUSUC")
Kind = Literal["trained", "frozen", "shuffled"]
_KIND_MARKS = {"trained": "", "frozen": " (frozen baseline)", "shuffled": " (shuffled control)"}
_SHOWN_DIFFERENCES = 3


class Comparable(NamedTuple):
    """What two results must share to stand in one table."""

    dataset: str
    setting: str
    text_alignment: str
    simulated: bool
    store_fingerprint: str

    @property
    def title(self) -> str:
        """Data set, setting and text alignment in words."""
        setting = f", setting {self.setting}" if self.setting else ""
        alignment = "" if self.text_alignment == "by_name" else ", text in the published order"
        return f"{self.dataset}{setting}{alignment}"


@dataclass(frozen=True, kw_only=True)
class SummaryRow:
    """The runs of one label on one store: mean and standard deviation over seeds.

    Attributes:
        label: what the table calls it; where runs of one label differ in their settings, the
            settings that differ are added.
        method: the method's registered name.
        where: data set, setting, text alignment and store; rows that differ in it are never put
            in one table.
        kind: "trained"; "frozen" (nothing was trained); "shuffled" (the control whose class
            embeddings belong to other classes).
        seeds: sorted.
        mean: S, U, HM, ZSL and AUSUC as fractions, means over seeds.
        sd: their sample standard deviations (n - 1); None with one seed.
        validation_hm: mean HM on validation at the chosen gamma: the only number to choose by.
        chance: what a guess reaches that ignores the clip.
        parameters: number of weights.
    """

    label: str
    method: str
    where: Comparable
    kind: Kind
    seeds: tuple[int, ...]
    mean: dict[str, float]
    sd: dict[str, float] | None
    validation_hm: float
    chance: Metrics
    parameters: int

    @property
    def dataset(self) -> str:
        """Name of the data set."""
        return self.where.dataset

    @property
    def main_metric(self) -> str:
        """What the row is compared by: HM; S where every class was trained on."""
        return "S" if math.isnan(self.mean["HM"]) else "HM"

    @property
    def setting(self) -> str:
        """Which features and splits."""
        return self.where.setting

    @property
    def marked_label(self) -> str:
        """The label, and what is special about the row."""
        told = self.kind == "trained" or self.kind in self.label.lower()
        return self.label if told else self.label + _KIND_MARKS[self.kind]

    def cell(self, metric: str) -> str:
        """Mean ± standard deviation in percent.

        Raises:
            KeyError: no such metric.
        """
        spread = "" if self.sd is None else f" ± {percent(self.sd[metric])}"
        return f"{percent(self.mean[metric])}{spread}"


def comparable(result: RunResult) -> Comparable:
    """What another run must share to be compared with this one.

    Example:
        >>> from ezav.protocol import read_result
        >>> comparable(read_result(runs / "ez-0")) == comparable(read_result(runs / "frozen"))
        True
    """
    return Comparable(
        result.dataset,
        result.setting,
        result.text_alignment,
        result.simulated,
        result.store_fingerprint,
    )


def percent(fraction: float) -> str:
    """A fraction as percent with one decimal; a dash where there is no number.

    Example:
        >>> percent(0.4567), percent(float("nan"))
        ('45.7', '–')
    """
    return "–" if math.isnan(fraction) else f"{100 * fraction:.1f}"


def group_runs(results: Sequence[RunResult]) -> list[tuple[str, list[int]]]:
    """The rows of a table: a label and the positions of its runs, sorted by seed.

    Runs belong together if they share label, store and every setting but the seed. Where one
    label stands for several settings, what differs is added to the label.

    Raises:
        EzavError: one run occurs twice.

    Example:
        >>> from ezav.protocol import read_result
        >>> every = [read_result(runs / name) for name in ("ez-1", "frozen", "ez-0")]
        >>> group_runs(every)
        [('ez_avgzl', [2, 0]), ('zero_shot', [1])]
        >>> group_runs([every[0], every[0]])
        Traceback (most recent call last):
        ezav.errors.EzavError: two runs of 'ez_avgzl' have seed 1 and the same settings; ...
    """
    groups: dict[tuple[Comparable, str, str], list[int]] = {}
    for position, result in enumerate(results):
        key = (comparable(result), result.label or result.method, _settings_key(result))
        groups.setdefault(key, []).append(position)
    rows = []
    for (where, label, _), positions in groups.items():
        positions.sort(key=lambda position: results[position].seed)
        seeds = [results[position].seed for position in positions]
        for seed in seeds:
            if seeds.count(seed) > 1:
                raise EzavError(
                    f"two runs of '{label}' have seed {seed} and the same settings",
                    "give every run once",
                )
        same_label = [
            results[others[0]]
            for (other_where, name, _), others in groups.items()
            if (other_where, name) == (where, label)
        ]
        rows.append((label + _differences(results[positions[0]], same_label), positions))
    return rows


def summary_rows(results: Sequence[RunResult]) -> list[SummaryRow]:
    """One row for each label and store, in order of first appearance.

    Raises:
        EzavError: no results, or one run occurs twice.

    Example:
        >>> summary_rows([])
        Traceback (most recent call last):
        ezav.errors.EzavError: no results to put in a table; give at least one run
    """
    if not results:
        raise EzavError("no results to put in a table", "give at least one run")
    return [
        _row(label, [results[position] for position in positions])
        for label, positions in group_runs(results)
    ]


def by_comparison(rows: Iterable[SummaryRow]) -> list[list[SummaryRow]]:
    """The rows of each table: those that may be compared with each other.

    Example:
        >>> from ezav.protocol import read_result
        >>> rows = summary_rows([read_result(runs / name) for name in ("ez-0", "frozen")])
        >>> [[row.label for row in table] for table in by_comparison(rows)]
        [['ez_avgzl', 'zero_shot']]
    """
    tables: dict[Comparable, list[SummaryRow]] = {}
    for row in rows:
        tables.setdefault(row.where, []).append(row)
    return list(tables.values())


def notes(rows: Sequence[SummaryRow]) -> list[str]:
    """What a reader must not overlook: trained rows below frozen ones, controls or chance.

    Example:
        >>> from dataclasses import replace
        >>> from ezav.protocol import read_result
        >>> good, frozen = summary_rows([read_result(runs / name) for name in ("ez-0", "frozen")])
        >>> notes([good, frozen])
        []
        >>> print(*notes([replace(good, mean={**good.mean, "HM": 0.2}), frozen]))
        'ez_avgzl' (HM 20.0) is trained, yet below the frozen baseline 'zero_shot' (HM 50.0).
    """
    return [
        note for table in by_comparison(rows) for row in table for note in _warnings(row, table)
    ]


def _warnings(row: SummaryRow, table: Sequence[SummaryRow]) -> list[str]:
    hm = row.mean["HM"]
    mine = f"'{row.label}' (HM {percent(hm)})"
    found = []
    if row.kind != "shuffled" and hm < row.chance.HM:
        found.append(f"{mine} is below chance ({percent(row.chance.HM)}).")
    if row.kind != "trained":
        return found
    for other in table:
        theirs = f"'{other.label}' (HM {percent(other.mean['HM'])})"
        if other.kind == "frozen" and hm < other.mean["HM"]:
            found.append(f"{mine} is trained, yet below the frozen baseline {theirs}.")
        same_method = other.kind == "shuffled" and other.method == row.method
        if same_method and hm <= other.mean["HM"]:
            found.append(
                f"{mine} is not above the shuffled control {theirs}: "
                "no sign that the meaning of the class names helps."
            )
    return found


def kind_of(result: RunResult) -> Kind:
    """Whether a run was trained, is a frozen baseline, or the shuffled control.

    Example:
        >>> from ezav.protocol import read_result
        >>> kind_of(read_result(runs / "ez-0")), kind_of(read_result(runs / "frozen"))
        ('trained', 'frozen')
    """
    from ezav.methods import registry

    if (result.config.get("classes") or {}).get("shuffle"):
        return "shuffled"
    if result.method in registry.names():
        return "frozen" if registry.get(result.method).baseline else "trained"
    return "trained" if result.parameters else "frozen"


def flat_settings(result: RunResult) -> dict[str, object]:
    """Every setting of a run but its seed, as `{"config.classes.alpha": 0.5, …}`.

    Example:
        >>> from ezav.protocol import read_result
        >>> settings = flat_settings(read_result(runs / "ez-0"))
        >>> settings["config.classes.source"], settings["training.epochs"], "seed" in settings
        ('ceo', 10, False)
    """
    flat: dict[str, object] = {"method": result.method}

    def walk(prefix: str, value: object) -> None:
        if isinstance(value, dict):
            for name, inner in value.items():
                walk(f"{prefix}.{name}", inner)
        else:
            flat[prefix] = value

    walk("config", result.config)
    walk("training", result.training)
    flat["text encoder"] = result.class_embeddings.get("encoder")
    return flat


def _settings_key(result: RunResult) -> str:
    return json.dumps(flat_settings(result), sort_keys=True, default=str)


def _differences(result: RunResult, same_label: Sequence[RunResult]) -> str:
    mine = flat_settings(result)
    all_settings = [flat_settings(other) for other in same_label]
    names = [
        name
        for name in dict.fromkeys(name for settings in all_settings for name in settings)
        if len({json.dumps(s.get(name), default=str) for s in all_settings}) > 1
    ]
    if not names:
        return ""
    shown = [f"{n.split('.', 1)[-1]}={mine.get(n)}" for n in names[:_SHOWN_DIFFERENCES]]
    if len(names) > _SHOWN_DIFFERENCES:
        shown.append("…")
    return f" [{', '.join(shown)}]"


def _row(label: str, runs: Sequence[RunResult]) -> SummaryRow:
    values = {metric: [getattr(run.metrics, metric) for run in runs] for metric in METRICS}
    return SummaryRow(
        label=label,
        method=runs[0].method,
        where=comparable(runs[0]),
        kind=kind_of(runs[0]),
        seeds=tuple(run.seed for run in runs),
        mean={metric: statistics.fmean(numbers) for metric, numbers in values.items()},
        sd={m: statistics.stdev(v) for m, v in values.items()} if len(runs) > 1 else None,
        validation_hm=statistics.fmean(run.validation.HM for run in runs),
        chance=runs[0].chance,
        parameters=runs[0].parameters,
    )
