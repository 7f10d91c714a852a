"""One explicit training loop, shared by all methods."""

from ezav.training.config import TrainingConfig
from ezav.training.scoring import score_all
from ezav.training.trainer import EpochLog, Trainer, build_method

__all__ = ["EpochLog", "Trainer", "TrainingConfig", "build_method", "score_all"]
