"""Cosine similarity among class embeddings: as the text encoder gave them, and as trained with."""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from ezav.classes.embeddings import ClassEmbeddings
from ezav.reports.figures.matrix import LABELLED, class_matrix
from ezav.reports.figures.order import cluster_order
from ezav.reports.figures.style import BLUE, COLUMN, ORANGE, Panel, Picture, new_figure, styled
from ezav.reports.runs import LabelledRuns
from ezav.reports.tables import to_csv


@styled
def similarity(group: LabelledRuns) -> Panel:
    """Similarity before and after, classes in one order, and the distribution of both."""
    run = group.first
    before, after = run.text, run.classes.select(run.text.names)
    order = cluster_order(before.vectors)
    names = [before.names[c] for c in order]
    seen_names = set(run.result.candidates["seen"])
    seen = [name in seen_names for name in names]
    matrices = [_cosine(one, order) for one in (before, after)]
    unchanged = torch.equal(before.vectors, after.vectors)
    off = ~np.eye(len(names), dtype=bool)
    lowest = min(float(m[off].min(initial=1)) for m in matrices)
    made = "shuffled among classes" if group.setting.get("shuffle") else "as trained with"
    titles = ["text embeddings", made]
    keys = ["similarity-text", "similarity-trained"]
    shown = 1 if unchanged else 2
    pictures = [
        Picture(
            key,
            class_matrix(
                matrix,
                names,
                seen,
                title=title,
                colours="cividis",
                limits=(lowest, 1.0),
                colour_label="cosine similarity",
                axis_labels=None,
                simulated=run.result.simulated,
            ),
            f"Cosine similarity of class embeddings, {title}: mean {matrix[off].mean():.2f}",
            scrolls=len(names) <= LABELLED,
        )
        for key, title, matrix in list(zip(keys, titles, matrices))[:shown]
    ]
    nearest = [np.where(off, matrix, -2).max(1) for matrix in matrices[:shown]]
    pictures.append(_nearest(nearest, titles, run.result.simulated))
    rows = [[name, *(f"{n[row]:.5f}" for n in nearest)] for row, name in enumerate(names)]
    nearest_csv = to_csv([["class", *titles[:shown]], *rows])
    means = [f"{matrix[off].mean():.2f} ({title})" for title, matrix in zip(titles, matrices)]
    caption = (
        f"Class embeddings of {group.label} (text encoder {before.encoder}), seed "
        f"{run.result.seed}, in the order of a clustering of the text embeddings. Mean "
        f"similarity of two classes: {means[0] if unchanged else ', '.join(means)}."
    )
    if unchanged:
        caption += " This run uses the text embeddings as they are."
    if len(names) > LABELLED:
        caption += " The names, in this order, are in the CSV (--figures writes it)."
    return Panel(
        key="similarity",
        title="Similarity of class embeddings"
        if unchanged
        else "Similarity of class embeddings before and after",
        caption=caption,
        pictures=tuple(pictures),
        csv={
            **{key: _csv(names, matrix) for key, matrix in list(zip(keys, matrices))[:shown]},
            "nearest-class": nearest_csv,
        },
    )


def _cosine(embeddings: ClassEmbeddings, order: list[int]) -> NDArray[np.float64]:
    vectors = embeddings.vectors[order].double()
    return (vectors @ vectors.T).numpy()


def _nearest(nearest: list[NDArray[np.float64]], titles: list[str], simulated: bool) -> Picture:
    """How near the nearest other class is: what decides whether two classes can be told apart."""
    figure = new_figure(COLUMN, 3.2, simulated)
    axes = figure.subplots()
    lowest, highest = min(n.min() for n in nearest), max(n.max() for n in nearest)
    bins = np.linspace(lowest - 0.01, max(highest, lowest) + 0.01, 24)
    for values, title, colour in zip(nearest, titles, (ORANGE, BLUE)):
        axes.hist(
            values,
            bins=bins.tolist(),
            histtype="stepfilled",
            facecolor=(colour, 0.35),
            edgecolor=colour,
            lw=1.5,
            label=title,
        )
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("cosine similarity to the nearest other class")
    axes.set_ylabel("classes")
    figure.legend(loc="outside lower center", ncols=2)
    words = ", ".join(f"{title} {values.mean():.2f}" for title, values in zip(titles, nearest))
    return Picture("nearest-class", figure, f"Mean similarity to the nearest class: {words}")


def _csv(names: list[str], matrix: NDArray[np.float64]) -> str:
    head: list[object] = ["class", *names]
    return to_csv([head, *([n, *(f"{v:.5f}" for v in row)] for n, row in zip(names, matrix))])
