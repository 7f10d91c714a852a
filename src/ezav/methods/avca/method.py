"""AVCA: audio-visual generalised zero-shot learning with cross-modal attention and language."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from ezav.features.tokens import Tokens
from ezav.methods.avca.config import AVCAConfig
from ezav.methods.avca.losses import loss_parts
from ezav.methods.avca.network import AVCANetwork, Embedded
from ezav.methods.base import Batch, Dims, Loss
from ezav.methods.common.card import Card
from ezav.methods.common.log_pass import LogPass
from ezav.methods.common.losses import summed
from ezav.methods.common.pooled import PooledMethod
from ezav.methods.common.scoring import negative_distance


class AVCA(LogPass, PooledMethod):
    """Pooled audio and visual vectors exchange by attention and meet the text in a small space.

    The score is `-|theta_v - theta_w|`: audio reaches it through the attention only.
    """

    Config = AVCAConfig
    config: AVCAConfig
    network: AVCANetwork
    needs_negatives = True
    card: ClassVar[Card] = Card(
        title="AVCA",
        paper="Mercea, Riesch, Koepke, Akata, CVPR 2022",
        year=2022,
        parity="the authors' code: outputs, losses and gradients to 1e-5",
    )

    def __init__(self, config: AVCAConfig, dims: Dims) -> None:
        super().__init__(config, dims)
        self.network = self.build_network()
        self.network.attention.positions.requires_grad_(config.train_positions)

    def build_network(self) -> AVCANetwork:
        """The network of the config; a descendant may return one that has more."""
        return AVCANetwork(self.dims, self.config)

    def loss(self, batch: Batch) -> Loss:
        """The sum of AVCA's losses; `batch.negative` is one clip of another class for each clip."""
        return summed(self.loss_terms(batch)[0])

    def loss_terms(self, batch: Batch) -> tuple[dict[str, Tensor], Embedded]:
        """The parts of the loss, and the embedded clips and negatives."""
        negative = batch.negative
        if negative is None:
            raise ValueError("AVCA's triplets need batch.negative")
        self.catch_up()
        sides = (batch, negative)
        audio = torch.stack([self.audio_input(side.audio) for side in sides], dim=1)
        visual = torch.stack([self.visual_input(side.visual) for side in sides], dim=1)
        text = torch.stack([side.class_embeddings[side.labels] for side in sides], dim=1)
        embedded = self.network(audio, visual, text)
        reconstructed = None
        if self.config.regression or self.config.released_norm_passes:
            theta_a, theta_v = embedded.theta_a[:, 0], embedded.theta_v[:, 0]
            reconstructed = self.network.reconstruct(theta_a, theta_v)
        if self.config.released_norm_passes and reconstructed is not None:
            self._released_passes(reconstructed, audio[:, 0], visual[:, 0], text[:, 0])
        parts = loss_parts(
            embedded,
            text[:, 0],
            reconstructed=reconstructed if self.config.regression else None,
            additional_triplets=self.config.additional_triplets,
        )
        return parts, embedded

    @torch.no_grad()
    def _released_passes(
        self, reconstructed: tuple[Tensor, Tensor], audio: Tensor, visual: Tensor, text: Tensor
    ) -> None:
        # The released step projects the reconstructions and, for its log, embeds the batch again.
        network = self.network
        if self.training:
            network.audio_projection(reconstructed[0])
            network.visual_projection(reconstructed[1])
        self.after_the_step(lambda: (network.embed(audio, visual), network.embed_text(text)))

    def scores(self, audio: Tokens, visual: Tokens, class_embeddings: Tensor) -> Tensor:
        """`-|theta_v - theta_w|`, `[N, C]`."""
        _, theta_v = self.network.embed(self.audio_input(audio), self.visual_input(visual))
        return negative_distance(theta_v, self.network.embed_text(class_embeddings))


METHOD = AVCA
