"""Feature scales of the temporal methods."""

from __future__ import annotations

from dataclasses import replace

import torch.nn.functional as F

from ezav.features.tokens import Tokens


def scaled(
    audio: Tokens, visual: Tokens, *, audio_divisor: float, normalize_visual: bool
) -> tuple[Tokens, Tokens]:
    """Audio divided by a number (255 for VGGish's 8-bit features), visual steps at unit length.

    Example:
        >>> import torch
        >>> tokens = Tokens.pooled(torch.tensor([[3.0, 4.0]]))
        >>> a, v = scaled(tokens, tokens, audio_divisor=2.0, normalize_visual=True)
        >>> a.values.tolist(), v.values.tolist()
        ([[[1.5, 2.0]]], [[[0.6..., 0.8...]]])
    """
    audio = replace(audio, values=audio.values / audio_divisor)
    if normalize_visual:
        visual = replace(visual, values=F.normalize(visual.values, dim=-1))
    return audio, visual
