"""Equations (1) to (3) of EZ-AVGZL as pure differentiable functions."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from ezav.classes.ranking import TripletOrder, _Ranking
from ezav.errors import EzavError

Reduction = Literal["mean", "sum"]


def _reduced(total: Tensor, terms: int, reduction: str) -> Tensor:
    if reduction == "sum":
        return total
    if reduction == "mean":
        return total / max(terms, 1)
    raise EzavError(f"no reduction '{reduction}'", "use 'mean' or 'sum'")


def pairwise_distances(w: Tensor) -> Tensor:
    """L2 distances `[C, C]` between the rows of `w` `[C, d]`, with gradient 0 at distance 0."""
    return torch.cdist(w, w, compute_mode="donot_use_mm_for_euclid_dist")


def separation_loss(w: Tensor, reduction: Reduction = "mean") -> Tensor:
    """Equation (1): minus the distance to the nearest other class, over the classes.

    Args:
        w: `[C, d]` class embeddings, C >= 2.
        reduction: `mean` over the classes, or the literal `sum`.

    Example:
        >>> import torch
        >>> separation_loss(torch.tensor([[0.0], [1.0], [3.0]]), reduction="sum").item()
        -4.0
    """
    if len(w) < 2:
        raise EzavError("separation needs at least two classes")
    distance = pairwise_distances(w)
    nearest = distance.masked_fill(
        torch.eye(len(w), dtype=torch.bool, device=w.device), torch.inf
    ).amin(dim=1)
    return _reduced(-nearest.sum(), len(w), reduction)


def proximity_loss(w: Tensor, t: Tensor, reduction: Reduction = "mean") -> Tensor:
    """Equation (2): the distance of each class embedding to its text embedding, both `[C, d]`.

    Example:
        >>> import torch
        >>> proximity_loss(torch.zeros(2, 2), torch.tensor([[3.0, 4.0], [0.0, 0.0]])).item()
        2.5
    """
    return _reduced(torch.linalg.vector_norm(w - t, dim=1).sum(), len(w), reduction)


def ranking_loss(d_w: Tensor, d_t: Tensor, margin: float, reduction: Reduction = "mean") -> Tensor:
    """Equation (3), exact: the order of text distances from each anchor, kept by a margin.

    `Σ_c Σ_i Σ_j max(0, m - sign(d_t[c,i] - d_t[c,j]) (d_w[c,i] - d_w[c,j]))`, c, i, j distinct.

    Args:
        d_w: `[C, C]` distances of the class embeddings; the gradient flows here.
        d_t: `[C, C]` distances of the text embeddings. Equal ones have sign 0 and cost `margin`.
        margin: m >= 0, in units of distance.
        reduction: `mean` over the C (C-1) (C-2) terms, or the literal `sum`.

    Example:
        >>> import torch
        >>> d_t = torch.tensor([[0.0, 1.0, 2.0], [1.0, 0.0, 1.0], [2.0, 1.0, 0.0]])
        >>> round(ranking_loss(d_t, d_t, margin=0.1, reduction="sum").item(), 6)
        0.2
    """
    target = TripletOrder.of(d_t)
    return _reduced(_Ranking.apply(d_w, target, margin), target.triplets, reduction)
