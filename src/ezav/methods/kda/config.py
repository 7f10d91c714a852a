"""The settings of KDA."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class KDAConfig:
    """Hyper-parameters of KDA; the defaults are the released ones where they are known."""

    dim: int = 512
    """Set the size of a token."""
    audio_hidden: int = 512
    """Set the hidden size of the audio encoder."""
    visual_hidden: int = 1024
    """Set the hidden size of the visual encoder."""
    encoder_dropout: float = 0.0
    """Set the dropout in the encoders."""
    projection_dropout: float = 0.0
    """Set the dropout in the projections."""
    momentum: float = 0.1
    """Set the BatchNorm momentum at the end of the two-block nets."""
    normalize: bool = True
    """Give the joined modalities unit length; the authors do so for cls features only."""
    alignment_weight: float = 5.0
    """Weigh the regression to the description by this much."""
    margin_weight: float = 1.0
    """Weigh the margin loss by this much; as released 0: it is commented out there."""
    margin_scale: float = 1.0
    """Set the margin of a wrong class whose description is that of the right class."""
