"""CJME's network (Parida et al., WACV 2020) as ported by AVCA's authors."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ezav.methods.base import Dims
from ezav.methods.cjme.config import CJMEConfig
from ezav.methods.common.batch_norm import BatchNorm
from ezav.methods.common.dropout import Dropout


def _projection(in_dim: int, hidden_dim: int, out_dim: int, dropout: float) -> nn.Sequential:
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

    Example:
        >>> network = CJMENetwork(Dims(audio=3, visual=4, text=5), CJMEConfig()).eval()
        >>> 0 < network.visual_share(torch.ones(1, 3), torch.ones(1, 4)).item() < 1
        True
    """

    def __init__(self, dims: Dims, config: CJMEConfig) -> None:
        super().__init__()

        def project(in_dim: int, hidden_dim: int) -> nn.Sequential:
            return _projection(in_dim, hidden_dim, config.out_dim, config.dropout)

        self.audio = project(dims.audio, config.hidden_dim)
        self.visual = project(dims.visual, config.hidden_dim)
        self.text = project(dims.text, config.text_hidden)
        self.attention = nn.Sequential(
            BatchNorm(dims.audio + dims.visual),
            nn.Linear(dims.audio + dims.visual, 1),
            nn.Sigmoid(),
        )

    def visual_share(self, audio: Tensor, visual: Tensor) -> Tensor:
        """alpha `[B]` in (0, 1): how much to believe the visual modality."""
        share: Tensor = self.attention(torch.cat([audio, visual], dim=1))
        return share.squeeze(1)
