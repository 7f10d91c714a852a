"""The settings of AVGZSLNet."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class AVGZSLNetConfig:
    """Hyper-parameters of AVGZSLNet; the defaults are those of AVCA's comparison."""

    hidden_dim: int = 1024
    """Hidden size of the audio and visual projections."""
    text_hidden: int = 300
    """Hidden size of the text projection."""
    decoder_hidden: int = 64
    """Hidden size of the decoder."""
    out_dim: int = 64
    """Size of the joint space."""
    dropout: float = 0.8
    """Dropout in the projections."""
    decoder_dropout: float = 0.5
    """Dropout in the decoder."""
    margin: float = 1.0
    """Margin of the triplets."""
