"""Recall of every class, seen and unseen marked."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ezav.reports.figures.style import (
    BLACK,
    COLUMN,
    SEEN,
    UNSEEN,
    Panel,
    Picture,
    display_names,
    new_figure,
    printable,
    styled,
)
from ezav.reports.runs import LabelledRuns
from ezav.reports.summary import percent
from ezav.reports.tables import to_csv

NAMED = 64
"""Up to so many classes every bar has its name; beyond, the table below has them."""


class _Bar:
    """One class: mean and spread of its recall over seeds."""

    def __init__(self, group: LabelledRuns, row: int) -> None:
        found = [run.result.per_class[row] for run in group.runs]
        recalls = [one.recall for one in found if one.recall is not None]
        zsl = [one.zsl_recall for one in found if one.zsl_recall is not None]
        self.name, self.seen, self.clips = found[0].name, found[0].seen, found[0].clips
        self.mean = statistics.fmean(recalls) if recalls else float("nan")
        self.sd = statistics.stdev(recalls) if len(recalls) > 1 else None
        self.zsl = statistics.fmean(zsl) if zsl else float("nan")


@styled
def per_class_recall(group: LabelledRuns) -> Panel:
    """Bars of GZSL recall (%) at gamma, sorted within seen and unseen classes."""
    result = group.first.result
    bars = [_Bar(group, row) for row in range(len(result.per_class))]
    tested = [bar for bar in bars if bar.clips]
    tested.sort(key=lambda bar: (not bar.seen, -bar.mean, bar.name))
    figure = (_named if len(tested) <= NAMED else _crowd)(tested, result.simulated)
    seeds = len(group.runs)
    over = f"mean and standard deviation over {seeds} seeds" if seeds > 1 else "one seed"
    caption = (
        f"Recall of each class among all candidates at the learned γ: {group.label}, test clips "
        f"of {result.dataset}, {over}."
    )
    if len(tested) < len(bars):
        caption += f" {len(bars) - len(tested)} candidate classes have no test clip."
    head = ["class", "side", "test clips", "recall %", "ZSL recall %"]
    rows = [
        [
            printable(bar.name),
            "seen" if bar.seen else "unseen",
            str(bar.clips),
            percent(bar.mean),
            "" if bar.seen else percent(bar.zsl),
        ]
        for bar in tested
    ]
    csv: list[list[object]] = [["class", "seen", "clips", "recall_mean", "recall_sd", "zsl_mean"]]
    csv += [[b.name, b.seen, b.clips, b.mean, b.sd, "" if b.seen else b.zsl] for b in tested]
    return Panel(
        key="recall",
        title="Recall of each class",
        caption=caption,
        pictures=(Picture("recall", figure, f"Recall of {len(tested)} classes, {group.label}"),),
        csv={"recall": to_csv(csv)},
        table=[head, *rows],
        table_title="All classes",
        folded=True,
        half=True,
    )


def _colours(bars: Sequence[_Bar]) -> list[str]:
    return [SEEN if bar.seen else UNSEEN for bar in bars]


def _named(bars: Sequence[_Bar], simulated: bool) -> Figure:
    figure = new_figure(1.1 * COLUMN, 1.0 + 0.19 * len(bars), simulated)
    axes = figure.subplots()
    places = list(range(len(bars)))
    hatches = ["" if bar.seen else "////" for bar in bars]
    axes.barh(
        places,
        [100 * bar.mean for bar in bars],
        height=0.75,
        color=_colours(bars),
        hatch=hatches,
        edgecolor="white",
        lw=0,
    )
    for place, bar in zip(places, bars):
        if bar.sd is not None:
            axes.errorbar(100 * bar.mean, place, xerr=100 * bar.sd, color=BLACK, lw=0.8)
    axes.set_yticks(places, display_names([bar.name for bar in bars]), fontsize=8)
    axes.set_ylim(len(bars) - 0.4, -0.6)
    axes.set_xlim(0, 100)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("recall (%)")
    _legend(figure)
    return figure


def _crowd(bars: Sequence[_Bar], simulated: bool) -> Figure:
    figure = new_figure(COLUMN, 3.6, simulated)
    axes: Axes = figure.subplots()
    boundary = sum(bar.seen for bar in bars)
    values = [100 * bar.mean for bar in bars]
    for low, high, colour in ((0, boundary, SEEN), (boundary, len(bars), UNSEEN)):
        if low < high:
            axes.stairs(values[low:high], np.arange(low, high + 1) - 0.5, color=colour, fill=True)
    spread = [100 * (bar.sd or 0.0) for bar in bars]
    if any(spread):
        axes.errorbar(range(len(bars)), values, yerr=spread, fmt="none", color=BLACK, lw=0.5)
    axes.set_xlim(-0.5, len(bars) - 0.5)
    axes.set_ylim(0, 100)
    axes.set_xticks([])
    axes.set_xlabel(f"{len(bars)} classes, sorted by recall (names below)")
    axes.set_ylabel("recall (%)")
    _legend(figure, hatch="")
    return figure


def _legend(figure: Figure, hatch: str = "////") -> None:
    patches = [
        Patch(facecolor=SEEN, label="seen"),
        Patch(facecolor=UNSEEN, label="unseen", hatch=hatch, edgecolor="white", lw=0),
    ]
    figure.legend(handles=patches, loc="outside lower center", ncols=2)
