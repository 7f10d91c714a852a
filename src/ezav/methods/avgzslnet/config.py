"""The settings of AVGZSLNet."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class AVGZSLNetConfig:
    """Hyper-parameters of AVGZSLNet; the defaults are those of AVCA's comparison."""

    hidden_dim: int = 1024
    """Set the hidden size of the audio and visual projections."""
    text_hidden: int = 300
    """Set the hidden size of the text projection."""
    decoder_hidden: int = 64
    """Set the hidden size of the decoder."""
    out_dim: int = 64
    """Set the size of the joint space."""
    dropout: float = 0.8
    """Set the dropout in the projections."""
    decoder_dropout: float = 0.5
    """Set the dropout in the decoder."""
    margin: float = 1.0
    """Set the margin of the triplets."""
