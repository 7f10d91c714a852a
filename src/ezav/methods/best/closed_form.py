"""Closed forms: a ridge classifier of the seen classes, carried to all names by their text.

Every form is `x W (k(s, s) + r I)^-1 k(s, t)`: W `[D, S]` tells the S seen classes s apart, and the
rest is what each of them says about any name t. The forms differ in the kernel k and the ridge r;
ESZSL is the linear one.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SAME = 1 - 1e-5
"""Cosine from which two class vectors are one class."""


class UnitInput(nn.Module):
    """One modality, standardised on the training clips, at unit length; zeros where it is missing.

    Example:
        >>> unit = UnitInput(2)
        >>> unit.fit(torch.tensor([[0.0, 1.0], [2.0, 1.0]]), torch.tensor([True, True]))
        >>> unit(torch.tensor([[2.0, 1.0], [9.0, 9.0]]), torch.tensor([True, False])).tolist()
        [[1.0, 0.0], [0.0, 0.0]]
    """

    mean_: Tensor
    scale_: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("mean_", torch.zeros(dim))
        self.register_buffer("scale_", torch.ones(dim))

    def fit(self, values: Tensor, present: Tensor) -> None:
        """Learn mean and scale of the clips `[N, dim]` that have the modality."""
        rows = values[present].double()
        if not len(rows):
            return
        spread = rows.std(dim=0, correction=0)
        floor = 0.1 * spread.mean()  # a nearly constant dimension is not blown up
        self.mean_.copy_(rows.mean(dim=0))
        self.scale_.copy_(spread + floor if floor > 0 else torch.ones_like(spread))

    def forward(self, values: Tensor, present: Tensor) -> Tensor:
        unit = F.normalize((values - self.mean_) / self.scale_, dim=1)
        return unit * present[:, None]


def seen_classifier(inputs: Tensor, labels: Tensor, classes: int, ridge: float = 1.0) -> Tensor:
    """Ridge regression onto one-hot labels: `W [D, S]` of `X W = K (K + ridge I)^-1 Y`, K = X X^T.

    Solved over clips or over dimensions, whichever are fewer, in float64.

    Args:
        inputs: `[N, D]`.
        labels: long `[N]`, rows of the classes.
        classes: S.
        ridge: penalty, above 0.

    Example:
        >>> seen_classifier(torch.eye(2), torch.tensor([0, 1]), 2).tolist()
        [[0.5, 0.0], [0.0, 0.5]]
    """
    x = inputs.double()
    one_hot = F.one_hot(labels, classes).to(x)
    if len(x) <= x.shape[1]:
        gram = x @ x.T
        gram.diagonal().add_(ridge)
        solved: Tensor = x.T @ torch.linalg.solve(gram, one_hot)
    else:
        gram = x.T @ x
        gram.diagonal().add_(ridge)
        solved = torch.linalg.solve(gram, x.T @ one_hot)
    return solved.to(inputs.dtype)


def linear_kernel(classes: Tensor, others: Tensor) -> Tensor:
    """Cosines `[C, O]`: with ridge 1 the form is ESZSL's. Vectors as of :func:`centred`.

    Example:
        >>> linear_kernel(torch.eye(2), torch.eye(2)).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    return classes @ others.T


def gaussian_kernel(classes: Tensor, others: Tensor) -> Tensor:
    """`exp(2 (cos - 1))`: near names say more than far ones.

    Example:
        >>> round(float(gaussian_kernel(torch.eye(2)[:1], torch.eye(2)[1:])), 4)
        0.1353
    """
    return (2 * (classes @ others.T - 1)).exp()


def identity_kernel(classes: Tensor, others: Tensor) -> Tensor:
    """`cos + 3 · [one class]`: what a seen class says of itself weighs more.

    Example:
        >>> identity_kernel(torch.eye(2), torch.eye(2)).tolist()
        [[4.0, 0.0], [0.0, 4.0]]
    """
    cosine = classes @ others.T
    return cosine + 3 * (cosine > SAME)


def carried(weight: Tensor, own: Tensor, ridge: float) -> Tensor:
    """`W (own + ridge I)^-1`, `[D, S]`: times a kernel of seen classes and names, the scores.

    Args:
        weight: :func:`seen_classifier`'s `[D, S]`.
        own: kernel `[S, S]` of the seen classes with themselves.
        ridge: penalty, above 0.

    Example:
        >>> carried(torch.eye(2), torch.eye(2), ridge=1.0).tolist()
        [[0.5, 0.0], [0.0, 0.5]]
    """
    own = own.double()
    regular = own + ridge * torch.eye(len(own), dtype=own.dtype, device=own.device)
    solved: Tensor = torch.linalg.solve(regular, weight.double().T)
    return solved.T.to(weight.dtype)
