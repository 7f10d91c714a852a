"""One training in which the validation clips choose the epoch, and one that follows a choice."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ezav.features.feature_set import FeatureSet
from ezav.protocol.by_folds import Make
from ezav.protocol.epochs import EpochWanted, Steps
from ezav.protocol.evaluation import StageModel
from ezav.protocol.films import Held, lasts
from ezav.protocol.stages import Stage
from ezav.protocol.validation import Best, Chosen, ValidationEpoch
from ezav.training.checkpoint import Checkpoint
from ezav.training.config import TrainingConfig
from ezav.training.trainer import EpochLog

Progress = Callable[[int, int, ValidationEpoch | EpochLog], None]
"""Called after each epoch with the stage (1 or 2), the epochs to come at most, and the epoch."""


def best_epoch(
    stage: Stage,
    clips: FeatureSet,
    make: Make,
    training: TrainingConfig,
    state: dict[str, Any],
    keeper: Checkpoint,
    on_epoch: Progress,
) -> Steps[Best]:
    """Train on a stage's clips; keep the epoch and gamma with the best HM on `clips`.

    Args:
        stage: what is trained on, and the classes.
        clips: what decides; labels are rows of the stage's classes. No test clip.
        make: builds the trainer of a stage, and its model.
        training: says how many epochs, and when to stop.
        state: what a checkpoint held; empty: begin.
        keeper: where the state goes.
        on_epoch: told of every epoch.
    """
    begun = time.perf_counter()
    done = Best.restore(state.get("validated"), stage, clips)
    if done is not None and "stage_2" in state:
        return done
    trainer, model = make(stage)
    if done is not None:
        trainer.restore(state["stage_1"])
        begun -= done.seconds
    epochs = training.epochs if model.method.trainable else 1
    timed = lasts(clips)
    while done is None or not done.is_over(epochs, training.patience):
        log = yield EpochWanted(trainer)
        model.learn_on(clips)
        evaluation = model.evaluate(clips)
        curve = evaluation.curve()
        if done is None:
            done = Best(evaluation, curve.gamma, curve.best_hm, log.epoch, [], 0.0, {})
            done.learned, done.weights = model.learned(), model.weights() if timed else {}
        elif curve.best_hm > done.HM:
            done.evaluation, done.gamma = evaluation, curve.gamma
            done.HM, done.epoch = curve.best_hm, log.epoch
            done.learned, done.weights = model.learned(), model.weights() if timed else {}
        done.history.append(ValidationEpoch(log, curve.best_hm, curve.gamma))
        trainer.report(curve.best_hm)
        done.seconds = time.perf_counter() - begun
        on_epoch(1, epochs, done.history[-1])
        keeper.save(lambda now=done: {"validated": now.state(), "stage_1": trainer.state()})
    model.take(done.weights)
    done.held = Held(model, clips)
    return done


def follow(
    stage: Stage,
    chosen: Chosen,
    make: Make,
    stored: dict[str, Any],
    state: dict[str, Any],
    keeper: Checkpoint,
    on_epoch: Progress,
) -> Steps[tuple[StageModel, float]]:
    """Train from scratch as validation chose; the model, and the seconds.

    Args:
        stage: what is trained on: train + val.
        chosen: the epochs, their learning rates, and what the method itself learned.
        make: as for :func:`best_epoch`.
        stored: `chosen` as the checkpoint keeps it beside the state of training.
        state: what a checkpoint held; empty: begin.
        keeper: where the state goes.
        on_epoch: told of every epoch.
    """
    begun = time.perf_counter()
    trainer, model = make(stage)
    if "stage_2" in state:
        trainer.restore(state["stage_2"])
        begun -= state.get("seconds", 0.0)
    while trainer.epoch < chosen.epoch:
        rate = chosen.history[trainer.epoch].log.learning_rate
        log = yield EpochWanted(trainer, rate)
        on_epoch(2, chosen.epoch, log)
        seconds = time.perf_counter() - begun
        keeper.save(lambda now=seconds: {**stored, "stage_2": trainer.state(), "seconds": now})
    model.method.take_over(chosen.learned)
    return model, time.perf_counter() - begun
