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
        steps: of L-BFGS.

    Raises:
        EzavError: no folds, or other members than `start` has.
    """
    if not folds:
        raise EzavError("no class fold to learn weights on")
    if any(fold.members.shape[2] != len(start) for fold in folds):
        raise EzavError(f"the folds have other members than the {len(start)} starting weights")
    size = len(start)
    origin = torch.cat([start.double(), torch.zeros(size).double(), torch.tensor([gamma]).double()])
    moved = torch.zeros(2 * size + 1, dtype=torch.float64, requires_grad=True)
    prepared = [(_design(fold), fold.targets, _weight_of_clips(fold)) for fold in folds]
    optimizer = torch.optim.LBFGS(
        [moved], max_iter=steps, line_search_fn="strong_wolfe", tolerance_grad=1e-8
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = pull * (SHARPNESS * moved).square().sum()
        for design, targets, weight in prepared:
            logits = SHARPNESS * (design @ (origin + moved))
            chosen = logits.log_softmax(dim=1).gather(1, targets[:, None])[:, 0]
            loss = loss - (weight * chosen).sum() / len(prepared)
        torch.autograd.backward(loss)
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    learned = (origin + moved).detach()
    return Stack(learned[:size], learned[size : 2 * size])


def _design(fold: FoldScores) -> Tensor:
    members = fold.members.double()
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
