"""What stage 1 learns on validation: epoch, gamma, and what the method itself asks of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from ezav.features.feature_set import FeatureSet
from ezav.protocol.evaluation import Evaluation
from ezav.protocol.stages import Stage
from ezav.training.trainer import EpochLog


@dataclass(frozen=True)
class ValidationEpoch:
    """One epoch of stage 1: the training log and the best HM over gamma on validation."""

    log: EpochLog
    HM: float
    gamma: float


@dataclass(frozen=True, kw_only=True)
class Validated:
    """What stage 1 chose: the best HM on validation, its gamma and epoch, and all epochs."""

    HM: float
    gamma: float
    epoch: int
    history: tuple[ValidationEpoch, ...]


@dataclass
class Best:
    """What stage 1 has found so far: the best epoch, its gamma and scores, all epochs.

    `learned` holds what the method itself learned on validation, at the best epoch.
    """

    evaluation: Evaluation
    gamma: float
    HM: float
    epoch: int
    history: list[ValidationEpoch]
    seconds: float
    learned: dict[str, Tensor]

    def state(self) -> dict[str, Any]:
        return {
            "scores": self.evaluation.scores,
            "learned": self.learned,
            "best": [self.gamma, self.HM, self.epoch, self.seconds],
            "history": [[asdict(e.log), e.HM, e.gamma] for e in self.history],
        }

    @classmethod
    def restore(cls, state: dict[str, Any] | None, stage: Stage, clips: FeatureSet) -> Best | None:
        if state is None:
            return None
        evaluation = Evaluation(
            state["scores"], clips.labels.cpu(), stage.seen, stage.classes, clips.clips
        )
        gamma, hm, epoch, seconds = state["best"]
        history = [ValidationEpoch(EpochLog(**log), h, g) for log, h, g in state["history"]]
        return cls(evaluation, gamma, hm, epoch, history, seconds, state["learned"])
