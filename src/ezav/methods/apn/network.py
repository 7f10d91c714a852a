"""APN (Xu et al., NeurIPS 2020) on pooled vectors, as adapted by AVCA's authors."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ezav.methods.apn.config import APNConfig
from ezav.methods.base import Dims


class APNNetwork(nn.Module):
    """A global map E and, if asked for, a map P of attribute prototypes; `[B, dim]` to the text.

    On feature maps APN takes each prototype's best place; on one vector there is one place, so P
    is a second linear map. Both start at 2e-4 times a uniform draw in [0, 1).

    Example:
        >>> network = APNNetwork(Dims(audio=1, visual=3, text=3), APNConfig(prototypes=True))
        >>> embedded, attributes = network(torch.ones(2, 4))
        >>> embedded.shape, attributes.shape
        (torch.Size([2, 3]), torch.Size([2, 3]))
    """

    def __init__(self, dims: Dims, config: APNConfig) -> None:
        super().__init__()
        shape = dims.text, dims.visual + dims.audio
        self.embedding = nn.Parameter(2e-4 * torch.rand(shape))
        self.prototypes = nn.Parameter(2e-4 * torch.rand(shape)) if config.prototypes else None

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """`e = E x` and `p = P x`, `[B, text_dim]`."""
        attributes = None if self.prototypes is None else x @ self.prototypes.T
        return x @ self.embedding.T, attributes
