"""The settings of CJME."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class CJMEConfig:
    """Hyper-parameters of CJME; the defaults are those of AVCA's comparison on UCF."""

    hidden_dim: int = 1024
    """Hidden size of the audio and visual projections."""
    text_hidden: int = 300
    """Hidden size of the text projection."""
    out_dim: int = 64
    """Size of the joint space."""
    dropout: float = 0.2
    """Dropout in the projections."""
    margin: float = 1.0
    """Margin of the triplets."""
    released_broadcast: bool = False
    """As released: shapes [B, 1] and [B] meet, so the shares no longer belong to their clips."""
    table_in_training_mode: bool = False
    """As released: the table of classes passes the text projection in training mode in every
    batch, with dropout, and moves BatchNorm's statistics."""
