"""The settings of Hyper-alignment, Hyper-single and Hyper-multiple."""

from __future__ import annotations

from dataclasses import dataclass

from ezav.errors import EzavError
from ezav.methods.avca.config import AVCAConfig
from ezav.methods.hyperbolic.alignment import Kernel


@dataclass(frozen=True, kw_only=True, slots=True)
class HyperbolicConfig(AVCAConfig):
    """AVCA's hyper-parameters and those of the alignment."""

    curvatures: int = 2
    """Learn so many curvatures: 0 is Hyper-alignment (fixed), 1 Hyper-single, more
    Hyper-multiple."""
    curvature: float = 0.2
    """Fix the curvature here, or bound a learned one by it; positive."""
    kernel: Kernel = "geodesic"
    """Compare clips of one modality in this way. As released it is 'cosine', in which the curvature
    has no effect, or before 2024-07-05 'norm_product'."""
    alignment_weight: float = 1e-3
    """Weigh the alignment loss by this much."""

    def __post_init__(self) -> None:
        if self.curvature <= 0:
            raise EzavError(f"curvature must be positive, it is {self.curvature}")
        if self.curvatures < 0:
            raise EzavError(f"curvatures must not be negative, it is {self.curvatures}")
