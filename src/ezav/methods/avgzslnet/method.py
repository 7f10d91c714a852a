"""AVGZSLNet: a cross-modal decoder and a composite triplet loss."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from ezav.features.tokens import Tokens
from ezav.methods.avgzslnet.config import AVGZSLNetConfig
from ezav.methods.avgzslnet.network import AVGZSLNetwork
from ezav.methods.base import Batch, Dims, Loss
from ezav.methods.common.card import Card
from ezav.methods.common.losses import summed, triplet
from ezav.methods.common.pooled import PooledMethod
from ezav.methods.common.scoring import negative_distance


class AVGZSLNet(PooledMethod):
    """Audio, visual and text in one space from which a shared decoder rebuilds the text."""

    Config = AVGZSLNetConfig
    config: AVGZSLNetConfig
    needs_negatives = True
    card: ClassVar[Card] = Card(
        title="AVGZSLNet",
        paper="Mazumder, Singh, Parida, Namboodiri, WACV 2021",
        year=2021,
        parity="a naive formulation of the equations of AVCA's port",
    )

    def __init__(self, config: AVGZSLNetConfig, dims: Dims) -> None:
        super().__init__(config, dims)
        self.network = AVGZSLNetwork(dims, config)

    def loss(self, batch: Batch) -> Loss:
        """Composite triplets, reconstruction of the text, triplets of the reconstructions."""
        negative, network, margin = batch.negative, self.network, self.config.margin
        if negative is None:
            raise ValueError("AVGZSLNet's triplets need batch.negative")
        text = batch.class_embeddings[batch.labels]
        a = network.audio(self.audio_input(batch.audio))
        a_n = network.audio(self.audio_input(negative.audio))
        v = network.visual(self.visual_input(batch.visual))
        v_n = network.visual(self.visual_input(negative.visual))
        t = network.text(text)
        t_n = network.text(negative.class_embeddings[negative.labels])
        decoded_t, decoded_a, decoded_v = (network.decode(x) for x in (t, a, v))
        return summed(
            {
                "triplets": (
                    triplet(t, a, a_n, margin)
                    + triplet(a, t, t_n, margin)
                    + triplet(t, v, v_n, margin)
                    + triplet(v, t, t_n, margin)
                ),
                "reconstruction": (
                    _distance(decoded_t, text)
                    + _distance(decoded_a, text)
                    + _distance(decoded_v, text)
                ),
                "decoded_triplets": (
                    triplet(decoded_t, decoded_a, network.decode(a_n), margin)
                    + triplet(decoded_t, decoded_v, network.decode(v_n), margin)
                ),
            }
        )

    def scores(self, audio: Tokens, visual: Tokens, class_embeddings: Tensor) -> Tensor:
        """`-(|a - t| + |v - t|)`, `[N, C]`; twice the other's where a modality is missing."""
        network = self.network
        t = network.text(class_embeddings)
        by_audio = negative_distance(network.audio(self.audio_input(audio)), t)
        by_visual = negative_distance(network.visual(self.visual_input(visual)), t)
        has_a, has_v = audio.present[:, None], visual.present[:, None]
        return torch.where(has_a | ~has_v, by_audio, by_visual) + torch.where(
            has_v | ~has_a, by_visual, by_audio
        )


def _distance(x: Tensor, y: Tensor) -> Tensor:
    # A distance of exactly 0 has no gradient: eps as in torch's own pairwise_distance.
    return torch.pairwise_distance(x, y).mean()


METHOD = AVGZSLNet
