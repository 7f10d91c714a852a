"""Attention fusion: one model a modality, fused by learned weights."""

from __future__ import annotations

from typing import ClassVar

from ezav.methods.attention_fusion.config import AttentionFusionConfig
from ezav.methods.attention_fusion.network import AttentionFusionNetwork
from ezav.methods.base import Dims
from ezav.methods.common.card import Card
from ezav.methods.common.temporal import TemporalMethod, VisualNorm


class AttentionFusion(TemporalMethod):
    """Two modality models whose outputs are weighed coordinate by coordinate."""

    Config = AttentionFusionConfig
    config: AttentionFusionConfig
    card: ClassVar[Card] = Card(
        title="Attention Fusion",
        paper="Fayek, Kumar, IJCAI 2020",
        year=2020,
        parity="a naive formulation of the equations; the benchmark's own version is unpublished",
    )

    def __init__(self, config: AttentionFusionConfig, dims: Dims) -> None:
        super().__init__(config, dims)
        self.network = AttentionFusionNetwork(dims, config)

    @property
    def visual_norm(self) -> VisualNorm:
        return "feature" if self.config.normalize_visual else "none"


METHOD = AttentionFusion
