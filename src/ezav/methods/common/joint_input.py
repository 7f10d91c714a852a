"""A clip as one vector: visual and audio side by side."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ezav.features.tokens import Tokens
from ezav.methods.common.pooled import MeanStandIn

Normalization = Literal["per_modality", "joint", "none"]
"""Unit length for each modality, for the two side by side, or features as they are."""


class JointInput(nn.Module):
    """`x = [v ; a]`, `[B, D_v + D_a]`; the training mean stands in for a missing modality.

    With 'joint', a modality of larger numbers drowns the other: VGGish's 0 to 255 leave little of
    C3D. 'per_modality' gives both the same length.

    Example:
        >>> both = JointInput(2, 1, "per_modality")
        >>> audio, visual = torch.tensor([[200.0]]), torch.tensor([[3.0, 4.0]])
        >>> both(Tokens.pooled(audio), Tokens.pooled(visual)).tolist()
        [[0.6..., 0.8..., 1.0]]
    """

    def __init__(self, visual_dim: int, audio_dim: int, normalization: Normalization) -> None:
        super().__init__()
        self.visual = MeanStandIn(visual_dim)
        self.audio = MeanStandIn(audio_dim)
        self.normalization = normalization

    @property
    def dim(self) -> int:
        """Size of x."""
        return len(self.visual.mean_) + len(self.audio.mean_)

    def fit(self, audio: Tokens, visual: Tokens) -> None:
        """Learn the stand-ins."""
        self.audio.fit(audio)
        self.visual.fit(visual)

    def forward(self, audio: Tokens, visual: Tokens) -> Tensor:
        v, a = self.visual(visual), self.audio(audio)
        if self.normalization == "per_modality":
            v, a = F.normalize(v, dim=1), F.normalize(a, dim=1)
        x = torch.cat([v, a], dim=1)
        return F.normalize(x, dim=1) if self.normalization == "joint" else x
