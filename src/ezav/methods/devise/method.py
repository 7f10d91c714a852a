"""DeViSE: a linear map to word vectors with a sum of hinges."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from ezav.methods.common.card import Card
from ezav.methods.common.compatibility import Compatibility


class DeViSE(Compatibility):
    """Bilinear compatibility; every violating class counts."""

    card: ClassVar[Card] = Card(
        title="DeViSE",
        paper="Frome et al., NIPS 2013",
        year=2013,
        parity="a naive loop over the paper's equations",
    )

    def ranking_loss(self, violations: Tensor) -> Tensor:
        """`mean_i sum_c h_ic`."""
        return violations.sum(dim=1).mean()


METHOD = DeViSE
