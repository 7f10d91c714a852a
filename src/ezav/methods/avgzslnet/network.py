"""AVGZSLNet's network (Mazumder et al., WACV 2021) as ported by AVCA's authors."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ezav.methods.avgzslnet.config import AVGZSLNetConfig
from ezav.methods.base import Dims
from ezav.methods.common.batch_norm import BatchNorm
from ezav.methods.common.dropout import Dropout


def _perceptron(in_dim: int, hidden_dim: int, out_dim: int, dropout: float) -> nn.Sequential:
    """Linear - BatchNorm - ReLU - Dropout - Linear."""
    return nn.Sequential(
        nn.Linear(in_dim, hidden_dim),
        BatchNorm(hidden_dim),
        nn.ReLU(),
        Dropout(dropout),
        nn.Linear(hidden_dim, out_dim),
    )


class AVGZSLNetwork(nn.Module):
    """Three projections to one space and a decoder, shared by all, back to the text.

    Example:
        >>> import torch
        >>> network = AVGZSLNetwork(Dims(audio=3, visual=4, text=5), AVGZSLNetConfig()).eval()
        >>> round(network.decode(network.audio(torch.ones(1, 3))).norm().item(), 4)
        1.0
    """

    def __init__(self, dims: Dims, config: AVGZSLNetConfig) -> None:
        super().__init__()
        c = config
        self.audio = _perceptron(dims.audio, c.hidden_dim, c.out_dim, c.dropout)
        self.visual = _perceptron(dims.visual, c.hidden_dim, c.out_dim, c.dropout)
        self.text = _perceptron(dims.text, c.text_hidden, c.out_dim, c.dropout)
        self.decoder = _perceptron(c.out_dim, c.decoder_hidden, dims.text, c.decoder_dropout)

    def decode(self, embedded: Tensor) -> Tensor:
        """`[B, out_dim]` to unit vectors `[B, text_dim]`."""
        return F.normalize(self.decoder(embedded), dim=1)
