"""Perceiver (Jaegle et al., ICML 2021): learned latents read a sequence of both modalities."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ezav.features.tokens import Tokens
from ezav.methods.base import Dims
from ezav.methods.common.dropout import Dropout
from ezav.methods.common.temporal import TemporalNetwork, make_head
from ezav.methods.common.time_tokens import FourierTime, TimeTokens
from ezav.methods.perceiver.config import PerceiverConfig


class ReadingBlock(nn.Module):
    """Latents read the tokens by cross-attention, then attend to each other; pre-norm.

    Args:
        dim: size of latents and tokens.
        heads: attention heads; they divide `dim`.
        mlp_dim: hidden size of the feed-forward parts.
        layers: self-attention layers after the reading.
        dropout: in all parts.
    """

    def __init__(self, dim: int, *, heads: int, mlp_dim: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.latent_norm = nn.LayerNorm(dim)
        self.token_norm = nn.LayerNorm(dim)
        self.read = nn.MultiheadAttention(dim, heads, dropout=dropout, batch_first=True)
        self.mlp = nn.Sequential(
            nn.LayerNorm(dim),
            nn.Linear(dim, mlp_dim),
            nn.GELU(),
            Dropout(dropout),
            nn.Linear(mlp_dim, dim),
            Dropout(dropout),
        )
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                dim,
                heads,
                mlp_dim,
                dropout,
                activation="gelu",
                batch_first=True,
                norm_first=True,
            )
            for _ in range(layers)
        )

    def forward(self, latents: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
        """`latents` `[B, M, dim]`, `tokens` `[B, S, dim]`, `mask` bool `[B, S]`, True if real."""
        x = self.token_norm(tokens)
        read, _ = self.read(
            self.latent_norm(latents), x, x, key_padding_mask=~mask, need_weights=False
        )
        latents = latents + read
        latents = latents + self.mlp(latents)
        for layer in self.layers:
            latents = layer(latents)
        return latents


class PerceiverNetwork(TemporalNetwork):
    """TCaF's tokens, read by latents instead of attending to each other; TCaF's heads.

    One learned token that is always there keeps a clip without any token defined.

    Example:
        >>> network = PerceiverNetwork(Dims(audio=3, visual=4, text=5), PerceiverConfig(dim=12))
        >>> clips = Tokens.pooled(torch.ones(2, 3)), Tokens.pooled(torch.ones(2, 4))
        >>> network(*clips).shape
        torch.Size([2, 12])
    """

    def __init__(self, dims: Dims, config: PerceiverConfig) -> None:
        super().__init__()
        dim = config.dim
        self.time = FourierTime(config.code_dim)
        self.audio_tokens = TimeTokens(dims.audio, config)
        self.visual_tokens = TimeTokens(dims.visual, config)
        self.nothing = nn.Parameter(torch.randn(1, 1, dim) * 0.02)
        self.latents = nn.Parameter(torch.randn(1, config.latents, dim) * 0.02)
        self.blocks = nn.ModuleList(
            ReadingBlock(
                dim,
                heads=config.heads,
                mlp_dim=config.mlp_dim,
                layers=config.layers,
                dropout=config.dropout,
            )
            for _ in range(config.blocks)
        )
        self.head = make_head(dims.text, config)

    def forward(self, audio: Tokens, visual: Tokens) -> Tensor:
        """Clips to the mean of their latents, `[B, dim]`."""
        batch = len(audio)
        tokens = torch.cat(
            [
                self.nothing.expand(batch, -1, -1),
                self.audio_tokens(audio, self.time),
                self.visual_tokens(visual, self.time),
            ],
            dim=1,
        )  # [B, 1 + T_a + T_v, dim]
        mask = torch.cat([torch.ones_like(audio.mask[:, :1]), audio.mask, visual.mask], dim=1)
        latents = self.latents.expand(batch, -1, -1)
        for block in self.blocks:
            latents = block(latents, tokens, mask)
        return latents.mean(dim=1)
