"""Pooled features for a network, with a stand-in where a clip lacks the modality."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ezav.features.tokens import Tokens


class MeanStandIn(nn.Module):
    """Mean over a clip's tokens, `[B, d]`; the training mean where the modality is missing.

    The training mean is the least surprising vector for a network trained on these features: a
    zero vector may lie far outside what it has seen (audio features of 0 to 255, say). It is
    learned by `fit`; before that it is zero.

    Example:
        >>> import torch
        >>> stand_in = MeanStandIn(2)
        >>> stand_in.fit(Tokens.pooled(torch.tensor([[1.0, 2.0], [3.0, 4.0]])))
        >>> silent = Tokens.pooled(torch.ones(1, 2), present=torch.tensor([False]))
        >>> stand_in(silent).tolist()
        [[2.0, 3.0]]
    """

    mean_: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("mean_", torch.zeros(dim))

    def fit(self, tokens: Tokens) -> None:
        """Learn the mean of the clips that have the modality; stays zero if none has it."""
        present = tokens.present
        if present.any():
            self.mean_.copy_(tokens.mean()[present].mean(dim=0))

    def forward(self, tokens: Tokens) -> Tensor:
        pooled = tokens.mean().to(self.mean_.dtype)
        return torch.where(tokens.present[:, None], pooled, self.mean_)
