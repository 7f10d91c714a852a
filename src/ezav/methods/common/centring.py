"""What all names, or all clips, share is taken off: it tells none of them from another."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def centred(classes: Tensor, mean: Tensor) -> Tensor:
    """Unit class vectors `[C, d]` minus `mean` `[d]`, at unit length again.

    What all names share ("a video of") tells none of them from another.

    Example:
        >>> import torch
        >>> centred(torch.tensor([[3.0, 4.0]]), torch.tensor([0.6, 0.0])).tolist()
        [[0.0, 1.0]]
    """
    return F.normalize(F.normalize(classes, dim=1) - mean, dim=1)


def aligned_scores(values: Tensor, mean: Tensor, classes: Tensor) -> Tensor:
    """Cosines `[N, C]` of clips in the text's own space with class vectors; nothing is trained.

    Args:
        values: `[N, d]`; a clip of zeros is unknown there and scores 0 everywhere.
        mean: `[d]` of the training clips at unit length: what they all share tells nothing.
        classes: as of :func:`centred`, `[C, d]`.

    Example:
        >>> import torch
        >>> clips = torch.tensor([[2.0, 0.0], [0.0, 0.0]])
        >>> aligned_scores(clips, torch.zeros(2), torch.eye(2)).tolist()
        [[1.0, 0.0], [0.0, 0.0]]
    """
    known = values.abs().amax(dim=1, keepdim=True) > 0
    unit = F.normalize(F.normalize(values, dim=1) - mean, dim=1) * known
    return unit @ classes.T
