"""KDA's alignment and knowledge-aware margin."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def average_descriptions(vectors: Tensor) -> Tensor:
    """One vector a class from those of its name and descriptions: the plain mean, as the authors.

    Args:
        vectors: `[C, K, d]`, K texts a class.

    Example:
        >>> import torch
        >>> average_descriptions(torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])).tolist()
        [[0.5, 0.5]]
    """
    return vectors.mean(dim=1)


def margin_logits(embedded: Tensor, classes: Tensor, labels: Tensor, scale: float) -> Tensor:
    """Logits `z . t_c`, to which every wrong class adds `scale * cos(t_y, t_c)`.

    A class whose description is near the right one's must be beaten by more.

    Args:
        embedded: z `[B, d]`.
        classes: `[C, d]`.
        labels: long `[B]`.
        scale: the margin of a wrong class with the same description.

    Example:
        >>> import torch
        >>> margin_logits(torch.zeros(1, 2), torch.eye(2), torch.tensor([0]), 1.0).tolist()
        [[0.0, 0.0]]
        >>> margin_logits(torch.zeros(1, 1), torch.ones(2, 1), torch.tensor([0]), 1.0).tolist()
        [[0.0, 1.0]]
    """
    unit = F.normalize(classes, dim=1)
    margins = scale * (unit[labels] @ unit.T)
    return embedded @ classes.T + margins.scatter(1, labels[:, None], 0.0)
