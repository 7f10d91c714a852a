"""Perceiver (Jaegle et al., ICML 2021): learned latents read a sequence of both modalities."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ezav.features.tokens import Tokens
from ezav.methods.common.alignment_head import AlignmentHead
from ezav.methods.common.dropout import Dropout
from ezav.methods.common.time_tokens import FourierTime, TimeTokens


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


class PerceiverNetwork(nn.Module):
    """TCaF's tokens, read by latents instead of attending to each other; TCaF's heads.

    One learned token that is always there keeps a clip without any token defined.

    Args:
        audio_dim, visual_dim, text_dim: sizes of the inputs.
        dim: size of tokens and latents (300).
        latents: number of latents.
        blocks, layers: readings, and self-attention layers after each.
        heads, mlp_dim: of the attention.
        encoder_hidden, code_dim, encoder_dropout, token_dropout: of the tokens.
        decoder_hidden, out_dim, decoder_dropout, text_dropout: of the heads.
        dropout: in the blocks.
    """

    def __init__(
        self,
        audio_dim: int,
        visual_dim: int,
        text_dim: int,
        *,
        dim: int = 300,
        latents: int = 16,
        blocks: int = 2,
        layers: int = 2,
        heads: int = 6,
        mlp_dim: int = 128,
        encoder_hidden: int = 512,
        code_dim: int = 64,
        decoder_hidden: int = 512,
        out_dim: int = 64,
        encoder_dropout: float = 0.3,
        token_dropout: float = 0.2,
        dropout: float = 0.3,
        decoder_dropout: float = 0.1,
        text_dropout: float = 0.1,
    ) -> None:
        super().__init__()

        def tokens(in_dim: int) -> TimeTokens:
            return TimeTokens(
                in_dim,
                dim,
                hidden_dim=encoder_hidden,
                dropout=encoder_dropout,
                code_dim=code_dim,
                token_dropout=token_dropout,
            )

        self.time = FourierTime(code_dim)
        self.audio_tokens = tokens(audio_dim)
        self.visual_tokens = tokens(visual_dim)
        self.nothing = nn.Parameter(torch.randn(1, 1, dim) * 0.02)
        self.latents = nn.Parameter(torch.randn(1, latents, dim) * 0.02)
        self.blocks = nn.ModuleList(
            ReadingBlock(dim, heads=heads, mlp_dim=mlp_dim, layers=layers, dropout=dropout)
            for _ in range(blocks)
        )
        self.head = AlignmentHead(
            dim,
            text_dim,
            hidden_dim=decoder_hidden,
            out_dim=out_dim,
            dropout=decoder_dropout,
            text_dropout=text_dropout,
        )

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
