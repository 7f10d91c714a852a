"""The settings of the training loop, shared by all methods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ezav.methods.common.config_check import check_config


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How a method is trained; the number of epochs kept is chosen on validation."""

    epochs: int = 40
    """Run stage 1 for so many epochs at most; stage 2 runs as many as were best on validation."""
    batch_size: int = 64
    """Put so many clips into a batch."""
    batches_per_epoch: int | None = None
    """Draw so many batches an epoch; by default as many as pass over the set once."""
    max_passes_per_epoch: int | None = None
    """End an epoch when as many clips were drawn as pass over the set so often, also before
    `batches_per_epoch`, which were chosen for large sets; None sets no such bound."""
    learning_rate: float = 3e-4
    """Train with this learning rate of Adam."""
    weight_decay: float = 1e-5
    """Decay weights by this much, added to the gradient as in Adam with L2 (the peers' choice)."""
    schedule: Literal["plateau", "cosine", "constant"] = "plateau"
    """Change the learning rate over epochs: times 0.1 after more than `plateau_patience` epochs
    without a better validation HM, a half cosine to zero, or constant. Stage 2 replays the rates of
    stage 1."""
    plateau_patience: int = 3
    """Let so many epochs without a better validation HM pass on the plateau schedule."""
    patience: int | None = 15
    """Stop stage 1 after so many epochs without a better validation HM; None never stops early."""
    sampling: Literal["class-balanced", "uniform"] = "class-balanced"
    """Draw classes equally often, with replacement; or every clip once an epoch."""
    modality_dropout: float = 0.0
    """Mask a clip's audio or visual tokens in a batch with this probability: never both, and never
    of a method that reads one modality only."""
    gradient_clip: float | None = None
    """Scale a gradient of a larger norm down to this one; None does not clip."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Use this arithmetic in the forward pass; bfloat16 pays on a GPU, and with wide layers and
    large batches on a processor that has it in hardware."""

    def __post_init__(self) -> None:
        check_config(self)
