"""The settings of TCaF."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ezav.methods.common.temporal import TimeTokensConfig, VisualNorm


@dataclass(frozen=True, kw_only=True, slots=True)
class TCaFConfig(TimeTokensConfig):
    """Hyper-parameters of TCaF; the defaults are the authors' for UCF with C3D and VGGish."""

    depth: int = 6
    """Use so many layers of the transformer."""
    heads: int = 8
    """Use so many attention heads."""
    head_dim: int = 64
    """Set the size of an attention head."""
    mlp_dim: int = 128
    """Set the hidden size of the feed-forward parts."""
    transformer_dropout: float = 0.3
    """Set the dropout in the transformer."""
    visual_norm: VisualNorm = "feature"
    """Give every step's visual vector unit length; 'time', as released, gives each coordinate
    unit length over the steps of a clip; 'none' leaves the features alone."""
    crop_seconds: float | None = None
    """Train on a random window of this length; None trains on whole clips."""
    evaluation_crop_seconds: float | None = None
    """Score the middle window of this length; None scores whole clips."""
    audio_crop_scale: float = 1.0
    """Make the audio window this share of the visual one; as released 0.9216 (0.96 squared)."""
    restart_times: bool = False
    """Put each modality's first token at time 0, as released, whatever its real time."""
    evaluation_times: Literal["seconds", "steps"] = "seconds"
    """Score with these times; 'steps', as released, scores with 0, 1, 2, ... where it trained with
    seconds."""
    encode_padding: bool = False
    """Let padding pass the encoders, as released, where it moves BatchNorm's statistics."""
    released_norm_passes: bool = False
    """Embed each batch once more for the log, as released, which moves the running statistics of
    BatchNorm and nothing else."""
