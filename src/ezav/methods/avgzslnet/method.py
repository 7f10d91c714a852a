"""AVGZSLNet: a cross-modal decoder and a composite triplet loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ezav.features.tokens import Tokens
from ezav.methods.avgzslnet.network import AVGZSLNetwork
from ezav.methods.base import Batch, Dims, Loss, Method
from ezav.methods.common.card import Card
from ezav.methods.common.losses import summed, triplet
from ezav.methods.common.pooled import MeanStandIn
from ezav.methods.common.scoring import negative_distance


@dataclass(frozen=True, kw_only=True, slots=True)
class AVGZSLNetConfig:
    """Hyper-parameters of AVGZSLNet; the defaults are those of AVCA's comparison."""

    hidden_dim: int = 1024
    """Hidden size of the audio and visual projections."""
    text_hidden: int = 300
    """Hidden size of the text projection."""
    decoder_hidden: int = 64
    """Hidden size of the decoder."""
    out_dim: int = 64
    """Size of the joint space."""
    dropout: float = 0.8
    """Dropout in the projections."""
    decoder_dropout: float = 0.5
    """Dropout in the decoder."""
    margin: float = 1.0
    """Margin of the triplets."""


class AVGZSLNet(Method):
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
        self.audio_input = MeanStandIn(dims.audio)
        self.visual_input = MeanStandIn(dims.visual)
        self.network = AVGZSLNetwork(
            dims.audio,
            dims.visual,
            dims.text,
            hidden_dim=config.hidden_dim,
            text_hidden=config.text_hidden,
            decoder_hidden=config.decoder_hidden,
            out_dim=config.out_dim,
            dropout=config.dropout,
            decoder_dropout=config.decoder_dropout,
        )

    def prepare(self, audio: Tokens, visual: Tokens, labels: Tensor, classes: Tensor) -> None:
        """Learn the stand-ins for a missing modality."""
        self.audio_input.fit(audio)
        self.visual_input.fit(visual)

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
