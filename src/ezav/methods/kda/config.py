"""The settings of KDA."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class KDAConfig:
    """Hyper-parameters of KDA; the defaults are the released ones where they are known."""

    dim: int = 512
    """The size of a token."""
    audio_hidden: int = 512
    """Hidden size of the audio encoder."""
    visual_hidden: int = 1024
    """Hidden size of the visual encoder."""
    encoder_dropout: float = 0.0
    """Dropout in the encoders."""
    projection_dropout: float = 0.0
    """Dropout in the projections."""
    momentum: float = 0.1
    """BatchNorm momentum at the end of the two-block nets."""
    normalize: bool = True
    """Unit length for the joined modalities; the authors do so for cls features only."""
    alignment_weight: float = 5.0
    """Weight of the regression to the description."""
    margin_weight: float = 1.0
    """Weight of the margin loss; as released 0: it is commented out there."""
    margin_scale: float = 1.0
    """Margin of a wrong class whose description is that of the right class."""
