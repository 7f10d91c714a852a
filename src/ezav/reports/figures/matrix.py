"""Square heat maps over classes, legible from 3 to 300 of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from ezav.reports.figures.style import (
    BLACK,
    SEEN,
    SEEN_WORDS,
    UNSEEN,
    UNSEEN_WORDS,
    display_names,
    new_figure,
)

LABELLED = 64
"""Up to so many classes every row has its name; beyond, names are in the CSV."""
_ACROSS = 5.6


def class_matrix(
    values: NDArray[np.float64],
    names: Sequence[str],
    seen: Sequence[bool] | None,
    title: str,
    colours: str,
    limits: tuple[float, float],
    colour_label: str,
    axis_labels: tuple[str, str] | None,
    simulated: bool,
) -> Figure:
    """Draw `[C, C]` values; nan is white. Names are coloured by seen and unseen.

    Args:
        values: rows and columns in the order of `names`.
        seen: one entry a class; None where no class is seen or unseen.
        axis_labels: of rows and columns; None for a symmetric matrix.
    """
    count = len(names)
    labelled = count <= LABELLED
    size = max(3.0, 0.155 * count) if labelled else _ACROSS
    fontsize = 7.5
    shown = display_names(names) if labelled else []
    margin = max((0.065 * len(name) for name in shown), default=0.5)
    figure = new_figure(size + margin + 0.9, size + margin + 0.5, simulated)
    axes = figure.subplots()
    # Among hundreds of classes most cells of a confusion are pale: a square root shows them.
    scale = PowerNorm(0.5 if axis_labels and not labelled else 1.0, *limits)
    image = axes.imshow(np.ma.masked_invalid(values), cmap=colours, norm=scale)
    beyond = "max" if np.nanmax(values) > limits[1] else "neither"
    bar = figure.colorbar(image, ax=axes, fraction=0.045, pad=0.02, shrink=0.8, extend=beyond)
    bar.set_label(colour_label, fontsize=9)
    bar.ax.tick_params(labelsize=8)
    axes.set_title(title)
    if labelled:
        axes.set_xticks(range(count), shown, rotation=90, fontsize=fontsize)
        axes.set_yticks(range(count), shown, fontsize=fontsize)
        for ticks in (axes.get_xticklabels(), axes.get_yticklabels()):
            for tick, one_seen in zip(ticks, seen or ()):
                tick.set_color(SEEN_WORDS if one_seen else UNSEEN_WORDS)
        axes.tick_params(length=0)
    elif seen is None:
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_xlabel(f"{count} classes, similar ones side by side")
    else:
        _mark_sides(axes, seen)
    if axis_labels:
        axes.set_ylabel(axis_labels[0])
        axes.set_xlabel(axis_labels[1])
    axes.spines[:].set_visible(True)
    axes.spines[:].set_linewidth(0.5)
    boundary = sum(seen or ())
    if axis_labels and 0 < boundary < count:
        axes.axhline(boundary - 0.5, color=BLACK, lw=0.7)
        axes.axvline(boundary - 0.5, color=BLACK, lw=0.7)
    return figure


def _mark_sides(axes: Axes, seen: Sequence[bool]) -> None:
    """Too many names: say where seen and unseen classes are, in two blocks or one by one."""
    count, boundary = len(seen), sum(seen)
    axes.set_xticks([])
    axes.set_yticks([])
    if list(seen) != sorted(seen, reverse=True):
        _strips(axes, seen)
        return
    sides = [(0, boundary, "seen", SEEN_WORDS), (boundary, count, "unseen", UNSEEN_WORDS)]
    sides = [side for side in sides if side[0] < side[1]]
    middles = [(low + high - 1) / 2 for low, high, _, _ in sides]
    words = [f"{high - low} {word}" for low, high, word, _ in sides]
    axes.set_xticks(middles, words)
    axes.set_yticks(middles, words, rotation=90, va="center")
    for ticks in (axes.get_xticklabels(), axes.get_yticklabels()):
        for tick, side in zip(ticks, sides):
            tick.set_color(side[3])
    axes.tick_params(length=0)


def _strips(axes: Axes, seen: Sequence[bool]) -> None:
    """A mark for each class along both axes: seen ones near the matrix, unseen ones further off."""
    count = len(seen)
    for side, colour, near in ((True, SEEN, -0.012), (False, UNSEEN, -0.026)):
        places = [place for place in range(count) if seen[place] is side]
        for draw, along in (
            (axes.vlines, axes.get_xaxis_transform()),
            (axes.hlines, axes.get_yaxis_transform()),
        ):
            marks = draw(places, near - 0.012, near, colors=colour, transform=along, clip_on=False)
            marks.set_linewidth(320 / count)
    axes.set_xlim(-0.5, count - 0.5)
    axes.set_ylim(count - 0.5, -0.5)
    handles = [Patch(color=SEEN, label="seen"), Patch(color=UNSEEN, label="unseen")]
    axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(0, -0.04), ncols=2)
