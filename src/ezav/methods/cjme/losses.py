"""CJME's loss terms."""

from __future__ import annotations

import torch
from torch import Tensor


def hinge(anchor: Tensor, positive: Tensor, negative: Tensor, margin: float) -> Tensor:
    """`max(0, |x - y| - |x - z| + margin)` for each clip, `[B]`."""
    near = torch.pairwise_distance(anchor, positive)
    far = torch.pairwise_distance(anchor, negative)
    return (near - far + margin).clamp(min=0)


def weighted_triplet(audio: Tensor, visual: Tensor, share: Tensor, broadcast: bool) -> Tensor:
    """Mean of `(1 - alpha_i) l_a,i + alpha_i l_v,i` over the batch; all `[B]`.

    `broadcast` repeats the slip of the authors' port, where alpha's shape `[B, 1]` pairs every
    clip's share with every clip's loss: the product of two means is left.

    Example:
        >>> share, ones = torch.tensor([0.0, 1.0]), torch.ones(2)
        >>> weighted_triplet(ones, 3 * ones, share, broadcast=False).item()
        2.0
    """
    if broadcast:
        share = share[:, None]
    return ((1 - share) * audio + share * visual).mean()


@torch.no_grad()
def surer_modality(audio: Tensor, visual: Tensor, table: Tensor, threshold: float = 0.1) -> Tensor:
    """What the attention should say, `[B]`: 0 where audio is surer, 1 where visual is, else 0.5.

    Sureness is the entropy of the softmax over the training classes: audio is surer if its
    entropy is lower by more than `threshold` nats.

    Args:
        audio, visual: projected clips `[B, d]`.
        table: projected training classes `[C, d]`.

    Example:
        >>> classes = torch.eye(2) * 9
        >>> surer_modality(torch.eye(2)[:1], torch.zeros(1, 2), classes).tolist()
        [0.0]
    """
    surer = _entropy(visual @ table.T) - _entropy(audio @ table.T)  # > 0: audio is surer
    half = torch.full_like(surer, 0.5)
    target = torch.where(surer > threshold, torch.zeros_like(surer), half)
    return torch.where(surer < -threshold, torch.ones_like(surer), target)


def _entropy(logits: Tensor) -> Tensor:
    log_probability = logits.log_softmax(dim=1)
    return -(log_probability.exp() * log_probability).sum(dim=1)
