"""Sequences of both modalities behind a class token, in which only the other modality is seen."""

from __future__ import annotations

import torch
from torch import Tensor

CLASS, AUDIO, VISUAL = 0, 1, 2
"""The kinds of token in the sequence `[class, audio…, visual…]`."""


def kinds_and_real(audio: Tensor, visual: Tensor) -> tuple[Tensor, Tensor]:
    """What stands where in the sequence of a class token, T_a audio and T_v visual tokens.

    Lengths come from tensors, not from lists, so that an exported graph keeps them free.

    Args:
        audio, visual: bool `[B, T_a]` and `[B, T_v]`, True where a token is real.

    Returns:
        The kinds, long `[T]` with T = 1 + T_a + T_v, and which tokens are real, bool `[B, T]`.

    Example:
        >>> kinds, real = kinds_and_real(torch.tensor([[True]]), torch.tensor([[True, False]]))
        >>> kinds.tolist(), real.tolist()
        ([0, 1, 2, 2], [[True, True, True, False]])
    """
    always = torch.ones_like(audio[:, :1])
    parts = ((always, CLASS), (audio, AUDIO), (visual, VISUAL))
    kinds = torch.cat([torch.full_like(mask[0], kind, dtype=torch.long) for mask, kind in parts])
    return kinds, torch.cat([always, audio, visual], dim=1)


def cross_modal_mask(kinds: Tensor, real: Tensor) -> Tensor:
    """Who may attend to whom: the other modality and the class token; never padding.

    Args:
        kinds: long `[T]`, CLASS, AUDIO or VISUAL.
        real: bool `[B, T]`.

    Returns:
        bool `[B, 1, T, T]`, True where token i may attend to token j. The class token attends to
        every real token. No row is empty, since the class token is always real; nobody reads what
        a padded token makes of it.

    Example:
        >>> kinds = torch.tensor([CLASS, AUDIO, VISUAL])
        >>> cross_modal_mask(kinds, torch.tensor([[True, True, True]]))[0, 0].int().tolist()
        [[1, 1, 1], [1, 0, 1], [1, 1, 0]]
    """
    different = kinds[:, None] != kinds[None, :]
    allowed = different | (kinds == CLASS)[:, None]  # [T, T]
    return (allowed[None] & real[:, None, :])[:, None]
