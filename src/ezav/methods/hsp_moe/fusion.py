"""A trained network's distances with those of the frozen features."""

from __future__ import annotations

import torch
from torch import Tensor, nn

MOMENTUM = 0.1
"""Of the running scale: torch's own of BatchNorm."""


class FrozenFusion(nn.Module):
    """`(1 - share) d + share * d_frozen * scale`, where scale is the mean of d over d_frozen's.

    Args:
        share: of the frozen distances, in [0, 1].
        of_the_scored: take the scale of the distances that are fused, as in the authors' code,
            instead of the training clips' running mean.

    Example:
        >>> fusion = FrozenFusion(0.5)
        >>> for _ in range(200):
        ...     fusion.observe(torch.full((4, 3), 2.0), torch.full((4, 3), 1.0))
        >>> round(fusion(torch.tensor([[4.0]]), torch.tensor([[1.0]])).item(), 3)
        3.0
    """

    scale_: Tensor

    def __init__(self, share: float, of_the_scored: bool = False) -> None:
        super().__init__()
        self.share = share
        self.of_the_scored = of_the_scored
        self.register_buffer("scale_", torch.ones(()))

    @torch.no_grad()
    def observe(self, learned: Tensor, frozen: Tensor) -> None:
        """Move the scale towards that of a training batch's distances, both `[B, C]`."""
        self.scale_.lerp_((learned.mean() / frozen.mean()).to(self.scale_.dtype), MOMENTUM)

    def forward(self, learned: Tensor, frozen: Tensor) -> Tensor:
        """Distances of N clips to C classes, or their negatives, `[N, C]` twice, to `[N, C]`."""
        scale = learned.mean() / frozen.mean() if self.of_the_scored else self.scale_
        return (1 - self.share) * learned + self.share * scale * frozen
