"""AVGZSLNet's network (Mazumder et al., WACV 2021) as ported by AVCA's authors."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ezav.methods.common.batch_norm import BatchNorm
from ezav.methods.common.dropout import Dropout


def perceptron(in_dim: int, hidden_dim: int, out_dim: int, dropout: float) -> nn.Sequential:
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

    Args:
        audio_dim, visual_dim, text_dim: sizes of the pooled inputs.
        hidden_dim: of the audio and visual projections (1024).
        text_hidden: of the text projection (300).
        decoder_hidden: of the decoder (64).
        out_dim: of the space (64).
        dropout, decoder_dropout: in the projections (0.8), in the decoder (0.5).

    Example:
        >>> import torch
        >>> network = AVGZSLNetwork(3, 4, 5).eval()
        >>> round(network.decode(network.audio(torch.ones(1, 3))).norm().item(), 4)
        1.0
    """

    def __init__(
        self,
        audio_dim: int,
        visual_dim: int,
        text_dim: int,
        *,
        hidden_dim: int = 1024,
        text_hidden: int = 300,
        decoder_hidden: int = 64,
        out_dim: int = 64,
        dropout: float = 0.8,
        decoder_dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.audio = perceptron(audio_dim, hidden_dim, out_dim, dropout)
        self.visual = perceptron(visual_dim, hidden_dim, out_dim, dropout)
        self.text = perceptron(text_dim, text_hidden, out_dim, dropout)
        self.decoder = perceptron(out_dim, decoder_hidden, text_dim, decoder_dropout)

    def decode(self, embedded: Tensor) -> Tensor:
        """`[B, out_dim]` to unit vectors `[B, text_dim]`."""
        return F.normalize(self.decoder(embedded), dim=1)
