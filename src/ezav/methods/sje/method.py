"""SJE: structured joint embedding, the worst violator counts."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from ezav.methods.common.card import Card
from ezav.methods.common.compatibility import Compatibility


class SJE(Compatibility):
    """Bilinear compatibility; only the most violating class counts."""

    card: ClassVar[Card] = Card(
        title="SJE",
        paper="Akata, Reed, Walter, Lee, Schiele, CVPR 2015",
        year=2015,
        parity="a naive loop over the paper's equations",
    )

    def ranking_loss(self, violations: Tensor) -> Tensor:
        """`mean_i max_c h_ic`."""
        return violations.amax(dim=1).mean()


METHOD = SJE
