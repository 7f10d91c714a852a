"""Hyper-alignment, Hyper-single and Hyper-multiple: AVCA with a hyperbolic alignment loss."""

from __future__ import annotations

from typing import ClassVar

from ezav.methods.avca.method import AVCA
from ezav.methods.base import Batch, Loss
from ezav.methods.common.card import Card
from ezav.methods.common.losses import summed
from ezav.methods.hyperbolic.alignment import alignment_loss
from ezav.methods.hyperbolic.config import HyperbolicConfig
from ezav.methods.hyperbolic.network import HyperbolicNetwork


class Hyperbolic(AVCA):
    """AVCA whose encoded modalities must arrange the clips of a batch alike in hyperbolic space."""

    Config = HyperbolicConfig
    config: HyperbolicConfig
    network: HyperbolicNetwork
    card: ClassVar[Card] = Card(
        title="Hyper-alignment / -single / -multiple",
        paper="Hong, Hayder, Han, Fang, Harandi, Petersson, ICCV 2023",
        year=2023,
        parity="AVCA by its authors' code; the alignment by Möbius addition, clip by clip",
    )

    def build_network(self) -> HyperbolicNetwork:
        return HyperbolicNetwork(self.dims, self.config)

    def loss(self, batch: Batch) -> Loss:
        """AVCA's losses and the alignment of positive and of negative clips."""
        parts, embedded = self.loss_terms(batch)
        alignment = [
            alignment_loss(phi_a, phi_v, self.network.curvatures(phi_a, phi_v), self.config.kernel)
            for phi_a, phi_v in zip(embedded.phi_a.unbind(1), embedded.phi_v.unbind(1))
        ]
        parts["alignment"] = self.config.alignment_weight * (alignment[0] + alignment[1])
        return summed(parts)


METHOD = Hyperbolic
