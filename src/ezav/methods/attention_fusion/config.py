"""The settings of Attention fusion."""

from __future__ import annotations

from dataclasses import dataclass

from ezav.methods.common.temporal import TemporalConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class AttentionFusionConfig(TemporalConfig):
    """Hyper-parameters of attention fusion; the defaults follow TCaF's for UCF."""

    normalize_visual: bool = True
    """Give every step's visual vector unit length."""
