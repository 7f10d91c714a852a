"""The learned stack: a conditional logit over members' scores, trained on class folds.

A member's score of a class enters alone, whatever the class is called, so what is learned holds
for classes never seen. With few classes the folds say little; the weights are then pulled towards
fixed ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ezav.errors import EzavError
from ezav.methods.base import Worth
from ezav.metrics.smoothed import smoothed_gamma

SHARPNESS = 3.0
"""Of the softmax: members' scores have standard deviation 1."""
_ENOUGH = 1e-13
"""Of the loss: what a step must promise."""
_AT_ONCE = 50_000
"""Pairs of clip and class worked on at a time: they stay in the cache."""


@dataclass(frozen=True, slots=True)
class FoldScores:
    """What M members say about the held-out clips of one class fold.

    Attributes:
        members: `[N, C, M]`.
        targets: long `[N]`, rows of the C candidates, of both sides.
        seen: bool `[C]`, the classes that the fold trained on.
    """

    members: Tensor
    targets: Tensor
    seen: Tensor

    def __post_init__(self) -> None:
        is_seen = self.seen[self.targets]
        if bool(is_seen.all()) or not bool(is_seen.any()):
            raise EzavError("a class fold needs held-out clips of seen and of unseen classes")


@dataclass(frozen=True, slots=True)
class Stack:
    """Weights of M members `[M]`, and what they weigh more for a seen class `[M]`.

    Example:
        >>> stack = Stack(torch.tensor([1.0]), torch.tensor([0.5]))
        >>> stack.scores(torch.ones(1, 2, 1), torch.tensor([True, False])).tolist()
        [[1.5, 1.0]]
    """

    weights: Tensor
    seen_weights: Tensor

    def scores(self, members: Tensor, seen: Tensor) -> Tensor:
        """`[N, C]` of `[N, C, M]`."""
        return members @ self.weights + seen.to(members) * (members @ self.seen_weights)


def fit_stack(
    folds: Sequence[FoldScores], start: Tensor, gamma: float, pull: float, steps: int = 60
) -> Stack:
    """Weights that make the right class of the folds' clips likely, pulled towards `start`.

    The loss is the mean over folds of half the seen and half the unseen clips' cross-entropy,
    every class weighing the same on its side, and `pull |3 (w - start)|^2`. Its own gamma is
    thrown away: it makes the labels likely, not S and U equal.

    Args:
        folds: their members in one order.
        start: `[M]`, what the weights are pulled towards; those of seen classes towards 0.
        gamma: what the logit's own gamma is pulled towards.
        pull: strength.
        steps: at most so many.

    Raises:
        EzavError: no folds, or other members than `start` has.
    """
    if not folds:
        raise EzavError("no class fold to learn weights on")
    if any(fold.members.shape[2] != len(start) for fold in folds):
        raise EzavError(f"the folds have other members than the {len(start)} starting weights")
    size = len(start)
    origin = torch.cat([start.double(), torch.zeros(size).double(), torch.tensor([gamma]).double()])
    learned = _minimum([(fold, _weight_of_clips(fold)) for fold in folds], origin, pull, steps)
    return Stack(learned[:size], learned[size : 2 * size])


def _minimum(
    folds: Sequence[tuple[FoldScores, Tensor]], origin: Tensor, pull: float, steps: int
) -> Tensor:
    """By Newton's method: the loss is convex and has few unknowns."""
    at, (loss, slope, curve) = origin, _at(folds, origin, origin, pull)
    for _ in range(steps):
        ridge = 1e-12 * curve.diagonal().mean()
        step = torch.linalg.solve(curve + ridge * torch.eye(len(at)).double(), slope)
        gain, pace = float(slope @ step), 1.0
        if not gain > _ENOUGH:
            break
        found = _at(folds, at - step, origin, pull)
        while not found[0] <= loss - 0.1 * pace * gain and pace > 1e-6:
            pace /= 2
            found = _at(folds, at - pace * step, origin, pull)
        if not found[0] < loss:
            break
        at, (loss, slope, curve) = at - pace * step, found
    return at


def _at(
    folds: Sequence[tuple[FoldScores, Tensor]], at: Tensor, origin: Tensor, pull: float
) -> tuple[float, Tensor, Tensor]:
    """Loss, gradient `[K]` and second derivatives `[K, K]` at weights `at` `[K]`."""
    away = SHARPNESS * (at - origin)
    loss = pull * float(away @ away)
    slope = 2 * pull * SHARPNESS * away
    curve = 2 * pull * SHARPNESS**2 * torch.eye(len(at)).double()
    for fold, weight in folds:
        weight = weight / len(folds)
        rows = torch.arange(len(fold.targets))
        for part in torch.split(rows, max(1, _AT_ONCE // len(fold.seen))):
            design, own = _design(fold, part), fold.targets[part][:, None]
            flat = design.flatten(0, 1)
            said = (SHARPNESS * (design @ at)).log_softmax(dim=1)
            loss -= float(weight[part] @ said.gather(1, own)[:, 0])
            share = said.exp() * weight[part][:, None]
            mean = (share[:, None] @ design)[:, 0]  # [n, K], times the clip's weight
            curve += SHARPNESS**2 * flat.T @ (share.reshape(-1, 1) * flat)
            curve -= SHARPNESS**2 * mean.T @ (mean / weight[part][:, None])
            right = design.gather(1, own[:, :, None].expand(-1, -1, len(at)))[:, 0]
            slope += SHARPNESS * (mean.sum(dim=0) - weight[part] @ right)
    return loss, slope, curve


def _design(fold: FoldScores, rows: Tensor) -> Tensor:
    members = fold.members[rows].double()
    seen = fold.seen.double()[None, :, None].expand(len(members), -1, 1)
    return torch.cat([members, members * seen, -seen], dim=2)


def _weight_of_clips(fold: FoldScores) -> Tensor:
    """`[N]`: sums to half on either side, every class of a side alike."""
    count = torch.bincount(fold.targets, minlength=len(fold.seen))
    filled = count > 0
    classes = torch.where(fold.seen, (filled & fold.seen).sum(), (filled & ~fold.seen).sum())
    return 0.5 / (count[fold.targets] * classes[fold.targets]).double()


def hm_on_folds(folds: Sequence[FoldScores], stack: Stack) -> float:
    """The mean HM of a stack over folds, at the gamma that suits them."""
    scored = [(stack.scores(f.members.double(), f.seen), f.targets, f.seen) for f in folds]
    return smoothed_gamma(scored).HM


def worth_of(
    folds: Sequence[FoldScores], stack: Stack, start: Tensor, gamma: float, pull: float
) -> list[Worth]:
    """The worth of each member; the last arguments as for :func:`fit_stack`."""
    whole, count, found = hm_on_folds(folds, stack), len(start), []
    for member in range(count):
        rest = [other for other in range(count) if other != member]
        lost = whole
        if rest:
            fewer = [FoldScores(f.members[:, :, rest], f.targets, f.seen) for f in folds]
            lost = whole - hm_on_folds(fewer, fit_stack(fewer, start[rest], gamma, pull))
        alone = hm_on_folds(folds, single(member, count))
        found.append(Worth(float(stack.weights[member]), alone, lost))
    return found


def single(member: int, count: int) -> Stack:
    """The stack that is one of its `count` members.

    Example:
        >>> single(1, 3).weights.tolist()
        [0.0, 1.0, 0.0]
    """
    weights = torch.zeros(count, dtype=torch.float64)
    weights[member] = 1.0
    return Stack(weights, torch.zeros_like(weights))
