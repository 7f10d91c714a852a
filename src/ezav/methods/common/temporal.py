"""What TCaF shares with the baselines of its benchmark that read every token of a clip."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from ezav.features.tokens import Tokens
from ezav.methods.base import Batch
from ezav.methods.common.alignment import AlignmentMethod
from ezav.methods.common.alignment_head import AlignmentHead

VisualNorm = Literal["feature", "time", "none"]
"""Unit length of visual vectors: of each step's, of each coordinate over a clip's steps, or not."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TemporalConfig:
    """The settings of encoders and heads; the defaults are TCaF's for UCF."""

    dim: int = 300
    """Set the size of a token, and of the vector that stands for a clip."""
    encoder_hidden: int = 512
    """Set the hidden size of the per-step encoders."""
    encoder_dropout: float = 0.3
    """Set the dropout in the per-step encoders."""
    decoder_hidden: int = 512
    """Set the hidden size of the output's projection and decoder."""
    decoder_dropout: float = 0.1
    """Set the dropout in the output's projection and decoder."""
    out_dim: int = 64
    """Set the size of the space shared with the text."""
    text_dropout: float = 0.1
    """Set the dropout in the text's projection and decoder."""
    audio_divisor: float = 1.0
    """Divide audio features by this; 255 suits VGGish's 8-bit features."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TimeTokensConfig(TemporalConfig):
    """The same, where tokens know their modality and their time."""

    code_dim: int = 64
    """Set the size of the modality and time code."""
    token_dropout: float = 0.2
    """Set the dropout on the tokens."""


def make_head(text_dim: int, config: TemporalConfig) -> AlignmentHead:
    """TCaF's heads over vectors of size `config.dim`."""
    return AlignmentHead(
        config.dim,
        text_dim,
        hidden_dim=config.decoder_hidden,
        out_dim=config.out_dim,
        dropout=config.decoder_dropout,
        text_dropout=config.text_dropout,
    )


class TemporalNetwork(nn.Module):
    """Clips to one vector each, `[B, dim]`, with TCaF's heads above it."""

    head: AlignmentHead


class TemporalMethod(AlignmentMethod):
    """A network over all tokens of a clip, under TCaF's losses.

    A subclass builds `network`; its config may say more about the features' scale.
    """

    config: TemporalConfig
    network: TemporalNetwork
    temporal = True

    @property
    def visual_norm(self) -> VisualNorm:
        """How visual features are scaled."""
        return "feature"

    def scaled(self, audio: Tokens, visual: Tokens) -> tuple[Tokens, Tokens]:
        """The clips' features as the network reads them."""
        return scaled(audio, visual, self.config.audio_divisor, self.visual_norm)

    def output(self, audio: Tokens, visual: Tokens) -> Tensor:
        """What the network makes of clips, `[B, dim]`."""
        output: Tensor = self.network(*self.scaled(audio, visual))
        return output

    def loss_parts(self, batch: Batch) -> dict[str, Tensor]:
        text = batch.class_embeddings
        output = self.output(batch.audio, batch.visual)
        return self.network.head.loss_parts(output, text[batch.labels], text, batch.labels)

    def embed(self, audio: Tokens, visual: Tokens, text: Tensor) -> tuple[Tensor, Tensor]:
        return self.network.head.embed(self.output(audio, visual), text)


def scaled(
    audio: Tokens, visual: Tokens, audio_divisor: float, visual_norm: VisualNorm
) -> tuple[Tokens, Tokens]:
    """Audio divided by a number (255 for VGGish's 8-bit features), visual vectors at unit length.

    Example:
        >>> import torch
        >>> tokens = Tokens.pooled(torch.tensor([[3.0, 4.0]]))
        >>> a, v = scaled(tokens, tokens, 2.0, "feature")
        >>> a.values.tolist(), v.values.tolist()
        ([[[1.5, 2.0]]], [[[0.6..., 0.8...]]])
    """
    audio = replace(audio, values=audio.values / audio_divisor)
    if visual_norm != "none":
        dim = -1 if visual_norm == "feature" else 1
        visual = replace(visual, values=F.normalize(visual.values, dim=dim))
    return audio, visual
