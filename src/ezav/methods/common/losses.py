"""Loss terms that several methods share."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ezav.methods.base import Loss


def triplet(anchor: Tensor, positive: Tensor, negative: Tensor, margin: float = 1.0) -> Tensor:
    """Triplet margin loss with plain (not squared) distances, the mean over the batch.

    `mean_i max(0, |x_i - y_i + eps| - |x_i - z_i + eps| + margin)`, eps = 1e-6; all `[B, d]`.

    Example:
        >>> import torch
        >>> x = torch.zeros(1, 2)
        >>> round(triplet(x, x + 3.0, x + 3.0).item(), 4)
        1.0
    """
    return F.triplet_margin_loss(anchor, positive, negative, margin=margin)


def summed(parts: dict[str, Tensor]) -> Loss:
    """A loss whose total is the plain sum of its parts."""
    return Loss(
        total=torch.stack(list(parts.values())).sum(),
        parts={name: part.detach() for name, part in parts.items()},
    )
