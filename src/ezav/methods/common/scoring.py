"""From embeddings to scores."""

from __future__ import annotations

import torch
from torch import Tensor


def negative_distance(samples: Tensor, classes: Tensor) -> Tensor:
    """Scores `[N, C] = -|x_i - w_c|` of samples `[N, d]` for classes `[C, d]`.

    The distance is Euclidean, not squared, so that subtracting gamma from the seen scores is
    what the peers call adding beta to the seen distances. Differences are summed directly: the
    matrix-product form loses digits exactly where two classes are close.

    Example:
        >>> import torch
        >>> negative_distance(torch.zeros(1, 2), torch.tensor([[3.0, 4.0]])).tolist()
        [[-5.0]]
    """
    if torch.compiler.is_compiling():  # ONNX has no cdist
        return -(samples[:, None] - classes[None]).square().sum(dim=-1).sqrt()
    return -torch.cdist(samples, classes, compute_mode="donot_use_mm_for_euclid_dist")
