"""CJME: coordinated joint multimodal embeddings."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from ezav.features.tokens import Tokens
from ezav.methods.base import Batch, Dims, Loss
from ezav.methods.cjme.config import CJMEConfig
from ezav.methods.cjme.losses import hinge, surer_modality, weighted_triplet
from ezav.methods.cjme.network import CJMENetwork
from ezav.methods.common.card import Card
from ezav.methods.common.losses import summed
from ezav.methods.common.pooled import PooledMethod
from ezav.methods.common.scoring import negative_distance


class CJME(PooledMethod):
    """Audio, visual and text in one space; an attention picks the modality to believe."""

    Config = CJMEConfig
    config: CJMEConfig
    needs_negatives = True
    card: ClassVar[Card] = Card(
        title="CJME",
        paper="Parida, Matiyali, Guha, Sharma, WACV 2020",
        year=2020,
        parity="a naive formulation of the equations of AVCA's port",
    )

    def __init__(self, config: CJMEConfig, dims: Dims) -> None:
        super().__init__(config, dims)
        self.network = CJMENetwork(dims, config)

    def loss(self, batch: Batch) -> Loss:
        """Weighted triplets, agreement of the modalities, supervision of the attention."""
        negative, network, config = batch.negative, self.network, self.config
        if negative is None:
            raise ValueError("CJME's triplets need batch.negative")
        audio, visual = self.audio_input(batch.audio), self.visual_input(batch.visual)
        a, a_n = network.audio(audio), network.audio(self.audio_input(negative.audio))
        v, v_n = network.visual(visual), network.visual(self.visual_input(negative.visual))
        t = network.text(batch.class_embeddings[batch.labels])
        share = network.visual_share(audio, visual)
        target = surer_modality(a, v, self._table(batch.class_embeddings))
        return summed(
            {
                "triplet": weighted_triplet(
                    hinge(t, a, a_n, config.margin),
                    hinge(t, v, v_n, config.margin),
                    share,
                    broadcast=config.released_broadcast,
                ),
                "agreement": F.mse_loss(a, v),
                "attention": F.mse_loss(share, target),
            }
        )

    @torch.no_grad()
    def _table(self, class_embeddings: Tensor) -> Tensor:
        text = self.network.text
        training = text.training
        text.train(training and self.config.table_in_training_mode)
        table: Tensor = text(class_embeddings)
        text.train(training)
        return table

    def scores(self, audio: Tokens, visual: Tokens, class_embeddings: Tensor) -> Tensor:
        """Minus the distance of the believed modality, `[N, C]`; the only one if one is missing."""
        network = self.network
        pooled_a, pooled_v = self.audio_input(audio), self.visual_input(visual)
        t = network.text(class_embeddings)
        sure = network.visual_share(pooled_a, pooled_v) >= 0.5
        # What a clip lacks is not believed; a clip without both is judged as if it were seen.
        believe_visual = (visual.present & (sure | ~audio.present)) | ~(
            audio.present | visual.present
        )
        return torch.where(
            believe_visual[:, None],
            negative_distance(network.visual(pooled_v), t),
            negative_distance(network.audio(pooled_a), t),
        )


METHOD = CJME
