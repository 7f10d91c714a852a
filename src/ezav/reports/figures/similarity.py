"""Cosine similarity among class embeddings: as the text encoder gave them, and as trained with."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from ezav.reports.figures.embeddings import (
    cosine_matrix,
    mean_similarity,
    nearest_picture,
    similarity_pictures,
)
from ezav.reports.figures.matrix import LABELLED
from ezav.reports.figures.order import cluster_order
from ezav.reports.figures.style import Panel
from ezav.reports.runs import LabelledRuns
from ezav.reports.tables import to_csv


def similarity(group: LabelledRuns) -> Panel:
    """Similarity before and after, classes in one order, and the distribution of both."""
    run = group.first
    before, after = run.text, run.classes.select(run.text.names)
    order = cluster_order(before.vectors)
    names = [before.names[c] for c in order]
    unchanged = torch.equal(before.vectors, after.vectors)
    made = "shuffled among classes" if group.setting.get("shuffle") else "as trained with"
    titles = {"text": "text embeddings", "trained": made}
    sets = {"text": before} if unchanged else {"text": before, "trained": after}
    matrices = {key: cosine_matrix(one, order) for key, one in sets.items()}
    off = ~np.eye(len(names), dtype=bool)
    nearest = {titles[key]: np.where(off, m, -2).max(1) for key, m in matrices.items()}
    pictures = similarity_pictures(
        sets,
        [titles[key] for key in sets],
        frozenset(run.result.candidates["seen"]),
        run.result.simulated,
    )
    measure = "cosine similarity to the nearest other class"
    histogram = nearest_picture("nearest-class", nearest, measure, simulated=run.result.simulated)
    means = [f"{mean_similarity(m):.2f} ({titles[key]})" for key, m in matrices.items()]
    caption = (
        f"Class embeddings of {group.label} (text encoder {before.encoder}), seed "
        f"{run.result.seed}, in the order of a clustering of the text embeddings. Mean "
        f"similarity of two classes: {', '.join(means)}."
    )
    if unchanged:
        caption += " This run uses the text embeddings as they are."
    if len(names) > LABELLED:
        caption += " The names, in this order, are in the CSV that is written with figures."
    rows = [[name, *(f"{n[row]:.5f}" for n in nearest.values())] for row, name in enumerate(names)]
    return Panel(
        key="similarity",
        title="Similarity of class embeddings" + ("" if unchanged else " before and after"),
        caption=caption,
        pictures=(*pictures, histogram),
        csv={
            **{f"similarity-{key}": _csv(names, matrix) for key, matrix in matrices.items()},
            "nearest-class": to_csv([["class", *nearest], *rows]),
        },
    )


def _csv(names: list[str], matrix: NDArray[np.float64]) -> str:
    head: list[object] = ["class", *names]
    return to_csv([head, *([n, *(f"{v:.5f}" for v in row)] for n, row in zip(names, matrix))])
