"""The settings of TCaF."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ezav.methods.common.temporal import TimeTokensConfig, VisualNorm


@dataclass(frozen=True, kw_only=True, slots=True)
class TCaFConfig(TimeTokensConfig):
    """Hyper-parameters of TCaF; the defaults are the authors' for UCF with C3D and VGGish."""

    depth: int = 6
    """Layers of the transformer."""
    heads: int = 8
    """How many attention heads there are."""
    head_dim: int = 64
    """Size of an attention head."""
    mlp_dim: int = 128
    """Hidden size of the feed-forward parts."""
    transformer_dropout: float = 0.3
    """Dropout in the transformer."""
    visual_norm: VisualNorm = "feature"
    """Give every step's visual vector unit length; 'time', as released, gives each coordinate
    unit length over the steps of a clip; 'none' leaves the features alone."""
    crop_seconds: float | None = None
    """Train on a random window of this length; None trains on whole clips."""
    evaluation_crop_seconds: float | None = None
    """Score the middle window of this length; None scores whole clips."""
    audio_crop_scale: float = 1.0
    """Audio window as a share of the visual one; as released 0.9216 (0.96 squared)."""
    restart_times: bool = False
    """As released: each modality's first token is at time 0, whatever its real time."""
    evaluation_times: Literal["seconds", "steps"] = "seconds"
    """'steps', as released, scores with 0, 1, 2, ... where it trained with seconds."""
    encode_padding: bool = False
    """As released: padding passes the encoders and moves BatchNorm's statistics."""
    released_norm_passes: bool = False
    """As released: embed each batch once more for the log, which moves the running statistics of
    BatchNorm and nothing else."""
