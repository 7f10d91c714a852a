"""Perceiver: latents read the tokens of both modalities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ezav.errors import EzavError
from ezav.features.tokens import Tokens
from ezav.methods.base import Batch, Dims, Loss, Method
from ezav.methods.common.card import Card
from ezav.methods.common.losses import summed
from ezav.methods.common.temporal_input import scaled
from ezav.methods.perceiver.network import PerceiverNetwork


@dataclass(frozen=True, kw_only=True, slots=True)
class PerceiverConfig:
    """Hyper-parameters of the Perceiver; tokens and heads follow TCaF's for UCF."""

    dim: int = 300
    """Size of tokens and latents."""
    latents: int = 16
    """Number of latents."""
    blocks: int = 2
    """How often the latents read the tokens."""
    layers: int = 2
    """Self-attention layers after each reading."""
    heads: int = 6
    """Attention heads; they divide `dim`."""
    mlp_dim: int = 128
    """Hidden size of the feed-forward parts."""
    encoder_hidden: int = 512
    """Hidden size of the per-step encoders."""
    code_dim: int = 64
    """Size of the modality and time code."""
    decoder_hidden: int = 512
    """Hidden size of the output's projection and decoder."""
    out_dim: int = 64
    """Size of the space shared with the text."""
    encoder_dropout: float = 0.3
    """Dropout in the per-step encoders."""
    token_dropout: float = 0.2
    """Dropout on the tokens."""
    dropout: float = 0.3
    """Dropout in the attention blocks."""
    decoder_dropout: float = 0.1
    """Dropout in the output's projection and decoder."""
    text_dropout: float = 0.1
    """Dropout in the text's projection and decoder."""
    audio_divisor: float = 1.0
    """Audio features are divided by this; 255 for VGGish's 8-bit features."""
    normalize_visual: bool = True
    """Unit length for every step's visual vector."""

    def __post_init__(self) -> None:
        if self.heads < 1 or self.dim % self.heads:
            raise EzavError(f"heads ({self.heads}) must divide dim ({self.dim})")


class Perceiver(Method):
    """A small set of learned latents reads the sequence of both modalities."""

    Config = PerceiverConfig
    config: PerceiverConfig
    temporal = True
    card: ClassVar[Card] = Card(
        title="Perceiver",
        paper="Jaegle et al., ICML 2021",
        year=2021,
        parity="a naive reading block; the benchmark's own version is unpublished",
    )

    def __init__(self, config: PerceiverConfig, dims: Dims) -> None:
        super().__init__(config, dims)
        self.network = PerceiverNetwork(
            dims.audio,
            dims.visual,
            dims.text,
            dim=config.dim,
            latents=config.latents,
            blocks=config.blocks,
            layers=config.layers,
            heads=config.heads,
            mlp_dim=config.mlp_dim,
            encoder_hidden=config.encoder_hidden,
            code_dim=config.code_dim,
            decoder_hidden=config.decoder_hidden,
            out_dim=config.out_dim,
            encoder_dropout=config.encoder_dropout,
            token_dropout=config.token_dropout,
            dropout=config.dropout,
            decoder_dropout=config.decoder_dropout,
            text_dropout=config.text_dropout,
        )

    def output(self, audio: Tokens, visual: Tokens) -> Tensor:
        """The mean latent of clips, `[B, dim]`."""
        clips = scaled(
            audio,
            visual,
            audio_divisor=self.config.audio_divisor,
            normalize_visual=self.config.normalize_visual,
        )
        output: Tensor = self.network(*clips)
        return output

    def loss(self, batch: Batch) -> Loss:
        """TCaF's losses."""
        parts = self.network.head.loss_parts(
            self.output(batch.audio, batch.visual),
            batch.class_embeddings[batch.labels],
            batch.class_embeddings,
            batch.labels,
        )
        return summed(parts)

    def scores(self, audio: Tokens, visual: Tokens, class_embeddings: Tensor) -> Tensor:
        """`-|theta_o - theta_w|`, `[N, C]`."""
        return self.network.head.scores(self.output(audio, visual), class_embeddings)


METHOD = Perceiver
