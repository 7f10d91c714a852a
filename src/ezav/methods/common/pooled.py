"""Pooled features for a network, with a stand-in where a clip lacks the modality."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ezav.features.tokens import Tokens
from ezav.methods.base import Dims, Method
from ezav.methods.common.config_check import Settings


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
        if _one_each(tokens):
            return tokens.values[:, 0].to(self.mean_.dtype)
        pooled = tokens.mean().to(self.mean_.dtype)
        return torch.where(tokens.present[:, None], pooled, self.mean_)


class PooledMethod(Method):
    """A method that reads one vector a modality, the training mean where a clip lacks one."""

    def __init__(self, config: Settings, dims: Dims) -> None:
        super().__init__(config, dims)
        self.audio_input = MeanStandIn(dims.audio)
        self.visual_input = MeanStandIn(dims.visual)

    def prepare(self, audio: Tokens, visual: Tokens, labels: Tensor, classes: Tensor) -> None:
        """Learn the stand-ins for a missing modality."""
        self.audio_input.fit(audio)
        self.visual_input.fit(visual)


def _one_each(tokens: Tokens) -> bool:
    """Every clip has its one token: nothing to average or to stand in for.

    Asked only where the answer is free: a GPU would have to be waited for, and an exported network
    must hold for every input.
    """
    free = tokens.mask.is_cpu and not torch.compiler.is_compiling()
    return free and tokens.mask.shape[1] == 1 and bool(tokens.mask.all())
