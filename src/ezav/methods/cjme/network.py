"""CJME's network (Parida et al., WACV 2020) as ported by AVCA's authors."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ezav.methods.common.batch_norm import BatchNorm
from ezav.methods.common.dropout import Dropout


def projection(in_dim: int, hidden_dim: int, out_dim: int, dropout: float) -> nn.Sequential:
    """Linear - BatchNorm - ReLU - Dropout - Linear - ReLU."""
    return nn.Sequential(
        nn.Linear(in_dim, hidden_dim),
        BatchNorm(hidden_dim),
        nn.ReLU(),
        Dropout(dropout),
        nn.Linear(hidden_dim, out_dim),
        nn.ReLU(),
    )


class CJMENetwork(nn.Module):
    """Three projections to one space, and an attention that says which modality to believe.

    Args:
        audio_dim, visual_dim, text_dim: sizes of the pooled inputs.
        hidden_dim: of the audio and visual projections (1024).
        text_hidden: of the text projection (300).
        out_dim: of the space (64).
        dropout: in the projections.
    """

    def __init__(
        self,
        audio_dim: int,
        visual_dim: int,
        text_dim: int,
        *,
        hidden_dim: int = 1024,
        text_hidden: int = 300,
        out_dim: int = 64,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.audio = projection(audio_dim, hidden_dim, out_dim, dropout)
        self.visual = projection(visual_dim, hidden_dim, out_dim, dropout)
        self.text = projection(text_dim, text_hidden, out_dim, dropout)
        self.attention = nn.Sequential(
            BatchNorm(audio_dim + visual_dim),
            nn.Linear(audio_dim + visual_dim, 1),
            nn.Sigmoid(),
        )

    def visual_share(self, audio: Tensor, visual: Tensor) -> Tensor:
        """alpha `[B]` in (0, 1): how much to believe the visual modality."""
        share: Tensor = self.attention(torch.cat([audio, visual], dim=1))
        return share.squeeze(1)
