"""The choice by class folds: epoch, gamma and what a method learns itself, from all at once.

The folds train side by side. After every epoch the method learns from all of them what only
validation can tell, and the epoch counts by the folds' mean HM. Only known clips are read: those
that the final training reads too.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ezav.errors import EzavError
from ezav.features.feature_set import FeatureSet
from ezav.features.sources import source_of
from ezav.methods.base import HeldOut
from ezav.metrics.smoothed import SmoothedGamma, smoothed_gamma
from ezav.protocol.epochs import EpochWanted, Steps
from ezav.protocol.evaluation import Evaluation, StageModel
from ezav.protocol.films import Held, lasts
from ezav.protocol.folds import ClassFold, class_folds
from ezav.protocol.stages import Stage, relabel
from ezav.protocol.validation import Chosen, ValidationEpoch
from ezav.training.checkpoint import Checkpoint
from ezav.training.config import TrainingConfig
from ezav.training.scoring import score_all
from ezav.training.trainer import EpochLog, Trainer

MOST_CLIPS = 2000
"""Clips of either side that a fold evaluates: more say no more, and cost memory."""
REPEATED = 5000
"""Up to so many clips, a method that is not trained divides the classes twice."""

Make = Callable[[Stage], tuple[Trainer, StageModel]]


@dataclass(frozen=True, slots=True)
class FoldData:
    """What one fold trains on, and the known clips that it holds out."""

    stage: Stage
    held_out: FeatureSet


def fold_data(
    stage: Stage,
    folds: int,
    repeats: int,
    seed: int,
    sources: Mapping[str, str] | None = None,
) -> list[FoldData]:
    """The folds of the clips that a stage trains on.

    Args:
        stage: of it, its unseen classes stay out.
        folds: K.
        repeats: how often the classes are divided anew.
        seed: of the division.
        sources: clip -> what it was cut from; no fold trains on a source that it holds out.

    Raises:
        EzavError: see :func:`class_folds`.
    """
    known = stage.train
    text = stage.text.select(list(known.classes))
    labels, count = known.labels.cpu(), len(known.classes)
    groups = [source_of(clip, sources) for clip in known.clips] if sources else None
    made = []
    for repeat in range(repeats):
        for fold in _folds(labels, known, folds, groups, 1000 * seed + repeat):
            seen = torch.ones(count, dtype=torch.bool)
            seen[fold.unseen] = False
            own = [
                name for name, is_own in zip(known.classes, seen.tolist(), strict=True) if is_own
            ]
            held = torch.cat([_some(fold.seen_clips), _some(fold.unseen_clips)])
            part = Stage(
                number=1,
                train=relabel(known.subset(fold.train.to(known.device)), own),
                text=text,
                seen=seen,
                labels=stage.labels,
            )
            made.append(FoldData(part, known.subset(held.to(known.device))))
    return made


def _folds(
    labels: Tensor, known: FeatureSet, folds: int, groups: list[str] | None, seed: int
) -> list[ClassFold]:
    count, names = len(known.classes), known.classes
    return class_folds(labels, count, folds, groups=groups, seed=seed, names=names)


def _some(rows: Tensor) -> Tensor:
    """At most `MOST_CLIPS` of them, evenly over their order (which is by class or chance)."""
    if len(rows) <= MOST_CLIPS:
        return rows
    return rows[torch.linspace(0, len(rows) - 1, MOST_CLIPS).long()]


def choose_by_folds(
    folds: list[FoldData],
    make: Make,
    training: TrainingConfig,
    state: dict[str, Any],
    keeper: Checkpoint,
    on_epoch: Callable[[int, int, ValidationEpoch | EpochLog], None],
) -> Steps[Chosen]:
    """Train in every fold; the epoch, gamma and learned values that are best for all of them.

    Args:
        folds: at least one.
        make: builds the trainer of a stage, and its model.
        training: says how many epochs, and when to stop.
        state: what a checkpoint held; empty: begin.
        keeper: where the state goes.
        on_epoch: told of every epoch, once for all folds.
    """
    begun = time.perf_counter()
    made = [make(fold.stage) for fold in folds]
    models = [model for _, model in made]
    history: list[ValidationEpoch] = []
    best: _Found | None = None
    if "best" in state:
        history = [ValidationEpoch(EpochLog(**log), hm, g) for log, hm, g in state["history"]]
        best = _Found.restore(state["best"], folds)
        begun -= state["fold_seconds"]
        if "folds" not in state:  # it was stopped in the training that follows
            return _chosen(best, history, begun)
        for (trainer, _), one in zip(made, state["folds"], strict=True):
            trainer.restore(one)
    epochs = training.epochs if models[0].method.trainable else 1
    timed = any(lasts(fold.held_out) for fold in folds)
    while best is None or not _is_over(len(history), best.epoch, epochs, training.patience):
        logs = []
        for trainer, _ in made:
            logs.append((yield EpochWanted(trainer)))
        found = _evaluate(folds, models, logs[0].epoch)
        history.append(ValidationEpoch(_of_all(logs), found.at.HM, found.at.gamma))
        if best is None or found.at.around > best.at.around:
            best = replace(found, weights=[m.weights() for m in models] if timed else [])
        for trainer, _ in made:
            trainer.report(found.at.HM)
        on_epoch(1, epochs, history[-1])
        seconds = time.perf_counter() - begun
        keeper.save(
            lambda now=best, took=seconds: {
                "folds": [trainer.state() for trainer, _ in made],
                "history": [[asdict(e.log), e.HM, e.gamma] for e in history],
                "best": now.state(),
                "fold_seconds": took,
            }
        )
    for model, weights in zip(models, best.weights):
        model.take(weights)
    held = [Held(model, fold.held_out) for fold, model in zip(folds, models, strict=True)]
    return replace(_chosen(best, history, begun), held=tuple(held))


def _of_all(logs: Sequence[EpochLog]) -> EpochLog:
    """The epoch of all folds as one: means, and what it took together."""
    first = logs[0]
    return EpochLog(
        epoch=first.epoch,
        loss=statistics.fmean(log.loss for log in logs),
        parts={name: statistics.fmean(log.parts[name] for log in logs) for name in first.parts},
        learning_rate=first.learning_rate,
        seconds=sum(log.seconds for log in logs),
        clips=sum(log.clips for log in logs),
    )


def _chosen(best: _Found, history: list[ValidationEpoch], begun: float) -> Chosen:
    return Chosen(
        epoch=best.epoch,
        gamma=best.at.gamma,
        evaluation=best.evaluations[0],
        history=tuple(history),
        learned=best.learned,
        seconds=time.perf_counter() - begun,
        folds=tuple(best.evaluations),
    )


def stored(chosen: Chosen) -> dict[str, Any]:
    """A choice as a checkpoint keeps it while the training that follows goes on."""
    at = SmoothedGamma(chosen.gamma, math.nan, math.nan)
    found = _Found(chosen.epoch, at, chosen.learned, list(chosen.folds))
    return {
        "history": [[asdict(e.log), e.HM, e.gamma] for e in chosen.history],
        "best": found.state(),
        "fold_seconds": chosen.seconds,
    }


def _is_over(ran: int, best: int, epochs: int, patience: int | None) -> bool:
    return ran >= epochs or (patience is not None and ran - best >= patience)


@dataclass(frozen=True)
class _Found:
    """What the folds say of an epoch."""

    epoch: int
    at: SmoothedGamma
    learned: dict[str, Tensor]
    evaluations: list[Evaluation]
    weights: Sequence[dict[str, Tensor]] = ()
    """Of each fold's model, where recordings can be cut by it."""

    def state(self) -> dict[str, Any]:
        scores = [one.scores for one in self.evaluations]
        return {
            "epoch": self.epoch,
            "at": list(self.at),
            "learned": self.learned,
            "scores": scores,
            "weights": list(self.weights),
        }

    @classmethod
    def restore(cls, state: dict[str, Any], folds: list[FoldData]) -> _Found:
        evaluations = [
            _evaluation(scores, fold) for scores, fold in zip(state["scores"], folds, strict=True)
        ]
        at, weights = SmoothedGamma(*state["at"]), state.get("weights", [])
        return cls(state["epoch"], at, state["learned"], evaluations, weights)


def _evaluation(scores: Tensor, fold: FoldData) -> Evaluation:
    held = fold.held_out
    return Evaluation(scores, held.labels.cpu(), fold.stage.seen, fold.stage.classes, held.clips)


def _held_out(fold: FoldData, model: StageModel) -> HeldOut:
    vectors = model.classes.vectors
    return HeldOut(
        method=model.method,
        clips=fold.held_out,
        class_embeddings=vectors,
        seen=fold.stage.seen,
        score=lambda part: score_all(part, fold.held_out, vectors),
    )


def _evaluate(folds: list[FoldData], models: list[StageModel], epoch: int) -> _Found:
    held = [_held_out(fold, model) for fold, model in zip(folds, models, strict=True)]
    models[0].method.learn_on_folds(held)
    learned = models[0].learned()
    for model in models[1:]:
        model.method.take_over(learned)
    evaluations = [
        _evaluation(score_all(model.method, fold.held_out, model.classes.vectors), fold)
        for fold, model in zip(folds, models, strict=True)
    ]
    unit = statistics.fmean(float(one.scores.double().std()) for one in evaluations)
    if not unit > 0:
        raise EzavError("every class has the same score in every fold: nothing can be chosen")
    at = smoothed_gamma([(one.scores, one.targets, one.seen) for one in evaluations], unit)
    return _Found(epoch, at, learned, evaluations)
