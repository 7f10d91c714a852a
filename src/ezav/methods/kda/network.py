"""KDA's network (Chen et al., arXiv 2311.12268): AVCA's trunk and one map to the descriptions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ezav.methods.common.embedding_net import EmbeddingNet
from ezav.methods.common.pair_attention import PairAttention


class KDANetwork(nn.Module):
    """Pooled audio and visual to the space of the class descriptions, `[B, text_dim]`.

    Args:
        audio_dim, visual_dim, text_dim: sizes of the inputs and of the class vectors.
        dim: token size (512).
        audio_hidden, visual_hidden: hidden sizes of the encoders (512, 1024).
        heads, head_dim, mlp_dim, attention_dropout: of the attention (3, 100, 64, 0.1).
        encoder_dropout, projection_dropout: p_e and p_p.
        momentum: of the last BatchNorm of the two-block nets.
        normalize: unit length for [theta_v ; theta_a] before the last map.
    """

    def __init__(
        self,
        audio_dim: int,
        visual_dim: int,
        text_dim: int,
        *,
        dim: int = 512,
        audio_hidden: int = 512,
        visual_hidden: int = 1024,
        heads: int = 3,
        head_dim: int = 100,
        mlp_dim: int = 64,
        attention_dropout: float = 0.1,
        encoder_dropout: float = 0.0,
        projection_dropout: float = 0.0,
        momentum: float = 0.1,
        normalize: bool = True,
    ) -> None:
        super().__init__()

        def net(in_dim: int, hidden_dim: int, dropout: float) -> EmbeddingNet:
            return EmbeddingNet(
                in_dim, dim, hidden_dim=hidden_dim, dropout=dropout, momentum=momentum
            )

        self.audio_encoder = net(audio_dim, audio_hidden, encoder_dropout)
        self.visual_encoder = net(visual_dim, visual_hidden, encoder_dropout)
        self.attention = PairAttention(
            dim, depth=1, heads=heads, head_dim=head_dim, mlp_dim=mlp_dim, dropout=attention_dropout
        )
        self.audio_projection = net(dim, dim, projection_dropout)
        self.visual_projection = net(dim, dim, projection_dropout)
        # Almost zero at the start, as in the authors' code.
        self.map = nn.Parameter(2e-4 * torch.rand(text_dim, 2 * dim))
        self.normalize = normalize

    def forward(self, audio: Tensor, visual: Tensor) -> Tensor:
        """`[B, audio_dim]`, `[B, visual_dim]` to z `[B, text_dim]`."""
        pair = torch.stack([self.audio_encoder(audio), self.visual_encoder(visual)], dim=1)
        a, v = (pair + self.attention(pair)).unbind(dim=1)  # an outer residual, as in AVCA
        x = torch.cat([self.visual_projection(v), self.audio_projection(a)], dim=1)
        if self.normalize:
            x = F.normalize(x, dim=1)
        return x @ self.map.T
