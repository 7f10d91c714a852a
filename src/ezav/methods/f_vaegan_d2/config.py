"""The settings of f-VAEGAN-D2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class FVAEGANConfig:
    """Hyper-parameters of f-VAEGAN-D2; the defaults are those of AVCA's comparison."""

    noise_dim: int = 300
    """Size of the noise."""
    hidden_dim: int = 512
    """Hidden size of generator and critic."""
    critic_steps: int = 5
    """Critic steps for each generator step; both train on the same batches."""
    penalty: float = 10.0
    """Weight of the critic's gradient penalty."""
    adversarial_weight: float = 100_000.0
    """Weight of the critic's judgement against the VAE's loss, which is a sum."""
    scaling: Literal["minmax", "length"] = "minmax"
    """Features to [0, 1] by the training set's range, coordinate by coordinate; as released, unit
    length for both modalities as one, which needs features without negative values."""
    synthetic_per_class: int = 1000
    """Examples generated for each class without training clips."""
    real_per_class: int = 100
    """Training clips kept for each training class, drawn with replacement, for the classifier."""
    classifier_epochs: int = 30
    """Passes of the classifier over the examples."""
    classifier_rate: float = 1e-3
    """Learning rate of the classifier."""
