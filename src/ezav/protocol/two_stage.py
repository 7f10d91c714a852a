"""The two-stage protocol (Mercea et al., CVPR 2022), as an object that cannot leak.

Stage 1 trains on `train` and chooses the number of epochs and gamma on validation; stage 2 trains
again from scratch on `train + val` for that number of epochs. Test clips are read by
`FittedProtocol.test` alone, and a `FittedProtocol` comes from validation alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from ezav.classes.embeddings import ClassEmbeddings
from ezav.classes.recipe import ClassEmbeddingRecipe
from ezav.errors import EzavError
from ezav.features.feature_set import FeatureSet
from ezav.features.store import FeatureStore
from ezav.methods import registry
from ezav.methods.base import Dims, Method
from ezav.metrics import SeenUnseenCurve, seen_unseen_curve
from ezav.protocol.stages import Stage, read_evaluation, read_stage
from ezav.training.config import TrainingConfig
from ezav.training.scoring import score_all
from ezav.training.trainer import EpochLog, Trainer, build_method


@dataclass(frozen=True)
class ValidationEpoch:
    """One epoch of stage 1: the training log and the best HM over gamma on validation."""

    log: EpochLog
    HM: float
    gamma: float


@dataclass(frozen=True)
class Evaluation:
    """Scores of evaluation clips, and what they were compared with.

    Attributes:
        scores: `[N, C]`, higher is better.
        targets: long `[N]`, rows of the C classes.
        seen: bool `[C]`.
        classes: C names.
        clips: N clip ids.
    """

    scores: Tensor
    targets: Tensor
    seen: Tensor
    classes: tuple[str, ...]
    clips: tuple[str, ...]

    def curve(self) -> SeenUnseenCurve:
        """The exact seen-unseen curve of these scores."""
        return seen_unseen_curve(self.scores, self.targets, self.seen)


@dataclass(frozen=True)
class StageModel:
    """A trained method with the class embeddings it was trained with (all of the stage)."""

    method: Method
    classes: ClassEmbeddings
    seen: Tensor

    def evaluate(self, clips: FeatureSet) -> Evaluation:
        scores = score_all(self.method, clips, self.classes.vectors)
        return Evaluation(scores, clips.labels.cpu(), self.seen, self.classes.names, clips.clips)


Progress = Callable[[int, int, ValidationEpoch | EpochLog], None]
"""Called after each epoch with the stage (1 or 2), the epochs to come at most, and the epoch."""


def _silent(stage: int, epochs: int, epoch: ValidationEpoch | EpochLog) -> None:
    return None


@dataclass(kw_only=True)
class TwoStageProtocol:
    """One method, one store, one seed.

    Example:
        >>> TwoStageProtocol(method="ez_avgzl", seed=1).seed
        1
    """

    method: str
    config: Any = None
    training: TrainingConfig = field(default_factory=TrainingConfig)
    seed: int = 0
    device: str = "cpu"
    text_encoder: str | None = None
    """Which of the store's class embeddings to use; by default its first."""

    def _class_embeddings(self, stage: Stage) -> ClassEmbeddings:
        recipe = getattr(self._config(), "classes", None) or ClassEmbeddingRecipe(source="raw")
        return recipe.prepare(stage.text, seed=self.seed)

    def _config(self) -> Any:
        return registry.get(self.method).Config() if self.config is None else self.config

    def _trainer(self, stage: Stage) -> tuple[Trainer, StageModel]:
        classes = self._class_embeddings(stage)
        method = build_method(
            registry.get(self.method),
            self._config(),
            Dims(audio=stage.train.audio.dim, visual=stage.train.visual.dim, text=classes.dim),
            self.seed,
        ).to(self.device)
        trainer = Trainer(
            method, stage.train, classes.vectors[stage.seen], self.training, self.seed
        )
        return trainer, StageModel(method, classes, stage.seen)

    def fit(self, store: FeatureStore, on_epoch: Progress = _silent) -> FittedProtocol:
        """Both stages: choose epochs and gamma on validation, then train on train + val.

        No test clip is read; of the unseen test classes only the names are known.

        Raises:
            EzavError: the store does not fit the protocol or the method.
        """
        started = time.perf_counter()
        stage = read_stage(store, 1, self.text_encoder)
        validation_clips = read_evaluation(store, stage)
        trainer, model = self._trainer(stage)
        history: list[ValidationEpoch] = []
        best: tuple[Evaluation, SeenUnseenCurve] | None = None
        for _ in range(self.training.epochs if model.method.trainable else 1):
            log = trainer.run_epoch()
            evaluation = model.evaluate(validation_clips)
            curve = evaluation.curve()
            if best is None or curve.best_hm > best[1].best_hm:
                best, best_epoch = (evaluation, curve), log.epoch
            history.append(ValidationEpoch(log, curve.best_hm, curve.gamma))
            trainer.report(curve.best_hm)
            on_epoch(1, self.training.epochs, history[-1])
            if self._stops(log.epoch - best_epoch):
                break
        assert best is not None
        validated = time.perf_counter()

        trainer, model = self._trainer(read_stage(store, 2, self.text_encoder))
        for epoch in history[:best_epoch]:
            on_epoch(2, best_epoch, trainer.run_epoch(epoch.log.learning_rate))
        return FittedProtocol(
            protocol=self,
            store=store,
            model_=model,
            gamma_=best[1].gamma,
            epoch_=best_epoch,
            validation_=best[0],
            history_=tuple(history),
            seconds={
                "stage_1": validated - started,
                "stage_2": time.perf_counter() - validated,
            },
            _made_by=_VALIDATION,
        )

    def _stops(self, epochs_since_best: int) -> bool:
        return self.training.patience is not None and epochs_since_best >= self.training.patience


_VALIDATION = object()
"""Proof that `TwoStageProtocol.fit` made a `FittedProtocol`."""


@dataclass(frozen=True, kw_only=True)
class FittedProtocol:
    """A method whose epoch and gamma were learned on validation: the only thing that can test.

    Attributes:
        model_: the stage-2 model.
        gamma_, epoch_: learned in stage 1.
        validation_: the stage-1 scores of the validation clips at that epoch.
        history_: the epochs of stage 1.

    Raises:
        EzavError: made by anything but :meth:`TwoStageProtocol.fit`.
    """

    protocol: TwoStageProtocol
    store: FeatureStore
    model_: StageModel
    gamma_: float
    epoch_: int
    validation_: Evaluation
    history_: tuple[ValidationEpoch, ...]
    seconds: dict[str, float]
    _made_by: object = None

    def __post_init__(self) -> None:
        if self._made_by is not _VALIDATION:
            raise EzavError(
                "a protocol is fitted by TwoStageProtocol.fit only",
                "gamma and the epoch must come from validation",
            )

    def test(self) -> Evaluation:
        """Scores of the test clips, all classes of stage 2 being candidates."""
        stage = read_stage(self.store, 2, self.protocol.text_encoder)
        return self.model_.evaluate(read_evaluation(self.store, stage))
