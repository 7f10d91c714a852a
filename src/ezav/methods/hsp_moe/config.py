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
    """Give the experts' mixture this share in a clip's direction, in [0, 1]; 0 is no mixture."""
    expert_dropout: float = 0.1
    """Set the dropout in the experts and their router."""
    router_temperature: float = 1.0
    """Divide the router's logits by this."""
    temperature: float = 0.1
    """Divide the cosines in the cross-entropy by this."""
    spherical: bool = True
    """Match by directions. Without it clips match by ClipClap's products and distances, without the
    experts."""
    radial: float = 0.0
    """Let a clip's and a class's length, against the mean of the batch, weigh its cosines in the
    cross-entropy by this much; 0 not at all (the authors' radial mode `ce`)."""
    distribution_weight: float = 0.001
    """Weigh DP by this much: class probabilities as the frozen features have them."""
    distribution_temperature: float = 2.0
    """Divide the cosines in DP by this; its value is multiplied by the square of it."""
    relation_weight: float = 0.0002
    """Weigh RP by this much: cosines between clips as the frozen features have them."""
    uniformity_weight: float = 0.0002
    """Weigh HUP by this much: clips of different classes far from each other."""
    uniformity_mode: Literal["uniformity", "preserve"] = "uniformity"
    """Move clips apart in HUP as far as possible, or (`preserve`) as far as in the frozen
    features."""
    uniformity_all_pairs: bool = False
    """Take pairs of one class into HUP too."""
    frozen_share: float = 0.5
    """Give the frozen features' distance this share in a score, in [0, 1]; 0 is the network alone,
    1 the frozen features alone."""
    released_frozen_scale: bool = False
    """Scale the frozen distances, as released, by the clips that are scored together, so that a
    clip's score depends on the others. Without it a running mean over the training batches scales
    them."""

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
