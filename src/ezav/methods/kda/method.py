"""KDA: knowledge-augmented audio-visual learning from class descriptions."""

from __future__ import annotations

from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor

from ezav.features.tokens import Tokens
from ezav.methods.base import Batch, Dims, Loss
from ezav.methods.common.card import Card
from ezav.methods.common.losses import summed
from ezav.methods.common.pooled import PooledMethod
from ezav.methods.common.scoring import negative_distance
from ezav.methods.kda.config import KDAConfig
from ezav.methods.kda.losses import margin_logits
from ezav.methods.kda.network import KDANetwork


class KDA(PooledMethod):
    """AVCA's trunk, trained towards the text of class descriptions with an adaptive margin.

    The class embeddings are to be made from descriptions, several texts a class (see
    `average_descriptions`); with plain names it runs as well.
    """

    Config = KDAConfig
    config: KDAConfig
    card: ClassVar[Card] = Card(
        title="KDA",
        paper="Chen et al., arXiv 2311.12268, 2023",
        year=2023,
        parity="a naive formulation of the released code's equations",
        text="descriptions of the classes (or names)",
    )

    def __init__(self, config: KDAConfig, dims: Dims) -> None:
        super().__init__(config, dims)
        self.network = KDANetwork(dims, config)

    def embed(self, audio: Tokens, visual: Tokens) -> Tensor:
        """Clips in the space of the descriptions, `[B, d]`."""
        embedded: Tensor = self.network(self.audio_input(audio), self.visual_input(visual))
        return embedded

    def loss(self, batch: Batch) -> Loss:
        """`5 MSE(z, t_y)`, and cross-entropy over the training classes with the margins."""
        classes, labels = batch.class_embeddings, batch.labels
        z = self.embed(batch.audio, batch.visual)
        parts = {"alignment": self.config.alignment_weight * F.mse_loss(z, classes[labels])}
        if self.config.margin_weight:
            logits = margin_logits(z, classes, labels, self.config.margin_scale)
            parts["margin"] = self.config.margin_weight * F.cross_entropy(logits, labels)
        return summed(parts)

    def scores(self, audio: Tokens, visual: Tokens, class_embeddings: Tensor) -> Tensor:
        """`-|z - t|`, `[N, C]`."""
        return negative_distance(self.embed(audio, visual), class_embeddings)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """All parameters, with the authors' betas for Adam."""
        return [{**group, "betas": (0.5, 0.999)} for group in super().parameter_groups()]


METHOD = KDA
