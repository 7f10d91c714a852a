"""APN: attribute prototype network, on pooled audio-visual vectors."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from ezav.features.tokens import Tokens
from ezav.methods.apn.config import APNConfig
from ezav.methods.apn.network import APNNetwork
from ezav.methods.base import Batch, Dims, Loss, Method
from ezav.methods.common.card import Card
from ezav.methods.common.joint_input import JointInput
from ezav.methods.common.losses import summed
from ezav.methods.common.scoring import negative_distance


class APN(Method):
    """A linear map to the class embeddings, trained by cross-entropy and regression.

    That is all that is left of APN on one vector a clip; see the README.
    """

    Config = APNConfig
    config: APNConfig
    card: ClassVar[Card] = Card(
        title="APN",
        paper="Xu, Xian, Wang, Schiele, Akata, NeurIPS 2020",
        year=2020,
        parity="a naive formulation of the equations",
    )

    def __init__(self, config: APNConfig, dims: Dims) -> None:
        super().__init__(config, dims)
        self.input = JointInput(dims.visual, dims.audio, config.normalization)
        self.network = APNNetwork(dims, config)

    def prepare(self, audio: Tokens, visual: Tokens, labels: Tensor, classes: Tensor) -> None:
        """Learn the stand-ins for a missing modality."""
        self.input.fit(audio, visual)

    def loss(self, batch: Batch) -> Loss:
        """`CE(e W^T, y) + MSE(e, w_y)`, and the same for the prototypes' p if they are on."""
        embedded, attributes = self.network(self.input(batch.audio, batch.visual))
        classes, labels = batch.class_embeddings, batch.labels

        def cross_entropy(x: Tensor) -> Tensor:
            logits = x @ classes.T
            return F.cross_entropy(
                logits.softmax(dim=1) if self.config.softmax_twice else logits, labels
            )

        parts = {
            "cross_entropy": cross_entropy(embedded),
            "regression": F.mse_loss(embedded, classes[labels]),
        }
        if attributes is not None:
            parts["prototype_cross_entropy"] = cross_entropy(attributes)
            parts["prototype_regression"] = F.mse_loss(attributes, classes[labels])
        return summed(parts)

    def scores(self, audio: Tokens, visual: Tokens, class_embeddings: Tensor) -> Tensor:
        """`-|e - w|`, `[N, C]`."""
        embedded, _ = self.network(self.input(audio, visual))
        return negative_distance(embedded, class_embeddings)


METHOD = APN
