"""TCaF: temporal and cross-modal attention for audio-visual zero-shot learning."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor

from ezav.features.tokens import Tokens
from ezav.methods.base import Dims
from ezav.methods.common.card import Card
from ezav.methods.common.crop import crop
from ezav.methods.common.temporal import TemporalMethod, VisualNorm
from ezav.methods.tcaf.config import TCaFConfig
from ezav.methods.tcaf.network import TCaFNetwork


class TCaF(TemporalMethod):
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
    network: TCaFNetwork
    card: ClassVar[Card] = Card(
        title="TCaF",
        paper="Mercea, Hummel, Koepke, Akata, ECCV 2022",
        year=2022,
        parity="the authors' code: outputs, losses and gradients to 1e-5",
    )

    def __init__(self, config: TCaFConfig, dims: Dims) -> None:
        super().__init__(config, dims)
        self.network = TCaFNetwork(dims, config)

    @property
    def log_pass(self) -> bool:
        return self.config.released_norm_passes

    @property
    def visual_norm(self) -> VisualNorm:
        return self.config.visual_norm

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
        audio, visual = self.scaled(audio, visual)
        if steps:
            audio, visual = _with_step_times(audio), _with_step_times(visual)
        elif config.restart_times:
            audio, visual = _from_zero(audio), _from_zero(visual)
        output: Tensor = self.network(audio, visual, config.encode_padding)
        return output

    def embed(self, audio: Tokens, visual: Tokens, text: Tensor) -> tuple[Tensor, Tensor]:
        output = self.output(audio, visual, steps=self.config.evaluation_times == "steps")
        return self.network.head.embed(output, text)


def _with_step_times(tokens: Tokens) -> Tokens:
    steps = torch.arange(tokens.times.shape[1], device=tokens.times.device)
    return replace(tokens, times=steps.to(tokens.times.dtype).expand_as(tokens.times))


def _from_zero(tokens: Tokens) -> Tokens:
    return replace(tokens, times=tokens.times - tokens.times[:, :1])


METHOD = TCaF
