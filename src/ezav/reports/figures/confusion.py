"""Confusion matrices at the learned gamma, with and without optimised class embeddings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ezav.metrics import confusion_matrix
from ezav.reports.figures.matrix import LABELLED, class_matrix
from ezav.reports.figures.order import cluster_order, seen_first
from ezav.reports.figures.style import Panel, Picture, printable, styled
from ezav.reports.runs import LabelledRuns
from ezav.reports.tables import to_csv

_MOST_FREQUENT = 10


@styled
def confusion(group: LabelledRuns, without: LabelledRuns | None = None) -> Panel:
    """Confusion of a row's test clips; beside it the same method without optimisation (CEO)."""
    test = group.first.test
    order = seen_first(cluster_order(group.first.text.select(test.classes).vectors), test.seen)
    pictures, csv = [], {}
    for which, key in ((without, "confusion-without-ceo"), (group, "confusion")):
        if which is not None:
            pictures.append(_picture(which, order, key, compared=without is not None))
            csv[key] = _csv(which, order)
    seeds = len(group.runs)
    caption = (
        f"Test clips of {group.first.result.dataset} (GZSL: all {len(order)} classes are "
        "candidates, γ as learned on validation). A row is a true class and sums to 100 %"
        f"{f'; all {seeds} seeds together' if seeds > 1 else ''}. Seen classes come first, and "
        "neighbours have similar text embeddings."
    )
    if without is not None:
        caption += f" First: {without.label}, raw text embeddings; then: {group.label}."
    if len(order) > LABELLED:
        caption += " The names, in this order, are in the CSV that is written with figures."
    return Panel(
        key="confusion",
        title="Confusion matrix" if without is None else "Confusion without and with CEO",
        caption=caption,
        pictures=tuple(pictures),
        csv=csv,
        table=_most_frequent(group),
        table_title=f"Most frequent confusions of {group.label}",
    )


def _counts(group: LabelledRuns) -> Tensor:
    """Clips by true (row) and predicted class (column), all seeds together; long `[C, C]`."""
    first = group.first.test
    total = torch.zeros(len(first.classes), len(first.classes), dtype=torch.long)
    for run in group.runs:
        total += confusion_matrix(run.predictions, run.test.targets, len(first.classes))
    return total


def _picture(group: LabelledRuns, order: Sequence[int], key: str, compared: bool) -> Picture:
    test = group.first.test
    matrix = _counts(group)[order][:, order].double().numpy()
    with np.errstate(invalid="ignore"):
        shares = 100 * matrix / matrix.sum(1, keepdims=True)
    title = ""
    if compared:
        title = "with CEO" if group.uses_ceo else "without CEO (raw text embeddings)"
    figure = class_matrix(
        shares,
        [test.classes[c] for c in order],
        [bool(test.seen[c]) for c in order],
        title=title,
        colours="Blues",
        limits=(0, 100),
        colour_label="% of the true class's clips",
        axis_labels=("true class", "predicted class"),
        simulated=group.first.result.simulated,
    )
    right = float(np.trace(matrix) / matrix.sum())
    alt = f"Confusion matrix of {group.label}: {right:.0%} of all clips on the diagonal"
    return Picture(key, figure, alt, scrolls=len(order) <= LABELLED)


def _csv(group: LabelledRuns, order: Sequence[int]) -> str:
    names = [group.first.test.classes[c] for c in order]
    matrix = _counts(group)[order][:, order].tolist()
    head: list[object] = ["true class \\ predicted class (clips)", *names]
    return to_csv([head, *([name, *row] for name, row in zip(names, matrix))])


def _most_frequent(group: LabelledRuns) -> list[list[str]]:
    matrix = _counts(group)
    names, seen = group.first.test.classes, group.first.test.seen
    clips = matrix.sum(1)
    wrong = matrix.clone().fill_diagonal_(0).flatten()
    rows = []
    for cell in wrong.argsort(descending=True, stable=True)[:_MOST_FREQUENT].tolist():
        true, predicted = divmod(cell, len(names))
        if wrong[cell] == 0:
            break
        words = [f"{printable(names[c])} ({side(bool(seen[c]))})" for c in (true, predicted)]
        rows.append([*words, f"{int(wrong[cell])} of {int(clips[true])}"])
    return [["true class", "taken for", "clips"], *rows] if rows else []


def side(seen: bool) -> str:
    """The word for a class's side.

    Example:
        >>> side(True), side(False)
        ('seen', 'unseen')
    """
    return "seen" if seen else "unseen"
