"""The settings of HSP-MoE."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ezav.errors import EzavError
from ezav.methods.clipclap.config import NetworkConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class HspMoeConfig(NetworkConfig):
    """Hyper-parameters of HSP-MoE; the defaults are those of the authors' README."""

    expert_share: float = 0.5
    """Share of the experts' mixture in a clip's direction, in [0, 1]; 0 is no mixture."""
    expert_dropout: float = 0.1
    """Dropout in the experts and their router."""
    router_temperature: float = 1.0
    """Divides the router's logits."""
    temperature: float = 0.1
    """Divides the cosines in the cross-entropy."""
    spherical: bool = True
    """Match by directions. False: by ClipClap's products and distances, without the experts."""
    radial: float = 0.0
    """How much a clip's and a class's length, against the mean of the batch, weighs its cosines in
    the cross-entropy; 0 not at all (the authors' radial mode `ce`)."""
    distribution_weight: float = 0.001
    """Weight of DP: class probabilities as the frozen features have them."""
    distribution_temperature: float = 2.0
    """Divides the cosines in DP, whose value is multiplied by its square."""
    relation_weight: float = 0.0002
    """Weight of RP: cosines between clips as the frozen features have them."""
    uniformity_weight: float = 0.0002
    """Weight of HUP: clips of different classes far from each other."""
    uniformity_mode: Literal["uniformity", "preserve"] = "uniformity"
    """How far HUP wants them: as far as possible, or (`preserve`) as in the frozen features."""
    uniformity_all_pairs: bool = False
    """HUP takes pairs of one class too."""
    frozen_share: float = 0.5
    """Share of the frozen features' distance in a score, in [0, 1]; 0 is the network alone, 1
    the frozen features alone."""
    released_frozen_scale: bool = False
    """As released: the frozen distances are scaled by the clips that are scored together, so that
    a clip's score depends on the others. Else by a running mean over the training batches."""

    def __post_init__(self) -> None:
        for name in ("expert_share", "frozen_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise EzavError(f"{name} {getattr(self, name)} is outside [0, 1]")
        for name in ("temperature", "router_temperature", "distribution_temperature"):
            if not getattr(self, name) > 0:
                raise EzavError(f"{name} must be positive, it is {getattr(self, name)}")

    @property
    def reads_frozen_text(self) -> bool:
        """Whether class texts are compared with features, whose space they must share."""
        return self.frozen_share > 0 or self.distribution_weight > 0
