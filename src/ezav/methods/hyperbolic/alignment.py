"""The alignment of two modalities through a similarity matrix each, after a hyperbolic map."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ezav.methods.hyperbolic.poincare import clip_to_ball, log0, tangent_distances

Kernel = Literal["geodesic", "cosine", "norm_product"]


def kernel_matrix(x: Tensor, c: Tensor, kernel: Kernel) -> Tensor:
    """How the B clips of one modality relate, `[B, B]`.

    - 'geodesic' (this implementation's own): geodesic distances over their mean. Features are
      tangent vectors at the origin, over `sqrt(d)` so that their length does not grow with d; two
      clips are compared at the mean of their curvatures.
    - 'cosine' (the released code since 2024-07-05): cosines of `log0(clip_to_ball(x))`. That map
      only rescales each row, so c has no effect: these are the cosines of x.
    - 'norm_product' (the released code before): products of the norms of the same; c matters, but
      directions do not.

    Args:
        x: `[B, d]`.
        c: curvature of each clip, `[B]`.
        kernel: which of the three.
    """
    if kernel == "geodesic":
        distances = tangent_distances(x / x.shape[1] ** 0.5, (c[:, None] + c[None, :]) / 2)
        return distances / distances.mean().clamp(min=1e-12)
    # In bfloat16 a point just inside the ball lies on its rim, which log0 sends to infinity.
    x, c = (one.to(torch.promote_types(one.dtype, torch.float32)) for one in (x, c))
    mapped = log0(clip_to_ball(x, c[:, None]), c[:, None])
    if kernel == "cosine":
        mapped = F.normalize(mapped, dim=1)
        return mapped @ mapped.T
    norm: Tensor = mapped.norm(dim=1)
    return norm[:, None] * norm[None, :]


def alignment_loss(phi_a: Tensor, phi_v: Tensor, curvatures: Tensor, kernel: Kernel) -> Tensor:
    """Mean squared difference of the two modalities' matrices, averaged over the curvatures.

    Args:
        phi_a, phi_v: encoded modalities of B clips, `[B, d]`.
        curvatures: `[B, k]`, positive.
        kernel: see :func:`kernel_matrix`.

    Example:
        >>> import torch
        >>> x = torch.rand(3, 4)
        >>> alignment_loss(x, 2 * x, torch.full((3, 1), 0.1), "cosine").item() < 1e-10
        True
    """
    losses = [
        F.mse_loss(kernel_matrix(phi_v, c, kernel), kernel_matrix(phi_a, c, kernel))
        for c in curvatures.unbind(dim=1)
    ]
    return sum(losses[1:], losses[0]) / len(losses)
