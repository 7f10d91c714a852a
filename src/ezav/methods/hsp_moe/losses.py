"""HSP-MoE's three losses that keep the structure of the frozen features, on the unit sphere."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

SPREAD = 2.0
"""Factor on squared distances in HUP."""


def unit(x: Tensor) -> Tensor:
    """Rows `[..., d]` at length 1; a row of zeros stays."""
    return F.normalize(x, dim=-1, eps=1e-12)


def distribution(clips: Tensor, classes: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """DP: `T² mean_i KL(q_i || p_i)`, p and q being probabilities of the classes at temperature T.

    Args:
        clips, classes: directions `[B, d]` and `[C, d]`.
        teacher: cosines `[B, C]` of the frozen features and texts; no gradient goes there.
        temperature: T.
    """
    student = (clips @ classes.T / temperature).log_softmax(dim=1)
    wanted = (teacher.detach() / temperature).log_softmax(dim=1)
    kl = F.kl_div(student, wanted, reduction="batchmean", log_target=True)
    return temperature**2 * kl


def relation(clips: Tensor, frozen: Tensor) -> Tensor:
    """RP: mean over pairs of clips of the squared difference of their cosines; 0 of one clip.

    Args:
        clips: directions `[B, d]`.
        frozen: the frozen features' `[B, D]`; no gradient goes there.
    """
    frozen = frozen.detach()
    gap = (clips @ clips.T - frozen @ frozen.T).square()
    number = len(clips)
    return (gap.sum() - gap.diagonal().sum()) / max(1, number * (number - 1))


def uniformity(
    clips: Tensor, labels: Tensor, frozen: Tensor | None = None, all_pairs: bool = False
) -> Tensor:
    """HUP: `log mean exp(-2 |s_i - s_j|²) + 8` over pairs of different classes; 0 without one.

    A squared distance is at most 4, so this is never negative.

    Args:
        clips: directions `[B, d]`.
        labels: long `[B]`.
        frozen: directions `[B, D]`: what they have is taken off instead of -8, and less than
            nothing is nothing; no gradient goes there.
        all_pairs: of one class too.

    Example:
        >>> import torch
        >>> apart = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
        >>> round(abs(uniformity(apart, torch.tensor([0, 1])).item()), 3)
        0.0
        >>> round(uniformity(apart.abs(), torch.tensor([0, 1])).item(), 3)
        8.0
        >>> uniformity(apart, torch.tensor([0, 1]), apart).item()
        0.0
    """
    if all_pairs:
        labels = torch.arange(len(labels), device=labels.device)
    pairs = labels[:, None] != labels[None]
    here = _log_mean(clips, pairs)
    if frozen is None:
        return here + 4 * SPREAD
    return (here - _log_mean(frozen.detach(), pairs)).clamp(min=0)


def _log_mean(clips: Tensor, pairs: Tensor) -> Tensor:
    squared = (2 - 2 * clips @ clips.T).clamp(min=0)
    mean = ((-SPREAD * squared).exp() * pairs).sum() / pairs.sum().clamp(min=1)
    return mean.clamp(min=math.exp(-4 * SPREAD)).log()


def radii(vectors: Tensor, weight: float) -> Tensor:
    """`1 + weight (r - 1)`, `[N, 1]`: r is a row's length over the mean, within 0.5 to 2.

    Args:
        vectors: `[N, d]`; no gradient goes to their mean length.
        weight: how much of it counts.

    Example:
        >>> import torch
        >>> radii(torch.tensor([[3.0], [1.0]]), 0.5).tolist()
        [[1.25], [0.75]]
    """
    length = vectors.norm(dim=1, keepdim=True)
    ratio = length / length.detach().mean().clamp(min=1e-12)
    found: Tensor = 1 + weight * (ratio.clamp(0.5, 2.0) - 1)
    return found
