"""The closed form of ESZSL (Romera-Paredes and Torr, ICML 2015, equation 8)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ezav.errors import EzavError

_BLOCK = 2048


@dataclass(frozen=True, slots=True)
class BilinearRidge:
    """All that the solution needs of a training set, for any pair of ridges.

    The solution is the V `[D, A]` that minimises

    `|X^T V S - Y|^2 + r_x |V S|^2 + r_s |X^T V|^2 + r_x r_s |V|^2`,

    which is `(X X^T + r_x I)^-1 X Y S^T (S S^T + r_s I)^-1` with clips as columns of X and
    classes as columns of S. Each side is solved in the smaller of its two spaces:
    `(Z Z^T + r I)^-1 Z = Z (Z^T Z + r I)^-1`.

    Attributes:
        features: of fewer clips than dimensions: `X^T`, each clip by the root of its weight,
            float64 `[N, D]`; else none, `[0, D]`.
        gram: `X X^T`, float64 `[D, D]`, or `X^T X`, `[N, N]`, of fewer clips than dimensions.
        sums: `(X Y)^T`, float64 `[C, D]`, or Y^T by the roots of the weights, `[C, N]`.
        classes: `S^T`, float64 `[C, A]`.

    Example:
        >>> ridge = BilinearRidge.of(torch.eye(2), torch.tensor([0, 1]), torch.eye(2))
        >>> solution = ridge.solution(ridge.solved_for_features(1.0), 1.0)
        >>> [round(x, 6) for x in solution.diagonal().tolist()]
        [0.25, 0.25]
    """

    features: Tensor
    gram: Tensor
    sums: Tensor
    classes: Tensor

    @classmethod
    def of(
        cls,
        features: Tensor,
        labels: Tensor,
        classes: Tensor,
        *,
        signed: bool = False,
        balanced: bool = False,
    ) -> BilinearRidge:
        """Read a training set once.

        Args:
            features: `[N, D]`, one row a clip.
            labels: long `[N]`, rows of `classes`.
            classes: `[C, A]`, one row a class.
            signed: Y is 1 for the right class and -1 for others, instead of 0.
            balanced: a clip weighs `N / (C n_c)`, n_c being the clips of its class.
        """
        count = torch.bincount(labels, minlength=len(classes))
        weight = torch.ones(len(labels), device=features.device)
        if balanced:
            present = int((count > 0).sum())
            weight = len(labels) / (present * count[labels].float())
        dim = features.shape[1]
        if len(features) < dim:
            root = weight.double().sqrt()
            rooted = features.double() * root[:, None]
            targets = F.one_hot(labels, len(classes)).double()
            targets = (2 * targets - 1 if signed else targets) * root[:, None]
            return cls(rooted, rooted @ rooted.T, targets.T, classes.double())
        # Y only enters through the sums of x over each class.
        sums = torch.zeros(len(classes), dim, dtype=torch.float64, device=features.device)
        gram = torch.zeros(dim, dim, dtype=torch.float64, device=features.device)
        for x, w, y in zip(*(torch.split(one, _BLOCK) for one in (features, weight, labels))):
            # The products in float64 too: the ridge may be 1e-3 beside eigenvalues of 1e7, where
            # rounding in float32 makes others negative.
            x = x.double()
            weighted = x * w[:, None]
            gram += weighted.T @ x
            sums.index_add_(0, y, weighted)
        if signed:
            sums = 2 * sums - sums.sum(dim=0)
        return cls(gram.new_zeros(0, dim), gram, sums, classes.double())

    def solved_for_features(self, ridge: float) -> Tensor:
        """`(X X^T + r_x I)^-1 X Y`, `[D, C]`: the costly half, for every class ridge alike.

        Raises:
            RidgeTooSmall: beside this ridge the features' products are singular.
        """
        solved = torch.cholesky_solve(self.sums.T, _factor(self.gram, ridge, "features"))
        return self.features.T @ solved if len(self.features) else solved

    def solution(self, solved: Tensor, ridge: float) -> Tensor:
        """V `[D, A]` from :meth:`solved_for_features` and the ridge on the classes' side.

        Raises:
            RidgeTooSmall: beside this ridge the classes' products are singular.
        """
        return solved @ self.solved_for_classes(ridge)

    def solved_for_classes(self, ridge: float) -> Tensor:
        """`S^T (S S^T + r_s I)^-1`, `[C, A]`.

        Raises:
            RidgeTooSmall: beside this ridge the classes' products are singular.
        """
        few = len(self.classes) < self.classes.shape[1]
        gram = self.classes @ self.classes.T if few else self.classes.T @ self.classes
        factor = _factor(gram, ridge, "class embeddings")
        if few:
            return torch.cholesky_solve(self.classes, factor)
        return torch.cholesky_solve(self.classes.T, factor).T


class RidgeTooSmall(EzavError):
    """A ridge lost in the rounding of the matrix it is added to: there is no solution."""


def _factor(gram: Tensor, ridge: float, of: str) -> Tensor:
    """Cholesky factor of the ridged matrix; only its lower half is read."""
    ridged = gram + ridge * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    factor: Tensor
    factor, failed = torch.linalg.cholesky_ex(ridged)
    if int(failed):
        raise RidgeTooSmall(
            f"ESZSL has no solution: a ridge of {ridge:g} is too small for these {of}",
            "raise the exponent (alpha for features, gamma for class embeddings), or leave it to"
            " validation",
        )
    return factor
