"""Figures of class embeddings: similarities, the trade-off, nearest-neighbour distances."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from ezav.classes.diagnostics import nearest_distances
from ezav.classes.embeddings import ClassEmbeddings
from ezav.classes.geometry import separation_bound
from ezav.classes.recipe import ClassEmbeddingRecipe
from ezav.classes.tradeoff import TradeoffPoint
from ezav.errors import EzavError
from ezav.safe_io import atomic_path

# Okabe and Ito's colours, told apart by the colour-blind; markers and dashes say the same again.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_MARKERS = ("o", "s", "^", "D", "v", "P")
_DASHES = ("-", "--", "-.", ":")
_STYLE: Any = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "text.parse_math": False,  # a class may be called "$100 bill"
    "svg.hashsalt": "ezav",
}
# With more classes than this their names would be too small to read.
_NAMED_CLASSES = 40


def save_figure(figure: Figure, path: str | Path) -> Path:
    """Write a figure as `.svg` or `.png`, in one step; the same figure gives the same bytes.

    Raises:
        EzavError: the ending is another one, or the folder cannot be written.
    """
    path = Path(path)
    kind = path.suffix.lstrip(".").lower()
    if kind not in ("svg", "png"):
        raise EzavError(f"cannot write a figure as '{path.name}'", "end its name in .svg or .png")
    stamp = {"Date": None} if kind == "svg" else {"Software": None}
    with atomic_path(path) as temporary, rc_context(_STYLE):
        figure.savefig(temporary, format=kind, dpi=120, bbox_inches="tight", metadata=stamp)
    return path


def similarity_figure(t: ClassEmbeddings, w: ClassEmbeddings) -> Figure:
    """Cosine similarities of all classes before and after, both in the order of `t`'s clusters.

    Blocks on the diagonal are groups of related classes: optimization should fade the background
    and keep the blocks.
    """
    w = w.select(t.names)
    order = _cluster_order(t)
    before = (t.vectors @ t.vectors.T).numpy()[np.ix_(order, order)]
    after = (w.vectors @ w.vectors.T).numpy()[np.ix_(order, order)]
    off = ~np.eye(len(order), dtype=bool)
    # The scale ends at the closest pair: a class with itself (1) would take it all.
    both = np.concatenate([before[off], after[off]]) if off.any() else np.array([0.0, 1.0])
    low, high = both.min(), both.max()
    with rc_context(_STYLE):
        figure = Figure(figsize=(9.0, 4.4), layout="constrained")
        axes = figure.subplots(1, 2)
        scale: Any = {"cmap": "cividis", "vmin": low, "vmax": high, "interpolation": "nearest"}
        for axis, matrix, title in zip(axes, (before, after), ("text", "optimised"), strict=True):
            image = axis.imshow(matrix, **scale)
            mean = f" (mean of pairs {matrix[off].mean():.2f})" if off.any() else ""
            axis.set_title(f"{title}{mean}")
            names = [t.names[i] for i in order]
            if len(names) <= _NAMED_CLASSES:
                axis.set_yticks(range(len(names)), names, fontsize=6)
                axis.set_xticks([])
            else:
                axis.set_xticks([])
                axis.set_yticks([])
                axis.set_xlabel(f"{len(names)} classes, by cluster of the text embeddings")
        figure.colorbar(image, ax=axes, shrink=0.85, label="cosine similarity", extend="max")
    return figure


def _cluster_order(t: ClassEmbeddings) -> list[int]:
    """Rows by average-linkage clustering of cosine distance, similar ones side by side."""
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    if len(t) < 3:
        return list(range(len(t)))
    exact = t.vectors.double()
    distance = (1 - exact @ exact.T).clamp(min=0).fill_diagonal_(0).numpy()
    condensed = squareform((distance + distance.T) / 2, checks=False)
    # Optimal leaf ordering is cubic: worth it only while it takes seconds.
    tree = linkage(condensed, "average", optimal_ordering=len(t) <= 500)
    return [int(i) for i in leaves_list(tree)]


def tradeoff_figure(
    points: Sequence[TradeoffPoint], chosen: ClassEmbeddingRecipe | None = None
) -> Figure:
    """Separation against semantics: one curve over α for each margin, the chosen point ringed.

    Across: the share of triplet orderings kept. Up: the mean distance to the nearest class, with
    the simplex bound as a line.
    """
    margins = sorted({p.recipe.margin for p in points if p.recipe.source == "ceo"})
    with rc_context(_STYLE):
        figure = Figure(figsize=(6.0, 4.2), layout="constrained")
        axis = figure.subplots()
        for index, margin in enumerate(margins):
            curve = [p for p in points if p.recipe.source == "ceo" and p.recipe.margin == margin]
            curve.sort(key=lambda p: p.recipe.alpha)
            x = [100 * p.diagnostics.orderings_kept for p in curve]
            y = [p.diagnostics.mean_nearest for p in curve]
            axis.plot(
                x,
                y,
                color=_COLOURS[index % len(_COLOURS)],
                linestyle=_DASHES[index % len(_DASHES)],
                marker=_MARKERS[index % len(_MARKERS)],
                markersize=4,
                label=f"margin {margin:g}",
            )
            if index == 0:
                for a, b, point in zip(x, y, curve, strict=True):
                    axis.annotate(
                        f"α {point.recipe.alpha:g}",
                        (a, b),
                        textcoords="offset points",
                        xytext=(6, 2),
                        fontsize=7,
                    )
        for point in points:
            where = (100 * point.diagnostics.orderings_kept, point.diagnostics.mean_nearest)
            if point.recipe.source == "raw":
                axis.plot(*where, "k*", markersize=9, label="text embeddings")
            elif point.recipe == chosen:
                axis.plot(*where, "o", mfc="none", mec="black", ms=12, label="chosen")
        bound = points[0].diagnostics.simplex_bound
        axis.axhline(bound, color="0.4", linewidth=0.8)
        axis.margins(y=0.12)
        axis.annotate(
            f"bound {bound:.3f}",
            (0.99, bound),
            xycoords=("axes fraction", "data"),
            xytext=(0, 3),
            horizontalalignment="right",
            textcoords="offset points",
            fontsize=7,
        )
        axis.set_xlabel("triplet orderings of the text embeddings kept (%)")
        axis.set_ylabel("mean distance to the nearest class")
        axis.legend(loc="lower left")
    return figure


def nearest_figure(t: ClassEmbeddings, w: ClassEmbeddings) -> Figure:
    """Histograms of each class's distance to its nearest class, before and after."""
    before, after = nearest_distances(t.vectors), nearest_distances(w.vectors)
    bound = separation_bound(len(w), w.dim)
    with rc_context(_STYLE):
        figure = Figure(figsize=(6.0, 3.4), layout="constrained")
        axis = figure.subplots()
        bins = np.linspace(0, max(bound, math.sqrt(2)), 43).tolist()
        for values, label, colour, hatch in (
            (before, "text", _COLOURS[4], None),
            (after, "optimised", _COLOURS[0], "//"),
        ):
            axis.hist(
                values.numpy(),
                bins,
                label=f"{label}, mean {values.mean():.2f}",
                color=colour,
                alpha=0.7,
                hatch=hatch,
                edgecolor="white",
            )
        axis.axvline(bound, color="0.3", linewidth=1, label=f"bound {bound:.3f}")
        axis.set_xlabel("distance to the nearest class")
        axis.set_ylabel("classes")
        figure.legend(loc="outside upper center", ncols=3)
    return figure
