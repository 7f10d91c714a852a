"""Hyper-alignment, Hyper-single and Hyper-multiple: AVCA with a hyperbolic alignment loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ezav.errors import EzavError
from ezav.methods.avca.method import AVCA, AVCAConfig
from ezav.methods.base import Batch, Loss
from ezav.methods.common.card import Card
from ezav.methods.common.losses import summed
from ezav.methods.hyperbolic.alignment import Kernel, alignment_loss
from ezav.methods.hyperbolic.network import HyperbolicNetwork


@dataclass(frozen=True, kw_only=True, slots=True)
class HyperbolicConfig(AVCAConfig):
    """AVCA's hyper-parameters and those of the alignment."""

    curvatures: int = 2
    """Learned curvatures: 0 is Hyper-alignment (fixed), 1 Hyper-single, more Hyper-multiple."""
    curvature: float = 0.2
    """The fixed curvature, or the largest a learned one can be; positive."""
    kernel: Kernel = "geodesic"
    """How clips of one modality are compared. As released: 'cosine', in which the curvature has
    no effect, or before 2024-07-05 'norm_product'."""
    alignment_weight: float = 1e-3
    """Weight of the alignment loss."""

    def __post_init__(self) -> None:
        if self.curvature <= 0:
            raise EzavError(f"curvature must be positive, it is {self.curvature}")
        if self.curvatures < 0:
            raise EzavError(f"curvatures must not be negative, it is {self.curvatures}")


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
        return HyperbolicNetwork(
            self.dims.audio,
            self.dims.visual,
            self.dims.text,
            curvatures=self.config.curvatures,
            scale=self.config.curvature,
            **self.network_settings(),
        )

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
