"""Is one run better than another? A paired bootstrap over the test clips."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ezav.errors import EzavError
from ezav.metrics import calibrated_predictions
from ezav.protocol.evaluation import Evaluation

NUMBERS = ("S", "U", "HM", "ZSL")
_AT_ONCE = 1 << 20
"""Clips that are resampled at once: all draws of a large test set would fill the memory."""


@dataclass(frozen=True)
class Difference:
    """One number of run A minus that of run B, as fractions.

    Attributes:
        value: on the test clips as they are.
        low, high: 95 % interval of the bootstrap.
        share_better: share of resamples in which A is strictly better.
    """

    value: float
    low: float
    high: float
    share_better: float


def paired_bootstrap(
    a: Evaluation, b: Evaluation, gammas: tuple[float, float], draws: int = 2000, seed: int = 0
) -> dict[str, Difference]:
    """S, U, HM and ZSL of run A minus run B, with intervals over resampled clips.

    Where every class was trained on there is S alone.

    Clips are drawn with replacement within each class, the same ones for both runs: classes stay
    as they are, so the interval says what other clips of these classes would have given.

    Args:
        a, b: test evaluations of the same clips.
        gammas: the runs' calibration constants.
        draws: number of resamples.

    Raises:
        EzavError: the runs were not tested on the same clips and classes.

    Example:
        >>> seen, targets = torch.tensor([True, False]), torch.tensor([0, 1, 1])
        >>> names = {"classes": ("a", "b"), "clips": ("1", "2", "3")}
        >>> right = Evaluation(torch.eye(2)[targets], targets, seen, **names)
        >>> wrong = Evaluation(torch.eye(2)[1 - targets], targets, seen, **names)
        >>> paired_bootstrap(right, wrong, gammas=(0.0, 0.0), draws=9)["HM"].low
        1.0
    """
    b = _aligned(a, b)
    ours, theirs = (_rights(e, gamma) for e, gamma in zip((a, b), gammas))
    return _differences(ours, theirs, a, draws, seed)


def shuffled_bootstrap(
    a: Evaluation, gamma: float, draws: int = 2000, seed: int = 0
) -> dict[str, Difference]:
    """As :func:`paired_bootstrap`, against the same scores with the unseen names shuffled.

    The mean over all ways to give the unseen classes each other's names: a clip that is taken for
    an unseen class gets its own name in one of n_u of them. What is left of U and ZSL then has
    nothing to do with what the names say.

    Args:
        a: a test evaluation with two unseen classes or more.
        gamma, draws, seed: as there.

    Raises:
        EzavError: fewer than two unseen classes: there is nothing to shuffle.

    Example:
        >>> seen, targets = torch.tensor([True, False, False]), torch.tensor([0, 1, 2])
        >>> right = Evaluation(torch.eye(3), targets, seen, ("a", "b", "c"), ("1", "2", "3"))
        >>> found = shuffled_bootstrap(right, gamma=0.0, draws=9)
        >>> found["ZSL"].value, found["S"].value
        (0.5, 0.0)
    """
    unseen = int((~a.seen).sum())
    if unseen < 2:
        raise EzavError("one unseen class has no other name to be shuffled with")
    ours = _rights(a, gamma)
    is_unseen = ~a.seen[a.targets]
    taken = ~a.seen[calibrated_predictions(a.scores, a.seen, gamma)]
    shuffled = ours.clone()
    shuffled[0, is_unseen] = taken[is_unseen].double() / unseen
    shuffled[1, is_unseen] = 1 / unseen
    return _differences(ours, shuffled, a, draws, seed)


def _differences(
    ours: Tensor, theirs: Tensor, a: Evaluation, draws: int, seed: int
) -> dict[str, Difference]:
    """Of what is right of two runs, each `[2, N]`: among all classes, and among the unseen."""
    rights = torch.stack([ours, theirs])
    point = _numbers(rights[None], a)[0]  # [run, number]
    generator = torch.Generator().manual_seed(seed)
    some = max(1, _AT_ONCE // len(a.targets))
    ordered, found = _reordered(a), []
    for start in range(0, draws, some):
        indices = [_draw(a.targets, generator) for _ in range(min(some, draws - start))]
        found.append(_numbers(torch.stack([rights[..., index] for index in indices]), ordered))
    resampled = torch.cat(found)  # [draws, run, number]
    difference = resampled[:, 0] - resampled[:, 1]
    low, high = torch.quantile(difference, torch.tensor([0.025, 0.975]).double(), dim=0)
    return {
        name: Difference(
            value=float(point[0, n] - point[1, n]),
            low=float(low[n]),
            high=float(high[n]),
            share_better=float((difference[:, n] > 0).double().mean()),
        )
        for n, name in enumerate(("S",) if bool(a.seen.all()) else NUMBERS)
    }


def _aligned(a: Evaluation, b: Evaluation) -> Evaluation:
    if set(a.clips) != set(b.clips) or set(a.classes) != set(b.classes):
        raise EzavError(
            "the two runs were tested on different clips or classes",
            "compare runs of one feature store",
        )
    clip = {name: row for row, name in enumerate(b.clips)}
    name = {name: row for row, name in enumerate(b.classes)}
    rows = torch.tensor([clip[c] for c in a.clips])
    columns = torch.tensor([name[c] for c in a.classes])
    if not torch.equal(a.seen, b.seen[columns]):
        raise EzavError("the two runs have different seen classes")
    if not torch.equal(columns[a.targets], b.targets[rows]):
        raise EzavError(
            "some clips have another class in the one run than in the other",
            "compare runs of one feature store",
        )
    return Evaluation(b.scores[rows][:, columns], a.targets, a.seen, a.classes, a.clips)


def _rights(e: Evaluation, gamma: float) -> Tensor:
    """float64 `[2, N]`: 1 where a clip gets its name among all classes, and among the unseen."""
    gzsl = calibrated_predictions(e.scores, e.seen, gamma) == e.targets
    zsl = e.scores.masked_fill(e.seen, -torch.inf).argmax(1) == e.targets
    return torch.stack([gzsl, zsl]).double()


def _draw(targets: Tensor, generator: torch.Generator) -> Tensor:
    """Clip indices, drawn with replacement within each class, sorted by class."""
    order = targets.argsort(stable=True)
    count = torch.bincount(targets)
    count = count[count > 0]
    sizes = count.repeat_interleave(count)
    starts = (count.cumsum(0) - count).repeat_interleave(count)
    draw = torch.rand(len(targets), generator=generator, dtype=torch.float64)
    return order[starts + (draw * sizes).long().clamp(max=sizes - 1)]


def _reordered(e: Evaluation) -> Evaluation:
    order = e.targets.argsort(stable=True)
    clips = tuple(e.clips[i] for i in order.tolist())
    return Evaluation(e.scores[order], e.targets[order], e.seen, e.classes, clips)


def _numbers(right: Tensor, e: Evaluation) -> Tensor:
    """S, U, HM, ZSL `[draws, run, 4]` from what is right `[draws, run, 2, N]`."""
    count = torch.bincount(e.targets, minlength=len(e.classes)).double()
    filled = count > 0
    per_clip = 1 / count[e.targets]

    def mean(kind: int, side: Tensor) -> Tensor:
        clips = side[e.targets]
        classes = (side & filled).sum()
        return (right[..., kind, :] * per_clip * clips).sum(-1) / classes

    s, u, zsl = mean(0, e.seen), mean(0, ~e.seen), mean(1, ~e.seen)
    hm = torch.where(s + u > 0, 2 * s * u / (s + u).clamp(min=1e-300), 0.0)
    return torch.stack([s, u, hm, zsl], dim=-1)
