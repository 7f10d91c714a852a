"""Modality dropout: of some clips of a batch, either the audio or the visual tokens are masked."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ezav.features.tokens import Tokens
from ezav.methods.base import Batch


def drop_modalities(
    batch: Batch, probability: float, stream: torch.Generator | None = None
) -> Batch:
    """Mask one modality of a clip with the given probability, never the only one it has."""
    draw = torch.rand(2, len(batch), generator=stream).to(batch.labels.device)
    both = batch.audio.present & batch.visual.present
    hit = both & (draw[0] < probability)
    first = draw[1] < 0.5
    return replace(
        batch, audio=_hide(batch.audio, hit & first), visual=_hide(batch.visual, hit & ~first)
    )


def _hide(tokens: Tokens, hidden: Tensor) -> Tokens:
    keep = ~hidden
    return Tokens(tokens.values * keep[:, None, None], tokens.mask & keep[:, None], tokens.times)
