"""Attention fusion: one model a modality, fused by learned weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ezav.features.tokens import Tokens
from ezav.methods.attention_fusion.network import AttentionFusionNetwork
from ezav.methods.base import Batch, Dims, Loss, Method
from ezav.methods.common.card import Card
from ezav.methods.common.losses import summed
from ezav.methods.common.temporal_input import scaled


@dataclass(frozen=True, kw_only=True, slots=True)
class AttentionFusionConfig:
    """Hyper-parameters of attention fusion; the defaults follow TCaF's for UCF."""

    dim: int = 300
    """Size of the modality models' outputs."""
    encoder_hidden: int = 512
    """Hidden size of the per-step encoders."""
    decoder_hidden: int = 512
    """Hidden size of the output's projection and decoder."""
    out_dim: int = 64
    """Size of the space shared with the text."""
    encoder_dropout: float = 0.3
    """Dropout in the per-step encoders."""
    decoder_dropout: float = 0.1
    """Dropout in the output's projection and decoder."""
    text_dropout: float = 0.1
    """Dropout in the text's projection and decoder."""
    audio_divisor: float = 1.0
    """Audio features are divided by this; 255 for VGGish's 8-bit features."""
    normalize_visual: bool = True
    """Unit length for every step's visual vector."""


class AttentionFusion(Method):
    """Two modality models whose outputs are weighed coordinate by coordinate."""

    Config = AttentionFusionConfig
    config: AttentionFusionConfig
    temporal = True
    card: ClassVar[Card] = Card(
        title="Attention Fusion",
        paper="Fayek, Kumar, IJCAI 2020",
        year=2020,
        parity="a naive formulation of the equations; the benchmark's own version is unpublished",
    )

    def __init__(self, config: AttentionFusionConfig, dims: Dims) -> None:
        super().__init__(config, dims)
        self.network = AttentionFusionNetwork(
            dims.audio,
            dims.visual,
            dims.text,
            dim=config.dim,
            encoder_hidden=config.encoder_hidden,
            decoder_hidden=config.decoder_hidden,
            out_dim=config.out_dim,
            encoder_dropout=config.encoder_dropout,
            decoder_dropout=config.decoder_dropout,
            text_dropout=config.text_dropout,
        )

    def output(self, audio: Tokens, visual: Tokens) -> Tensor:
        """Fused clips, `[B, dim]`."""
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


METHOD = AttentionFusion
