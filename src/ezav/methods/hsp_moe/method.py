"""HSP-MoE: ClipClap on the unit sphere, with experts and the frozen features' own distances."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from ezav.errors import EzavError
from ezav.features.tokens import Tokens
from ezav.methods.base import Batch, Dims
from ezav.methods.common.alignment import AlignmentMethod
from ezav.methods.common.card import Card
from ezav.methods.common.pooled import PooledMethod
from ezav.methods.hsp_moe.config import HspMoeConfig
from ezav.methods.hsp_moe.network import HspMoeNetwork


class HspMoe(AlignmentMethod, PooledMethod):
    """ClipClap by cosines, a mixture of three experts, and half of each score frozen.

    Raises:
        EzavError: the class vectors are not the text of both modalities side by side.
    """

    Config = HspMoeConfig
    config: HspMoeConfig
    # A pair costs a few distances; and as many clips as can be share the released scale.
    scoring_cost = 4
    card: ClassVar[Card] = Card(
        title="HSP-MoE",
        paper="code of 2026, its paper is to come",
        year=2026,
        parity="the authors' code: outputs, losses, gradients and distances to 1e-5",
        text="CLIP and CLAP text side by side",
    )

    def __init__(self, config: HspMoeConfig, dims: Dims) -> None:
        super().__init__(config, dims)
        if config.reads_frozen_text and dims.text != dims.visual + dims.audio:
            raise EzavError(
                f"HSP-MoE needs class vectors of {dims.visual} + {dims.audio} dimensions, the text"
                f" of both features' own spaces; they have {dims.text}",
                "use class embeddings of CLIP and CLAP side by side, or leave the frozen text out:"
                " `config.frozen_share=0` and `config.distribution_weight=0`",
            )
        self.network = HspMoeNetwork(dims, config)

    def sample(self, audio: Tokens, visual: Tokens) -> Tensor:
        """The clips' vectors, visual then audio, `[B, D]`."""
        return torch.cat([self.visual_input(visual), self.audio_input(audio)], dim=1)

    @property
    def log_pass(self) -> bool:
        return self.config.released_norm_passes

    def loss_parts(self, batch: Batch) -> dict[str, Tensor]:
        return self.network.loss_parts(
            self.sample(batch.audio, batch.visual),
            batch.class_embeddings,
            batch.labels,
            detach_target=self.config.detach_target,
        )

    def embed(self, audio: Tokens, visual: Tokens, text: Tensor) -> tuple[Tensor, Tensor]:
        return self.network.embed(self.sample(audio, visual), text)

    def scores(self, audio: Tokens, visual: Tokens, class_embeddings: Tensor) -> Tensor:
        """Minus the distances of the network and of the frozen features, fused, `[N, C]`."""
        return self.network.scores(self.sample(audio, visual), class_embeddings)


METHOD = HspMoe
