"""The closed form of ESZSL (Romera-Paredes and Torr, ICML 2015, equation 8)."""

from __future__ import annotations

import torch
from torch import Tensor

_BLOCK = 2048


def bilinear_ridge(
    features: Tensor,
    labels: Tensor,
    classes: Tensor,
    *,
    feature_ridge: float,
    class_ridge: float,
    signed: bool = False,
    balanced: bool = False,
) -> Tensor:
    """The V `[D, A]` that minimises

    `|X^T V S - Y|^2 + r_x |V S|^2 + r_s |X^T V|^2 + r_x r_s |V|^2`,

    which is `(X X^T + r_x I)^-1 X Y S^T (S S^T + r_s I)^-1` with clips as columns of X and
    classes as columns of S.

    Args:
        features: `[N, D]`, one row a clip.
        labels: long `[N]`, rows of `classes`.
        classes: `[C, A]`.
        feature_ridge, class_ridge: r_x and r_s, positive.
        signed: targets Y are 1 and -1, else 1 and 0.
        balanced: a clip weighs `N / (C n_c)`, n_c being the clips of its class.

    Example:
        >>> V = bilinear_ridge(torch.eye(2), torch.tensor([0, 1]), torch.eye(2),
        ...                    feature_ridge=1.0, class_ridge=1.0)
        >>> V.tolist()
        [[0.25, 0.0], [0.0, 0.25]]
    """
    count = torch.bincount(labels, minlength=len(classes))
    weight = torch.ones(len(labels), device=features.device)
    if balanced:
        present = int((count > 0).sum())
        weight = len(labels) / (present * count[labels].float())
    # Y only enters through the sums of x over each class: [C, D].
    per_class = torch.zeros(len(classes), features.shape[1], device=features.device)
    per_class.index_add_(0, labels, features * weight[:, None])
    right = per_class.T.double() @ classes.double()
    if signed:
        right = 2 * right - per_class.sum(0).double().outer(classes.sum(0).double())
    gram = torch.zeros(features.shape[1], features.shape[1], dtype=torch.float64)
    gram = gram.to(features.device)
    for x, w in zip(features.split(_BLOCK), weight.split(_BLOCK)):
        # Products in float32 for speed, their sum in float64: the ridge may be 1e-3 beside
        # eigenvalues of 1e5.
        gram += (x * w[:, None]).T @ x
    left = _ridged(gram, feature_ridge)
    class_gram = classes.T.double() @ classes.double()
    solved = torch.cholesky_solve(right, torch.linalg.cholesky(left))
    chol = torch.linalg.cholesky(_ridged(class_gram, class_ridge))
    return torch.cholesky_solve(solved.T, chol).T.to(features.dtype)


def _ridged(gram: Tensor, ridge: float) -> Tensor:
    # Sums of float32 products are symmetric only up to rounding.
    gram = (gram + gram.T) / 2
    return gram + ridge * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
