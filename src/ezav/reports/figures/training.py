"""Training curves of stage 1: loss and validation HM by epoch, and the epoch that was kept."""

from __future__ import annotations

from ezav.reports.figures.style import (
    BLUE,
    COLUMN,
    VERMILLION,
    Panel,
    Picture,
    new_figure,
    styled,
)
from ezav.reports.runs import LabelledRuns
from ezav.reports.tables import to_csv


@styled
def training_curves(group: LabelledRuns) -> Panel | None:
    """Loss and validation HM of every seed; None where there is a single epoch or none."""
    if max(len(run.history) for run in group.runs) < 2:
        return None
    result = group.first.result
    curves = (("loss", "training loss", 1.0, BLUE), ("validation_HM", "HM (%)", 100.0, VERMILLION))
    pictures = []
    for key, label, scale, colour in curves:
        figure = new_figure(COLUMN, 2.9, result.simulated)
        axes = figure.subplots()
        for place, run in enumerate(group.runs):
            points = [(line["epoch"], line.get(key)) for line in run.history]
            points = [(epoch, scale * value) for epoch, value in points if value is not None]
            if not points:
                continue
            width, alpha = (1.6, 1.0) if place == 0 else (0.9, 0.45)
            axes.plot(*zip(*points), color=colour, lw=width, alpha=alpha)
            kept = dict(points).get(run.result.epoch)
            if kept is not None:
                axes.plot(run.result.epoch, kept, "o", color=colour, mec="white", ms=7, zorder=5)
        axes.set_xlabel("epoch of stage 1")
        axes.set_ylabel(f"validation {label}" if key == "validation_HM" else label)
        axes.set_ylim(bottom=0 if key == "validation_HM" else None)
        name = "training-loss" if key == "loss" else "training-validation"
        pictures.append(Picture(name, figure, f"{label} by epoch, {group.label}"))
    columns = list(dict.fromkeys(k for run in group.runs for line in run.history for k in line))
    csv: list[list[object]] = [["seed", *columns]]
    for run in group.runs:
        csv += [[run.result.seed, *(line.get(c, "") for c in columns)] for line in run.history]
    return Panel(
        key="training",
        title="Training",
        caption=(
            f"Stage 1 of {group.label} on {result.dataset}: trained on the training split, HM on "
            "the validation split at the best γ of each epoch. A line is a seed (bold: the lowest),"
            " the dot the epoch that was kept. No test clip is involved."
        ),
        pictures=tuple(pictures),
        csv={"training": to_csv(csv)},
    )
