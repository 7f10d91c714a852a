"""Figures of class embeddings: similarities and nearest classes before and after, the trade-off."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from ezav.classes.diagnostics import nearest_distances
from ezav.classes.embeddings import ClassEmbeddings
from ezav.classes.geometry import separation_bound
from ezav.classes.recipe import ClassEmbeddingRecipe
from ezav.classes.tradeoff import TradeoffPoint
from ezav.reports.figures.matrix import LABELLED, class_matrix
from ezav.reports.figures.order import cluster_order
from ezav.reports.figures.style import (
    BLACK,
    BLUE,
    COLUMN,
    DASHES,
    ORANGE,
    SERIES,
    Picture,
    new_figure,
    styled,
)

_MARKERS = ("o", "s", "^", "D", "v", "P")


def pair_pictures(text: ClassEmbeddings, made: ClassEmbeddings) -> tuple[Picture, ...]:
    """Text embeddings and what was made of them: both similarity matrices, and how near the
    nearest class is.

    Args:
        text: the text embeddings.
        made: embeddings of the same classes, in any order.

    Raises:
        EzavError: a class of `text` is not in `made`.

    Example:
        >>> import torch
        >>> text = ClassEmbeddings(("rain", "wind", "sea"), torch.eye(3))
        >>> [picture.name for picture in pair_pictures(text, text)]
        ['similarity-text', 'similarity-optimised', 'nearest']
    """
    made = made.select(text.names)
    both = {"text": text, "optimised": made}
    distances = {name: nearest_distances(one.vectors).numpy() for name, one in both.items()}
    nearest = nearest_picture(
        "nearest",
        distances,
        "distance to the nearest class",
        bound=separation_bound(len(made), made.dim),
    )
    return (*similarity_pictures(both), nearest)


@styled
def similarity_pictures(
    embeddings: dict[str, ClassEmbeddings],
    titles: Sequence[str] | None = None,
    seen: frozenset[str] | None = None,
    simulated: bool = False,
) -> tuple[Picture, ...]:
    """Cosine similarities of all classes, one matrix for each set of embeddings.

    Blocks on the diagonal are groups of related classes: optimization should fade the background
    and keep the blocks. All have one order, that of the first one's clusters, and one colour scale.
    It ends at the closest pair: a class with itself (1) would take it all.

    Args:
        embeddings: key -> embeddings; the same classes in the same order. Keys end the file names.
        titles: of the matrices; by default the keys.
        seen: names of the seen classes, to colour names by; None where there is no such thing.
        simulated: stamp the pictures.

    Example:
        >>> import torch
        >>> (picture,) = similarity_pictures({"text": ClassEmbeddings(("a", "b"), torch.eye(2))})
        >>> picture.alt
        'Cosine similarity of class embeddings, text: mean 0.00'
    """
    sets = list(embeddings.values())
    order = cluster_order(sets[0].vectors)
    names = [sets[0].names[c] for c in order]
    matrices = [cosine_matrix(one, order) for one in sets]
    off = ~np.eye(len(names), dtype=bool)
    pairs = np.concatenate([matrix[off] for matrix in matrices]) if off.any() else np.array([0, 1])
    return tuple(
        Picture(
            f"similarity-{key}",
            class_matrix(
                matrix,
                names,
                None if seen is None else [name in seen for name in names],
                title=title,
                colours="cividis",
                limits=(float(pairs.min()), float(pairs.max())),
                colour_label="cosine similarity",
                axis_labels=None,
                simulated=simulated,
            ),
            f"Cosine similarity of class embeddings, {title}: mean {mean_similarity(matrix):.2f}",
            scrolls=len(names) <= LABELLED,
        )
        for key, title, matrix in zip(embeddings, titles or list(embeddings), matrices, strict=True)
    )


def cosine_matrix(embeddings: ClassEmbeddings, order: Sequence[int]) -> NDArray[np.float64]:
    """Cosine similarities `[C, C]` of all classes, -1 to 1, rows and columns in an order.

    Example:
        >>> import torch
        >>> cosine_matrix(ClassEmbeddings(("a", "b"), torch.eye(2)), [1, 0]).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    vectors = embeddings.vectors[list(order)].double()
    found: NDArray[np.float64] = (vectors @ vectors.T).numpy()
    return found


def mean_similarity(matrix: NDArray[np.float64]) -> float:
    """The mean of all pairs of two classes; nan for a single class.

    Example:
        >>> mean_similarity(np.array([[1.0, 0.25], [0.25, 1.0]]))
        0.25
    """
    off = ~np.eye(len(matrix), dtype=bool)
    return float(matrix[off].mean()) if off.any() else math.nan


@styled
def nearest_picture(
    name: str,
    nearest: dict[str, NDArray[np.float64]],
    measure: str,
    bound: float | None = None,
    simulated: bool = False,
) -> Picture:
    """How near the nearest other class is: what decides whether two classes can be told apart.

    Args:
        name: of the picture's files.
        nearest: title -> a value `[C]` for each class; at most as many as two colours tell apart.
        measure: what the values are, in words.
        bound: the best value that there can be, as a line.
        simulated: stamp the picture.

    Example:
        >>> nearest_picture("nearest", {"text": np.array([0.5, 1.0])}, "distance").alt
        'distance, mean: text 0.75'
    """
    figure = new_figure(COLUMN, 3.2, simulated)
    axes = figure.subplots()
    every = np.concatenate(list(nearest.values()))
    highest = every.max() if bound is None else max(every.max(), bound)
    bins = np.linspace(every.min() - 0.01, highest + 0.01, 24)
    for (title, values), colour in zip(nearest.items(), (ORANGE, BLUE)):
        axes.hist(
            values,
            bins=bins.tolist(),
            histtype="stepfilled",
            facecolor=(colour, 0.35),
            edgecolor=colour,
            lw=1.5,
            label=f"{title}, mean {values.mean():.2f}",
        )
    if bound is not None:
        axes.axvline(bound, color=BLACK, lw=1, ls=":", label=f"bound {bound:.3f}")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel(measure)
    axes.set_ylabel("classes")
    figure.legend(loc="outside lower center", ncols=2)
    means = ", ".join(f"{title} {values.mean():.2f}" for title, values in nearest.items())
    return Picture(name, figure, f"{measure}, mean: {means}")


@styled
def tradeoff_picture(
    points: Sequence[TradeoffPoint], chosen: ClassEmbeddingRecipe | None = None
) -> Picture:
    """Separation against semantics: one curve over alpha for each margin, the chosen point ringed.

    Across: the share of triplet orderings kept. Up: the mean distance to the nearest class, with
    the simplex bound as a line.

    Args:
        points: at least one, as :func:`ezav.classes.tradeoff` gives them.
        chosen: the recipe to ring.

    Example:
        >>> import torch
        >>> from ezav.classes import tradeoff
        >>> text = ClassEmbeddings(("a", "b", "c"), torch.eye(3))
        >>> tradeoff_picture(tradeoff(text, [ClassEmbeddingRecipe(source="raw")])).name
        'tradeoff'
    """
    figure = new_figure(6.0, 4.2, simulated=False)
    axes = figure.subplots()
    margins = sorted({point.recipe.margin for point in points if point.recipe.source == "ceo"})
    for index, margin in enumerate(margins):
        _curve(axes, index, margin, points)
    for point in points:
        where = _place(point)
        if point.recipe.source == "raw":
            axes.plot(*where, "k*", markersize=9, label="text embeddings")
        elif point.recipe == chosen:
            axes.plot(*where, "o", mfc="none", mec="black", ms=12, label="chosen")
    bound = points[0].diagnostics.simplex_bound
    axes.axhline(bound, color="0.4", linewidth=0.8)
    axes.margins(y=0.12)
    axes.annotate(
        f"bound {bound:.3f}",
        (0.99, bound),
        xycoords=("axes fraction", "data"),
        xytext=(0, 3),
        horizontalalignment="right",
        textcoords="offset points",
        fontsize=8,
    )
    axes.set_xlabel("triplet orderings of the text embeddings kept (%)")
    axes.set_ylabel("mean distance to the nearest class")
    axes.legend(loc="lower left")
    alt = "Mean distance to the nearest class against the share of triplet orderings kept"
    return Picture("tradeoff", figure, alt)


def _curve(axes: Axes, index: int, margin: float, points: Sequence[TradeoffPoint]) -> None:
    """The points of one margin, by alpha; the first curve says which alpha is where."""
    inside = [p for p in points if p.recipe.source == "ceo" and p.recipe.margin == margin]
    inside.sort(key=lambda point: point.recipe.alpha)
    places = [_place(point) for point in inside]
    axes.plot(
        [x for x, _ in places],
        [y for _, y in places],
        color=SERIES[index % len(SERIES)],
        linestyle=DASHES[index % len(DASHES)],
        marker=_MARKERS[index % len(_MARKERS)],
        markersize=4,
        label=f"margin {margin:g}",
    )
    if index == 0:
        for place, point in zip(places, inside, strict=True):
            axes.annotate(
                f"α {point.recipe.alpha:g}",
                place,
                textcoords="offset points",
                xytext=(6, 2),
                fontsize=8,
            )


def _place(point: TradeoffPoint) -> tuple[float, float]:
    return 100 * point.diagnostics.orderings_kept, point.diagnostics.mean_nearest
