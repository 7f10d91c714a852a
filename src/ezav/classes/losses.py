"""Equations (1) to (3) of EZ-AVGZL as pure differentiable functions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from ezav.classes.ranking import RankingSum, TripletOrder, checked_margin
from ezav.errors import EzavError

Reduction = Literal["mean", "sum"]
# Up to here nearest neighbours are found in float64, which rounding cannot mislead.
_EXACT_CLASSES = 4096


def separation_loss(w: Tensor, reduction: Reduction = "mean") -> Tensor:
    """Equation (1): `-Σ_c min_{k≠c} ‖w_c - w_k‖`, minus the distances to the nearest class.

    Args:
        w: float `[C, d]` class embeddings of any length, C >= 2.
        reduction: `mean` over the C classes, or the literal `sum`.

    Returns:
        A scalar <= 0. Where two classes coincide the gradient of their distance is taken as 0.

    Raises:
        EzavError: fewer than two classes, or not `[C, d]`.

    Example:
        >>> import torch
        >>> separation_loss(torch.tensor([[0.0], [1.0], [3.0]]), reduction="sum").item()
        -4.0
    """
    if w.dim() != 2 or len(w) < 2:
        raise EzavError(
            f"separation needs vectors [classes, dimension] of 2 or more classes, not {[*w.shape]}"
        )
    # Only C of the C² distances carry a gradient: find them first.
    nearest = w.index_select(0, _nearest_classes(w.detach()))
    total = -torch.linalg.vector_norm(w - nearest, dim=1).sum()
    return _reduced(total, len(w), reduction)


def _nearest_classes(w: Tensor) -> Tensor:
    """The row of the nearest other vector, long `[C]`, worked out in chunks of rows."""
    exact = w.double() if len(w) <= _EXACT_CLASSES else w
    square = exact.square().sum(dim=1)
    step = max(1, 2**24 // len(w))
    found = []
    for start in range(0, len(w), step):
        rows = exact[start : start + step]
        # ‖a - b‖² without ‖a‖², which is the same along a row.
        distance = torch.addmm(square[None, :], rows, exact.T, alpha=-2)
        own = torch.arange(start, start + len(rows), device=w.device)
        distance.scatter_(1, own[:, None], torch.inf)
        found.append(distance.argmin(dim=1))
    return torch.cat(found)


def proximity_loss(w: Tensor, t: Tensor, reduction: Reduction = "mean") -> Tensor:
    """Equation (2): `Σ_c ‖w_c - t_c‖`, the distance to the text embeddings; w, t `[C, d]`.

    Raises:
        EzavError: the shapes differ.

    Example:
        >>> import torch
        >>> proximity_loss(torch.zeros(2, 2), torch.tensor([[3.0, 4.0], [0.0, 0.0]])).item()
        2.5
    """
    if w.shape != t.shape or w.dim() != 2:
        raise EzavError(
            f"w and t must both be [classes, dimension], not {[*w.shape]}, {[*t.shape]}"
        )
    return _reduced(torch.linalg.vector_norm(w - t, dim=1).sum(), len(w), reduction)


def ranking_loss(
    d_w: Tensor, d_t: Tensor | TripletOrder, margin: float, reduction: Reduction = "mean"
) -> Tensor:
    """Equation (3), exact: keep the order of the text distances from each anchor, by a margin.

    `Σ_c Σ_i Σ_j max(0, m - sign(d_t[c,i] - d_t[c,j]) (d_w[c,i] - d_w[c,j]))`, c, i, j distinct:
    value and gradient of the cubic number of terms in O(C² log C) time and O(C²) memory.

    Args:
        d_w: float `[C, C]` distances of the class embeddings; the gradient flows here. The
            diagonal is not used.
        d_t: `[C, C]` distances of the text embeddings. Equal ones have sign 0 and cost `margin`.
            Where it stays the same over many calls, `TripletOrder.of(d_t)` saves the sorting.
        margin: m >= 0, in units of distance.
        reduction: `mean` over the C (C-1) (C-2) terms, or the literal `sum`.

    Returns:
        A scalar >= 0, at least in float32; 0 for fewer than three classes, which have no order to
        keep.

    Raises:
        EzavError: shapes that do not match, a distance that is not finite, a bad margin.

    Example:
        >>> import torch
        >>> d_t = torch.tensor([[0.0, 1.0, 2.0], [1.0, 0.0, 1.0], [2.0, 1.0, 0.0]])
        >>> round(ranking_loss(d_t, d_t, margin=0.1, reduction="sum").item(), 6)
        0.2
    """
    margin = checked_margin(margin)
    if d_w.dim() != 2 or d_w.shape[0] != d_w.shape[1]:
        raise EzavError(f"d_w must be a square matrix of distances, not {[*d_w.shape]}")
    d_w = _wide(d_w)  # a sum of C³ terms has no room in half precision
    if isinstance(d_t, TripletOrder):
        target = d_t
    else:
        d_t = _wide(d_t)
        if d_t.shape != d_w.shape:
            raise EzavError(f"d_w and d_t must have one shape, not {[*d_w.shape]}, {[*d_t.shape]}")
        if not _finite(d_t):
            raise EzavError("d_t holds a distance that is not finite")
        target = TripletOrder.of(d_t)
    apply: Callable[..., Tensor] = RankingSum.apply
    total = apply(d_w, target, margin)
    return _reduced(total, target.triplets, reduction)


def _wide(x: Tensor) -> Tensor:
    return x if x.dtype in (torch.float32, torch.float64) else x.float()


def _finite(x: Tensor) -> bool:
    """Every distance of two classes `[C, C]` is finite."""
    # So is then the sum of all, which takes a tenth of the time; the diagonal may hold anything.
    if math.isfinite(float(x.sum(dtype=torch.float64))):
        return True
    return bool(torch.isfinite(x.clone().fill_diagonal_(0)).all())


def _reduced(total: Tensor, terms: int, reduction: str) -> Tensor:
    if reduction == "sum":
        return total
    if reduction == "mean":
        return total / max(terms, 1)
    raise EzavError(f"no reduction '{reduction}'", "use 'mean' or 'sum'")
