"""The settings of CJME."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class CJMEConfig:
    """Hyper-parameters of CJME; the defaults are those of AVCA's comparison on UCF."""

    hidden_dim: int = 1024
    """Set the hidden size of the audio and visual projections."""
    text_hidden: int = 300
    """Set the hidden size of the text projection."""
    out_dim: int = 64
    """Set the size of the joint space."""
    dropout: float = 0.2
    """Set the dropout in the projections."""
    margin: float = 1.0
    """Set the margin of the triplets."""
    released_broadcast: bool = False
    """Let shapes [B, 1] and [B] meet, as released, so that the shares no longer belong to their
    clips."""
    table_in_training_mode: bool = False
    """Pass the table of classes through the text projection in training mode in every batch, as
    released: with dropout, and moving BatchNorm's statistics."""
