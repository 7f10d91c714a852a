"""ALE: label embedding with a rank-weighted loss."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from ezav.methods.common.card import Card
from ezav.methods.common.compatibility import Compatibility


def weighted_ranking_loss(violations: Tensor) -> Tensor:
    """`mean_i (beta_r / r) sum_c h_ic`, r the number of violating classes of clip i.

    `beta_r = 1 + 1/2 + ... + 1/r`: a violation counts more the fewer there are, so the top of the
    ranking matters most. The weights carry no gradient.

    Args:
        violations: hinges `[B, C]`, 0 for the right class.

    Example:
        >>> weighted_ranking_loss(torch.tensor([[0.0, 0.5, 0.3]])).item()  # 3/2 / 2 * 0.8
        0.6...
    """
    rank = (violations > 0).sum(dim=1)
    steps = torch.arange(1, violations.shape[1] + 1, device=violations.device)
    harmonic = torch.cat([steps.new_zeros(1), 1.0 / steps]).cumsum(0)
    weight = harmonic[rank] / (rank + 1e-8)
    return (weight * violations.sum(dim=1)).mean()


class ALE(Compatibility):
    """Bilinear compatibility with the weighted approximate ranking loss."""

    card: ClassVar[Card] = Card(
        title="ALE",
        paper="Akata, Perronnin, Harchaoui, Schmid, CVPR 2013 / TPAMI 2016",
        year=2013,
        parity="a naive loop over the paper's equations",
    )

    def ranking_loss(self, violations: Tensor) -> Tensor:
        return weighted_ranking_loss(violations)


METHOD = ALE
