"""Blending two sets of scores, and the weight that suits validation best."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import torch
from torch import Tensor

from ezav.metrics import seen_unseen_curve

STEPS = 20
"""The weight is looked for at 0, 1/20, ..., 1."""


def standard(scores: Tensor) -> Tensor:
    """Each clip's scores with mean 0 and standard deviation 1 over the candidates, `[N, C]`.

    Distances and cosines have no common scale; standard scores have. All equal gives 0.

    Example:
        >>> standard(torch.tensor([[1.0, 3.0], [5.0, 5.0]])).tolist()
        [[-1.0, 1.0], [0.0, 0.0]]
    """
    centred = scores - scores.mean(dim=1, keepdim=True)
    spread = centred.square().mean(dim=1, keepdim=True).sqrt()
    return centred / torch.where(spread > 1e-12, spread, torch.ones_like(spread))


def blend(trained: Tensor, frozen: Tensor, weight: Tensor | float) -> Tensor:
    """`(1 - w) z(trained) + w z(frozen)`, `[N, C]`, z being :func:`standard`.

    Example:
        >>> blend(torch.tensor([[0.0, 1.0]]), torch.tensor([[9.0, 7.0]]), 0.5).tolist()
        [[0.0, 0.0]]
    """
    return (1 - weight) * standard(trained) + weight * standard(frozen)


def best_weight(parts: Sequence[tuple[Tensor, Tensor, Tensor, Tensor]]) -> float:
    """The weight of the frozen scores with the best mean HM over gamma; the smallest among equals.

    Args:
        parts: (trained `[N, C]`, frozen `[N, C]`, targets long `[N]`, seen bool `[C]`) each.
    """
    best, best_hm = 0.0, -1.0
    for step in range(STEPS + 1):
        weight = step / STEPS
        hm = statistics.fmean(
            seen_unseen_curve(blend(trained, frozen, weight), targets, seen).best_hm
            for trained, frozen, targets, seen in parts
        )
        if hm > best_hm + 1e-12:
            best, best_hm = weight, hm
    return best
