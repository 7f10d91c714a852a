"""AVCA's network with a small net that learns curvatures (Hong et al., ICCV 2023)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ezav.methods.avca.network import AVCANetwork
from ezav.methods.base import Dims
from ezav.methods.hyperbolic.config import HyperbolicConfig


class Curvatures(nn.Module):
    """Curvatures of B clips, `[B, k]`.

    Fixed at `scale` for `number` 0; else `scale * sigmoid(Linear([phi_v ; phi_a]))`, `number` of
    them for each clip.
    """

    def __init__(self, token_dim: int, number: int, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.linear = nn.Linear(2 * token_dim, number) if number else None

    def forward(self, phi_a: Tensor, phi_v: Tensor) -> Tensor:
        if self.linear is None:
            return phi_a.new_full((len(phi_a), 1), self.scale)
        logits: Tensor = self.linear(torch.cat([phi_v, phi_a], dim=1))
        # Not below a thousandth of the scale: the ball of curvature 0 is flat, and divides by 0.
        return self.scale * logits.sigmoid().clamp(min=1e-3)


class HyperbolicNetwork(AVCANetwork):
    """AVCA and, for the alignment loss only, :class:`Curvatures`."""

    def __init__(self, dims: Dims, config: HyperbolicConfig) -> None:
        super().__init__(dims, config)
        self.curvatures = Curvatures(config.token_dim, config.curvatures, config.curvature)
