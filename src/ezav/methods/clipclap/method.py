"""ClipClap: audio-visual GZSL with pre-trained large multi-modal models."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from ezav.errors import EzavError
from ezav.features.tokens import Tokens
from ezav.methods.base import Batch, Dims
from ezav.methods.clipclap.config import ClipClapConfig
from ezav.methods.clipclap.network import ClipClapNetwork
from ezav.methods.common.alignment import AlignmentMethod
from ezav.methods.common.card import Card
from ezav.methods.common.pooled import PooledMethod


class ClipClap(AlignmentMethod, PooledMethod):
    """Two perceptrons and TCaF's losses on CLIP and CLAP features and texts.

    Raises:
        EzavError: one text is asked for and the class vectors are not CLIP and CLAP side by side.
    """

    Config = ClipClapConfig
    config: ClipClapConfig
    one_modality = "modality"
    card: ClassVar[Card] = Card(
        title="ClipClap",
        paper="Kurzendörfer, Mercea, Koepke, Akata, CVPR Workshops 2024",
        year=2024,
        parity="the authors' code: outputs, losses and gradients to 1e-5",
        modalities="audio + visual, or either",
        text="CLIP and CLAP text side by side (or any)",
    )

    def __init__(self, config: ClipClapConfig, dims: Dims) -> None:
        super().__init__(config, dims)
        parts = {"both": dims.visual + dims.audio, "visual": dims.visual, "audio": dims.audio}
        if config.text != "both" and dims.text != parts["both"]:
            raise EzavError(
                f"ClipClap's text '{config.text}' needs class vectors of {dims.visual} +"
                f" {dims.audio} dimensions, they have {dims.text}",
                'use class embeddings of CLIP and CLAP side by side, or `config.text="both"`',
            )
        self.text_part = slice(None)
        if config.text == "visual":
            self.text_part = slice(0, dims.visual)
        elif config.text == "audio":
            self.text_part = slice(dims.visual, None)
        used = Dims(
            audio=0 if config.modality == "visual" else dims.audio,
            visual=0 if config.modality == "audio" else dims.visual,
            text=dims.text if config.text == "both" else parts[config.text],
        )
        self.network = ClipClapNetwork(used, config)

    @property
    def modalities(self) -> tuple[str, ...]:
        chosen = self.config.modality
        return ("audio", "visual") if chosen == "both" else (chosen,)

    def sample(self, audio: Tokens, visual: Tokens) -> Tensor:
        """The clips' vectors, visual then audio, `[B, D]`."""
        parts = []
        if self.config.modality != "audio":
            parts.append(self.visual_input(visual))
        if self.config.modality != "visual":
            parts.append(self.audio_input(audio))
        return torch.cat(parts, dim=1)

    @property
    def log_pass(self) -> bool:
        return self.config.released_norm_passes

    def loss_parts(self, batch: Batch) -> dict[str, Tensor]:
        return self.network.loss_parts(
            self.sample(batch.audio, batch.visual),
            batch.class_embeddings[:, self.text_part],
            batch.labels,
            detach_target=self.config.detach_target,
        )

    def embed(self, audio: Tokens, visual: Tokens, text: Tensor) -> tuple[Tensor, Tensor]:
        return self.network.embed(self.sample(audio, visual), text[:, self.text_part])


METHOD = ClipClap
