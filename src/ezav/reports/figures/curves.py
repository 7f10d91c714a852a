"""Seen-unseen curves: what every gamma would give, and the gamma that validation chose."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from ezav.reports.figures.style import (
    BLACK,
    COLUMN,
    DASHES,
    GREY,
    SERIES,
    Panel,
    Picture,
    display_name,
    new_figure,
    styled,
)
from ezav.reports.runs import LabelledRuns, Run
from ezav.reports.tables import to_csv

SHOWN = len(SERIES)


@styled
def seen_unseen_curves(groups: Sequence[LabelledRuns]) -> Panel:
    """U as a function of S over all gamma; every seed a line, the chosen gamma a dot."""
    chosen = sorted(groups, key=lambda group: -group.validation_hm)[:SHOWN]
    shown = [group for group in groups if group in chosen]
    result = shown[0].first.result
    figure = new_figure(COLUMN, 3.9 + 0.22 * len(shown), result.simulated)
    axes = figure.subplots()
    limit_s = limit_u = 0.0
    table: list[list[object]] = [["label", "seed", "chosen", "gamma_from", "S", "U", "HM"]]
    for number, group in enumerate(shown):
        for place, run in enumerate(group.runs):
            s, u = _line(axes, number, group.label if place == 0 else None, run)
            limit_s, limit_u = max(limit_s, s), max(limit_u, u)
            table += _rows(group.label, run)
    seen, unseen = (len(result.candidates[side]) for side in ("seen", "unseen"))
    axes.plot([0, 100 / seen], [100 / unseen, 0], color=BLACK, ls=":", lw=1.5, label="chance")
    limit_s, limit_u = min(1.06 * limit_s, 103) or 1, min(max(1.1 * limit_u, 110 / unseen), 103)
    _equal_hm(axes, limit_s, limit_u)
    axes.set_xlim(0, limit_s)
    axes.set_ylim(0, limit_u)
    axes.set_xlabel("S, recall of seen classes (%)")
    axes.set_ylabel("U, recall of unseen classes (%)")
    figure.legend(loc="outside lower center", ncols=1)
    caption = (
        f"Test clips of {result.dataset}: {seen} seen and {unseen} unseen classes. Each line is "
        "one seed, over every calibration constant γ (the bold line is the lowest seed); the dot "
        "is the γ that validation chose. Dotted: guesses that ignore the clip. Grey: equal HM."
    )
    if len(shown) < len(groups):
        caption += f" The {len(shown)} rows of {len(groups)} with the best validation HM."
    return Panel(
        key="seen-unseen",
        title="Seen-unseen curves",
        caption=caption,
        pictures=(
            Picture(
                "seen-unseen",
                figure,
                "Recall of unseen classes against recall of seen classes for "
                + ", ".join(group.label for group in shown),
            ),
        ),
        csv={"seen-unseen": to_csv(table)},
        half=True,
    )


def _line(axes: Axes, number: int, label: str | None, run: Run) -> tuple[float, float]:
    """One seed's curve and its chosen point, bold where it has a label; how far S and U go."""
    colour, dash = SERIES[number % len(SERIES)], DASHES[number % len(DASHES)]
    curve, metrics = run.test.curve(), run.result.metrics
    s, u = 100 * curve.S.numpy(), 100 * curve.U.numpy()
    width, alpha, size = (0.8, 0.45, 4) if label is None else (1.8, 1.0, 7)
    name = None if label is None else display_name(label, 34)
    axes.plot(s, u, color=colour, ls=dash, lw=width, alpha=alpha, label=name)
    axes.plot(
        100 * metrics.S,
        100 * metrics.U,
        "o",
        color=colour,
        ms=size,
        mec="white",
        alpha=max(alpha, 0.7),
        zorder=5,
    )
    return float(s.max()), float(u.max())


def _equal_hm(axes: Axes, limit_s: float, limit_u: float) -> None:
    s, u = np.meshgrid(np.linspace(1e-3, limit_s, 120), np.linspace(1e-3, limit_u, 120))
    highest = 2 * limit_s * limit_u / (limit_s + limit_u)
    step = next(step for step in (1, 2, 5, 10, 20) if highest / step <= 6 or step == 20)
    levels = np.arange(step, highest, step)
    if len(levels):
        lines = axes.contour(s, u, 2 * s * u / (s + u), levels, colors=GREY, linewidths=0.5)
        axes.clabel(lines, fmt="HM %g", fontsize=8, colors="#606060")


def _rows(label: str, run: Run) -> list[list[object]]:
    curve = run.test.curve()
    starts = [-np.inf, *curve.breakpoints.tolist()]
    rows: list[list[object]] = [
        [label, run.result.seed, 0, start, s, u, hm]
        for start, s, u, hm in zip(starts, curve.S.tolist(), curve.U.tolist(), curve.HM.tolist())
    ]
    m = run.result.metrics
    rows.append([label, run.result.seed, 1, run.result.gamma, m.S, m.U, m.HM])
    return rows
