"""Perceiver: latents read the tokens of both modalities."""

from __future__ import annotations

from typing import ClassVar

from ezav.methods.base import Dims
from ezav.methods.common.card import Card
from ezav.methods.common.temporal import TemporalMethod, VisualNorm
from ezav.methods.perceiver.config import PerceiverConfig
from ezav.methods.perceiver.network import PerceiverNetwork


class Perceiver(TemporalMethod):
    """A small set of learned latents reads the sequence of both modalities."""

    Config = PerceiverConfig
    config: PerceiverConfig
    card: ClassVar[Card] = Card(
        title="Perceiver",
        paper="Jaegle et al., ICML 2021",
        year=2021,
        parity="a naive reading block; the benchmark's own version is unpublished",
    )

    def __init__(self, config: PerceiverConfig, dims: Dims) -> None:
        super().__init__(config, dims)
        self.network = PerceiverNetwork(dims, config)

    @property
    def visual_norm(self) -> VisualNorm:
        return "feature" if self.config.normalize_visual else "none"


METHOD = Perceiver
