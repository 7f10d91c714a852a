"""What stage 1 learns on validation: epoch, gamma, and what the method itself asks of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from torch import Tensor

from ezav.features.feature_set import FeatureSet
from ezav.protocol.evaluation import Evaluation
from ezav.protocol.films import Held
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


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """What stage 2 takes over from validation, however it was chosen there.

    Attributes:
        epoch, gamma: the number of epochs to train for, and what is subtracted from seen scores.
        evaluation: scores of the validation clips with them.
        history: the epochs they were chosen among, which say the learning rates too.
        learned: what the method itself learned on validation.
        seconds: how long the choice took.
        folds: the scores of every class fold, where folds chose; `evaluation` is the first.
        held: the models of these scores with the clips they were not trained on; none where the
            training that follows had begun.
    """

    epoch: int
    gamma: float
    evaluation: Evaluation
    history: tuple[ValidationEpoch, ...]
    learned: dict[str, Tensor]
    seconds: float
    folds: tuple[Evaluation, ...] = ()
    held: tuple[Held, ...] = ()


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
    weights: dict[str, Tensor] = field(default_factory=dict)
    """Of the best epoch's model; none where recordings say nothing, or nothing is trained."""

    held: Held | None = None
    """The best epoch's model with the clips that chose, once there is no further epoch."""

    def chosen(self) -> Chosen:
        """The choice, once there is no further epoch."""
        return Chosen(
            epoch=self.epoch,
            gamma=self.gamma,
            evaluation=self.evaluation,
            history=tuple(self.history),
            learned=self.learned,
            seconds=self.seconds,
            held=() if self.held is None else (self.held,),
        )

    def is_over(self, epochs: int, patience: int | None) -> bool:
        """All epochs ran, or none of the last `patience` was better."""
        ran = len(self.history)
        return ran >= epochs or (patience is not None and ran - self.epoch >= patience)

    def state(self) -> dict[str, Any]:
        return {
            "scores": self.evaluation.scores,
            "learned": self.learned,
            "weights": self.weights,
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
        weights = state.get("weights", {})  # none in a state of before
        return cls(evaluation, gamma, hm, epoch, history, seconds, state["learned"], weights)
