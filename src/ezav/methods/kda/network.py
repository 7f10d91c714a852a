"""KDA's network (Chen et al., arXiv 2311.12268): AVCA's trunk and one map to the descriptions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ezav.methods.base import Dims
from ezav.methods.common.embedding_net import EmbeddingNet
from ezav.methods.common.pair_attention import PairAttention
from ezav.methods.kda.config import KDAConfig


class KDANetwork(nn.Module):
    """Pooled audio and visual to the space of the class descriptions, `[B, text_dim]`.

    Example:
        >>> network = KDANetwork(Dims(audio=3, visual=4, text=5), KDAConfig(dim=8))
        >>> network(torch.ones(2, 3), torch.ones(2, 4)).shape
        torch.Size([2, 5])
    """

    def __init__(self, dims: Dims, config: KDAConfig) -> None:
        super().__init__()
        dim = config.dim

        def net(in_dim: int, hidden_dim: int, dropout: float) -> EmbeddingNet:
            return EmbeddingNet(
                in_dim, dim, hidden_dim=hidden_dim, dropout=dropout, momentum=config.momentum
            )

        self.audio_encoder = net(dims.audio, config.audio_hidden, config.encoder_dropout)
        self.visual_encoder = net(dims.visual, config.visual_hidden, config.encoder_dropout)
        # Fixed in the authors' code, too.
        self.attention = PairAttention(dim, depth=1, heads=3, head_dim=100, mlp_dim=64, dropout=0.1)
        self.audio_projection = net(dim, dim, config.projection_dropout)
        self.visual_projection = net(dim, dim, config.projection_dropout)
        # Almost zero at the start, as in the authors' code.
        self.map = nn.Parameter(2e-4 * torch.rand(dims.text, 2 * dim))
        self.normalize = config.normalize

    def forward(self, audio: Tensor, visual: Tensor) -> Tensor:
        """`[B, audio_dim]`, `[B, visual_dim]` to z `[B, text_dim]`."""
        pair = torch.stack([self.audio_encoder(audio), self.visual_encoder(visual)], dim=1)
        a, v = (pair + self.attention(pair)).unbind(dim=1)  # an outer residual, as in AVCA
        x = torch.cat([self.visual_projection(v), self.audio_projection(a)], dim=1)
        if self.normalize:
            x = F.normalize(x, dim=1)
        return x @ self.map.T
