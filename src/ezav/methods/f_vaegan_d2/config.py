"""The settings of f-VAEGAN-D2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class FVAEGANConfig:
    """Hyper-parameters of f-VAEGAN-D2; the defaults are those of AVCA's comparison."""

    noise_dim: int = 300
    """Set the size of the noise."""
    hidden_dim: int = 512
    """Set the hidden size of generator and critic."""
    critic_steps: int = 5
    """Take so many critic steps for each generator step; both train on the same batches."""
    penalty: float = 10.0
    """Weigh the critic's gradient penalty by this much."""
    adversarial_weight: float = 100_000.0
    """Weigh the critic's judgement by this much against the VAE's loss, which is a sum."""
    scaling: Literal["minmax", "length"] = "minmax"
    """Scale features to [0, 1] by the training set's range, coordinate by coordinate; or, as
    released, give both modalities unit length as one, which needs features without negative
    values."""
    synthetic_per_class: int = 1000
    """Generate so many examples for each class without training clips."""
    real_per_class: int = 100
    """Keep so many training clips of each training class, drawn with replacement, for the
    classifier."""
    classifier_epochs: int = 30
    """Let the classifier pass over the examples so many times."""
    classifier_rate: float = 1e-3
    """Set the learning rate of the classifier."""
