"""How many more clips would help: the closed form of ESZSL, beside what an encoder says by itself,
with one, two, four … clips a class, on class folds of the known clips."""

from __future__ import annotations

import statistics

import torch
from torch import Tensor

from ezav.checking.finding import LearningCurve, Point
from ezav.checking.inputs import Inputs
from ezav.checking.labels import BY_ENCODER
from ezav.errors import EzavError
from ezav.methods.best.closed_form import carried, linear_kernel, seen_classifier
from ezav.metrics import gzsl_scores
from ezav.metrics.smoothed import smoothed_gamma
from ezav.protocol.folds import ClassFold, class_folds

FOLDS, REPEATS = 4, 3
MOST = 64
"""Clips a class at the end of the curve."""


def learning_curve(known: Inputs, folds: int = FOLDS, repeats: int = REPEATS) -> LearningCurve:
    """HM by clips a class; a fold's numbers are paired, and gamma is that of all folds together.

    The last point takes the median class's clips, or 64; classes that have fewer give what they
    have. The standard error is over folds, which share clips: the true one is somewhat larger.

    Args:
        known: the clips of the classes that are trained on, no test clip among them.
        folds: class folds.
        repeats: draws of the folds and of the clips.

    Raises:
        EzavError: too few classes or clips for two points.
    """
    if known.text is None:
        raise EzavError("there are no class embeddings")
    present = torch.unique(known.labels)
    place = torch.full((len(known.classes),), -1)
    place[present] = torch.arange(len(present))
    labels = place[known.labels]
    made = [
        (fold, seed)
        for seed in range(repeats)
        for fold in class_folds(
            labels, len(present), folds, groups=known.sources, seed=seed, names=known.classes
        )
    ]
    sizes = _sizes(labels, [fold for fold, _ in made])
    if len(sizes) < 2:
        raise EzavError("the classes have too few clips for a learning curve")
    hms = {size: _hms(known, labels, present, made, size) for size in sizes}
    points = tuple(
        Point(clips=size, hm=statistics.fmean(some), error=_error(some))
        for size, some in hms.items()
    )
    steps = [last - first for first, last in zip(hms[sizes[-2]], hms[sizes[-1]], strict=True)]
    return LearningCurve(
        points=points, gain=statistics.fmean(steps), error=_error(steps), folds=len(made)
    )


def _sizes(labels: Tensor, folds: list[ClassFold]) -> list[int]:
    """1, 2, 4, …: doublings that end at the clips that a middling class is trained on with."""
    counts = [count for fold in folds for count in labels[fold.train].bincount().tolist() if count]
    last = min(MOST, int(statistics.median(counts))) if counts else 0
    sizes = [last]
    while sizes[-1] >= 2:
        sizes.append(sizes[-1] // 2)
    return [size for size in reversed(sizes) if size]


def _hms(
    known: Inputs,
    labels: Tensor,
    present: Tensor,
    made: list[tuple[ClassFold, int]],
    size: int,
) -> list[float]:
    parts = []
    for number, (fold, seed) in enumerate(made):
        draw = torch.Generator().manual_seed(1000 * seed + number)
        train = _some(fold.train, labels, size, draw)
        scores = _scores(known, labels, present, fold, train)
        seen = torch.ones(len(present), dtype=torch.bool)
        seen[fold.unseen] = False
        parts.append((scores, labels[fold.held_out], seen))
    gamma = smoothed_gamma(parts).gamma
    return [gzsl_scores(*part, gamma).HM for part in parts]


def _some(rows: Tensor, labels: Tensor, size: int, draw: torch.Generator) -> Tensor:
    """At most so many of each class; a larger draw holds the smaller one."""
    order = rows[torch.randperm(len(rows), generator=draw)]
    taken: dict[int, int] = {}
    kept = []
    for row, label in zip(order.tolist(), labels[order].tolist()):
        taken[label] = taken.get(label, 0) + 1
        if taken[label] <= size:
            kept.append(row)
    return torch.tensor(sorted(kept))


def _scores(
    known: Inputs, labels: Tensor, present: Tensor, fold: ClassFold, train: Tensor
) -> Tensor:
    """`[held out, classes]`."""
    assert known.text is not None
    trained = torch.unique(labels[train])
    column = torch.full((len(present),), -1)
    column[trained] = torch.arange(len(trained))
    text, every = known.text[present[trained]], known.text[present]
    weight = seen_classifier(known.both[train], column[labels[train]], len(trained))
    to_names = carried(weight, linear_kernel(text, text), 1.0) @ linear_kernel(text, every)
    scores = (known.both[fold.held_out] @ to_names).double()
    scores = scores / scores.std().clamp(min=1e-12)
    if known.said is not None:
        said = known.said[fold.held_out][:, present].double()
        scores = scores + BY_ENCODER * said / said.std().clamp(min=1e-12)
    return scores


def _error(values: list[float]) -> float:
    return statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0
