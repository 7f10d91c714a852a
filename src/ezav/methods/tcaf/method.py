"""TCaF: temporal and cross-modal attention for audio-visual zero-shot learning."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ezav.features.tokens import Tokens
from ezav.methods.base import Batch, Dims, Loss, Method
from ezav.methods.common.card import Card
from ezav.methods.common.crop import crop
from ezav.methods.common.log_pass import LogPass
from ezav.methods.common.losses import summed
from ezav.methods.tcaf.network import TCaFNetwork


@dataclass(frozen=True, kw_only=True, slots=True)
class TCaFConfig:
    """Hyper-parameters of TCaF; the defaults are the authors' for UCF with C3D and VGGish."""

    dim: int = 300
    """Size of a token."""
    encoder_hidden: int = 512
    """Hidden size of the per-step encoders."""
    decoder_hidden: int = 512
    """Hidden size of the output's projection and decoder."""
    out_dim: int = 64
    """Size of the space shared with the text."""
    depth: int = 6
    """Layers of the transformer."""
    heads: int = 8
    """Attention heads."""
    head_dim: int = 64
    """Size of an attention head."""
    mlp_dim: int = 128
    """Hidden size of the feed-forward parts."""
    code_dim: int = 64
    """Size of the modality and time code."""
    encoder_dropout: float = 0.3
    """Dropout in the per-step encoders."""
    decoder_dropout: float = 0.1
    """Dropout in the output's projection and decoder."""
    text_dropout: float = 0.1
    """Dropout in the text's projection and decoder."""
    transformer_dropout: float = 0.3
    """Dropout in the transformer."""
    token_dropout: float = 0.2
    """Dropout on the tokens."""
    audio_divisor: float = 1.0
    """Audio features are divided by this; 255 for VGGish's 8-bit features."""
    visual_norm: Literal["feature", "time", "none"] = "feature"
    """Unit length for every step's visual vector; 'time', as released, gives each coordinate unit
    length over the steps of a clip; 'none' leaves the features alone."""
    crop_seconds: float | None = None
    """Train on a random window of this length; None trains on whole clips."""
    evaluation_crop_seconds: float | None = None
    """Score the middle window of this length; None scores whole clips."""
    audio_crop_scale: float = 1.0
    """Audio window as a share of the visual one; as released 0.9216 (0.96 squared)."""
    restart_times: bool = False
    """As released: each modality's first token is at time 0, whatever its real time."""
    evaluation_times: Literal["seconds", "steps"] = "seconds"
    """'steps', as released, scores with 0, 1, 2, ... where it trained with seconds."""
    encode_padding: bool = False
    """As released: padding passes the encoders and moves BatchNorm's statistics."""
    released_norm_passes: bool = False
    """As released: embed each batch once more for the log, which moves the running statistics of
    BatchNorm and nothing else."""


class TCaF(LogPass, Method):
    """A transformer in which tokens attend to the other modality only; the class token scores.

    Example:
        >>> method = TCaF(TCaFConfig(depth=1), Dims(audio=4, visual=6, text=5)).eval()
        >>> audio = Tokens(torch.rand(2, 3, 4), torch.ones(2, 3).bool(), torch.rand(2, 3))
        >>> visual = Tokens(torch.rand(2, 7, 6), torch.ones(2, 7).bool(), torch.rand(2, 7))
        >>> method.scores(audio, visual, torch.rand(9, 5)).shape
        torch.Size([2, 9])
    """

    Config = TCaFConfig
    config: TCaFConfig
    temporal = True
    card: ClassVar[Card] = Card(
        title="TCaF",
        paper="Mercea, Hummel, Koepke, Akata, ECCV 2022",
        year=2022,
        parity="the authors' code: outputs, losses and gradients to 1e-5",
    )

    def __init__(self, config: TCaFConfig, dims: Dims) -> None:
        super().__init__(config, dims)
        self.network = TCaFNetwork(
            dims.audio,
            dims.visual,
            dims.text,
            dim=config.dim,
            encoder_hidden=config.encoder_hidden,
            decoder_hidden=config.decoder_hidden,
            out_dim=config.out_dim,
            depth=config.depth,
            heads=config.heads,
            head_dim=config.head_dim,
            mlp_dim=config.mlp_dim,
            code_dim=config.code_dim,
            encoder_dropout=config.encoder_dropout,
            decoder_dropout=config.decoder_dropout,
            text_dropout=config.text_dropout,
            transformer_dropout=config.transformer_dropout,
            token_dropout=config.token_dropout,
        )

    def output(self, audio: Tokens, visual: Tokens, *, steps: bool = False) -> Tensor:
        """The class token of clips, `[B, dim]`; `steps` replaces seconds by token numbers."""
        config = self.config
        window = config.crop_seconds if self.training else config.evaluation_crop_seconds
        if window is not None:
            audio, visual = crop(
                audio,
                visual,
                window,
                random=self.training,
                audio_scale=config.audio_crop_scale,
            )
        audio = replace(audio, values=audio.values / config.audio_divisor)
        if config.visual_norm != "none":
            dim = -1 if config.visual_norm == "feature" else 1
            visual = replace(visual, values=F.normalize(visual.values, dim=dim))
        if steps:
            audio, visual = _with_step_times(audio), _with_step_times(visual)
        elif config.restart_times:
            audio, visual = _from_zero(audio), _from_zero(visual)
        output: Tensor = self.network(audio, visual, config.encode_padding)
        return output

    def loss(self, batch: Batch) -> Loss:
        """Cross-entropy over the training classes, regression and reconstruction."""
        self.catch_up()
        head, text = self.network.head, batch.class_embeddings[batch.labels]
        output = self.output(batch.audio, batch.visual)
        parts = head.loss_parts(output, text, batch.class_embeddings, batch.labels)
        if self.config.released_norm_passes:
            steps = self.config.evaluation_times == "steps"
            self.after_the_step(
                lambda: head.embed(self.output(batch.audio, batch.visual, steps=steps), text)
            )
        return summed(parts)

    def scores(self, audio: Tokens, visual: Tokens, class_embeddings: Tensor) -> Tensor:
        """`-|theta_o - theta_w|`, `[N, C]`."""
        output = self.output(audio, visual, steps=self.config.evaluation_times == "steps")
        return self.network.head.scores(output, class_embeddings)


def _with_step_times(tokens: Tokens) -> Tokens:
    steps = torch.arange(tokens.times.shape[1], device=tokens.times.device)
    return replace(tokens, times=steps.to(tokens.times.dtype).expand_as(tokens.times))


def _from_zero(tokens: Tokens) -> Tokens:
    return replace(tokens, times=tokens.times - tokens.times[:, :1])


METHOD = TCaF
