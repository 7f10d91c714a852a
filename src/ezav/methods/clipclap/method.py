"""ClipClap: audio-visual GZSL with pre-trained large multi-modal models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from ezav.errors import EzavError
from ezav.features.tokens import Tokens
from ezav.methods.base import Batch, Dims, Loss, Method
from ezav.methods.clipclap.network import ClipClapNetwork
from ezav.methods.common.card import Card
from ezav.methods.common.log_pass import LogPass
from ezav.methods.common.losses import summed
from ezav.methods.common.pooled import MeanStandIn


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipClapConfig:
    """Hyper-parameters of ClipClap; the defaults are the authors'."""

    modality: Literal["both", "audio", "visual"] = "both"
    """What of a clip is used."""
    text: Literal["both", "audio", "visual"] = "both"
    """Which text is used: all of the class vector, or the part of CLAP ('audio') or CLIP
    ('visual'). The parts are told apart by size: visual first, then audio."""
    dim: int = 512
    """Size of encoded clips and texts."""
    hidden_dim: int = 512
    """Hidden size of the heads."""
    out_dim: int = 64
    """Size of the space shared by clips and texts."""
    encoder_dropout: float = 0.1
    """Dropout in the two encoders."""
    decoder_dropout: float = 0.1
    """Dropout in the clip's projection and decoder."""
    text_dropout: float = 0.1
    """Dropout in the text's projection and decoder."""
    detach_target: bool = False
    """Do not let the encoded text move towards its reconstructions; the authors let it."""
    released_norm_passes: bool = False
    """As released: embed each batch once more for the log, which moves the running statistics of
    BatchNorm and nothing else."""


class ClipClap(LogPass, Method):
    """Two perceptrons and TCaF's losses on CLIP and CLAP features and texts.

    Raises:
        EzavError: one text is asked for and the class vectors are not CLIP and CLAP side by side.
    """

    Config = ClipClapConfig
    config: ClipClapConfig
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
        self.audio_input = MeanStandIn(dims.audio)
        self.visual_input = MeanStandIn(dims.visual)
        sizes = {"visual": dims.visual, "audio": dims.audio, "both": dims.visual + dims.audio}
        if config.text != "both" and dims.text != sizes["both"]:
            raise EzavError(
                f"ClipClap's text '{config.text}' needs class vectors of {dims.visual} +"
                f" {dims.audio} dimensions, they have {dims.text}",
                "use class embeddings of CLIP and CLAP side by side, or text: both",
            )
        self.text_part = slice(None)
        if config.text == "visual":
            self.text_part = slice(0, dims.visual)
        elif config.text == "audio":
            self.text_part = slice(dims.visual, None)
        self.network = ClipClapNetwork(
            sizes[config.modality],
            dims.text if config.text == "both" else sizes[config.text],
            dim=config.dim,
            hidden_dim=config.hidden_dim,
            out_dim=config.out_dim,
            encoder_dropout=config.encoder_dropout,
            decoder_dropout=config.decoder_dropout,
            text_dropout=config.text_dropout,
        )

    @property
    def modalities(self) -> tuple[str, ...]:
        chosen = self.config.modality
        return ("audio", "visual") if chosen == "both" else (chosen,)

    def prepare(self, audio: Tokens, visual: Tokens, labels: Tensor, classes: Tensor) -> None:
        """Learn the stand-ins for a missing modality."""
        self.audio_input.fit(audio)
        self.visual_input.fit(visual)

    def sample(self, audio: Tokens, visual: Tokens) -> Tensor:
        """The clips' vectors, visual then audio, `[B, D]`."""
        if self.config.modality == "audio":
            return self.audio_input(audio)
        if self.config.modality == "visual":
            return self.visual_input(visual)
        return torch.cat([self.visual_input(visual), self.audio_input(audio)], dim=1)

    def loss(self, batch: Batch) -> Loss:
        """Cross-entropy over the training classes, regression and reconstruction."""
        self.catch_up()
        sample = self.sample(batch.audio, batch.visual)
        classes, labels = batch.class_embeddings[:, self.text_part], batch.labels
        parts = self.network.loss_parts(
            sample, classes, labels, detach_target=self.config.detach_target
        )
        if self.config.released_norm_passes:
            self.after_the_step(lambda: self.network.embed(sample, classes[labels]))
        return summed(parts)

    def scores(self, audio: Tokens, visual: Tokens, class_embeddings: Tensor) -> Tensor:
        """`-|theta_o - theta_w|`, `[N, C]`."""
        return self.network.scores(self.sample(audio, visual), class_embeddings[:, self.text_part])


METHOD = ClipClap
