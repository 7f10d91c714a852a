"""A window in time cut from both modalities of each clip."""

from __future__ import annotations

import torch
from torch import Tensor

from ezav.features.tokens import Tokens


def crop(
    audio: Tokens,
    visual: Tokens,
    seconds: float,
    *,
    random: bool,
    audio_scale: float = 1.0,
) -> tuple[Tokens, Tokens]:
    """Keep the tokens in a window of `seconds`, at a random place or in the middle of each clip.

    The window is the same for both modalities, so they stay aligned; times restart at its start.
    Clips shorter than the window stay whole.

    Args:
        audio, visual: the same B clips.
        seconds: length of the window.
        random: draw the start from torch's generator, else take the centre.
        audio_scale: the audio window's length as a share of `seconds`; not 1 only to repeat the
            slip of TCaF's code, which multiplied by 0.96 where it should have divided.

    Example:
        >>> times = torch.arange(4.0)[None] + 0.5
        >>> tokens = Tokens(torch.arange(4.0)[None, :, None], torch.ones(1, 4).bool(), times)
        >>> middle, _ = crop(tokens, tokens, 2.0, random=False)
        >>> middle.values.flatten().tolist(), middle.times.tolist()
        ([1.0, 2.0], [[0.5, 1.5]])
    """
    end = torch.maximum(_end(audio), _end(visual))  # [B]
    surplus = (end - seconds).clamp(min=0)
    share = torch.rand(len(audio), device=end.device) if random else 0.5
    start = surplus * share
    return (
        _window(audio, start, seconds * audio_scale),
        _window(visual, start, seconds),
    )


def _end(tokens: Tokens) -> Tensor:
    # A token's time is its middle, so the first one's is half a step.
    times = tokens.times * tokens.mask
    return times.amax(dim=1) + times[:, 0]


def _window(tokens: Tokens, start: Tensor, seconds: float) -> Tokens:
    times = tokens.times - start[:, None]
    kept = tokens.mask & (times >= 0) & (times < seconds)
    longest = max(int(kept.sum(dim=1).max()), 1)
    # Kept tokens first, in order of time.
    order = (~kept).to(torch.int8).argsort(dim=1, stable=True)[:, :longest]
    mask = kept.gather(1, order)
    values = tokens.values.gather(1, order[..., None].expand(-1, -1, tokens.dim))
    return Tokens(values * mask[..., None], mask, times.gather(1, order) * mask)
