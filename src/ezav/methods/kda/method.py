"""KDA: knowledge-augmented audio-visual learning from class descriptions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor

from ezav.features.tokens import Tokens
from ezav.methods.base import Batch, Dims, Loss, Method
from ezav.methods.common.card import Card
from ezav.methods.common.losses import summed
from ezav.methods.common.pooled import MeanStandIn
from ezav.methods.common.scoring import negative_distance
from ezav.methods.kda.losses import margin_logits
from ezav.methods.kda.network import KDANetwork


@dataclass(frozen=True, kw_only=True, slots=True)
class KDAConfig:
    """Hyper-parameters of KDA; the defaults are the released ones where they are known."""

    dim: int = 512
    """Token size."""
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


class KDA(Method):
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
        self.audio_input = MeanStandIn(dims.audio)
        self.visual_input = MeanStandIn(dims.visual)
        self.network = KDANetwork(
            dims.audio,
            dims.visual,
            dims.text,
            dim=config.dim,
            audio_hidden=config.audio_hidden,
            visual_hidden=config.visual_hidden,
            encoder_dropout=config.encoder_dropout,
            projection_dropout=config.projection_dropout,
            momentum=config.momentum,
            normalize=config.normalize,
        )

    def prepare(self, audio: Tokens, visual: Tokens, labels: Tensor, classes: Tensor) -> None:
        """Learn the stand-ins for a missing modality."""
        self.audio_input.fit(audio)
        self.visual_input.fit(visual)

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
