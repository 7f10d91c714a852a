"""What a test measures: the typed result of a run from its stored scores."""

from __future__ import annotations

import math
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import torch
from torch import Tensor

import ezav
from ezav.metrics import (
    calibrated_predictions,
    gzsl_scores,
    per_class_recall,
    seen_unseen_curve,
)
from ezav.protocol.chance import chance
from ezav.protocol.compare import paired_bootstrap, shuffled_bootstrap
from ezav.protocol.evaluation import Evaluation
from ezav.protocol.result import ClassResult, Control, MemberWorth, Metrics, RunResult
from ezav.protocol.settings import plain_config

if TYPE_CHECKING:
    from ezav.protocol.fitted import FittedProtocol

Frozen = tuple[Evaluation, float]
"""The test scores of the frozen row, and its gamma."""


def metrics_of(evaluation: Evaluation, gamma: float) -> Metrics:
    """S, U, HM, ZSL at gamma, and AUSUC of the whole curve; S alone without unseen classes.

    Args:
        evaluation: scores `[N, C]` and what they were compared with.
        gamma: what is subtracted from the scores of seen classes.

    Example:
        >>> scores = torch.tensor([[2.0, 0.0], [1.0, 0.5]])
        >>> test = Evaluation(
        ...     scores, torch.tensor([0, 1]), torch.tensor([True, False]), ("a", "b"), ("1", "2")
        ... )
        >>> metrics_of(test, gamma=0.0).HM, metrics_of(test, gamma=1.0).HM
        (0.0, 1.0)
    """
    parts = evaluation.scores, evaluation.targets, evaluation.seen
    closed = bool(evaluation.seen.all())
    ausuc = math.nan if closed else seen_unseen_curve(*parts).ausuc
    return Metrics(**asdict(gzsl_scores(*parts, gamma)), AUSUC=ausuc)


def result_of(
    fitted: FittedProtocol,
    test: Evaluation,
    seconds: dict[str, float],
    label: str,
    alphas: Mapping[float, float],
    frozen: Frozen | None = None,
) -> RunResult:
    """The result of a run.

    Args:
        fitted: what was tested.
        test: its scores on the test clips.
        seconds: what took how long.
        label: what tables call the run; empty: the method.
        alphas: validation HM of every alpha that was tried, where alpha was chosen.
        frozen: the frozen row, where it was tried.
    """
    protocol, header = fitted.protocol, fitted.store.header
    classes = fitted.model_.classes
    return RunResult(
        method=protocol.method,
        label=label or protocol.method,
        dataset=header.dataset,
        setting=header.setting,
        simulated=header.simulated,
        text_alignment=header.text_alignment,
        seed=protocol.seed,
        gamma=fitted.gamma_,
        epoch=fitted.epoch_,
        metrics=metrics_of(test, fitted.gamma_),
        validation=mean_metrics(fitted.folds_ or (fitted.validation_,), fitted.gamma_),
        folds=len(fitted.folds_),
        validation_error=_error(fitted),
        chance=chance(int(test.seen.sum()), int((~test.seen).sum())),
        per_class=_per_class(test, fitted.gamma_),
        candidates={
            "seen": [n for n, seen in zip(classes.names, test.seen.tolist()) if seen],
            "unseen": [n for n, seen in zip(classes.names, test.seen.tolist()) if not seen],
        },
        class_embeddings={"encoder": classes.encoder, **classes.settings},
        members=_members(fitted),
        controls=controls_of(test, fitted.gamma_, frozen),
        alphas=dict(alphas),
        classes_tried=fitted.classes_tried_,
        gate=protocol.gate,
        parameters=sum(p.numel() for p in fitted.model_.method.parameters()),
        timing=seconds,
        versions={
            "ezav": ezav.__version__,
            "torch": str(torch.__version__),
            "python": platform.python_version(),
        },
        store_fingerprint=fitted.store.fingerprint,
        config=plain_config(fitted.model_.method.config),
        training=asdict(protocol.training),
    )


def controls_of(test: Evaluation, gamma: float, frozen: Frozen | None) -> dict[str, Control]:
    """How far a run's test is above its own with shuffled names, and above the frozen row.

    Args:
        test, gamma: of the run.
        frozen: scores and gamma of the frozen row on the same clips; None: there is none.
    """
    found = {}
    if int((~test.seen).sum()) > 1:
        found["shuffled"] = shuffled_bootstrap(test, gamma)["HM"]
    if frozen is not None and not bool(test.seen.all()):
        found["frozen"] = paired_bootstrap(test, frozen[0], (gamma, frozen[1]))["HM"]
    own = metrics_of(test, gamma).HM
    return {
        name: Control(HM=own - one.value, above=one.value, low=one.low, high=one.high)
        for name, one in found.items()
    }


def mean_metrics(evaluations: Sequence[Evaluation], gamma: float) -> Metrics:
    """:func:`metrics_of` several evaluations, averaged.

    Args:
        evaluations: one, or one a class fold.
        gamma: the same for all.
    """
    found = [metrics_of(one, gamma).model_dump() for one in evaluations]
    return Metrics(**{name: statistics.fmean(one[name] for one in found) for name in found[0]})


def _error(fitted: FittedProtocol) -> float | None:
    """Standard error of the HM over class folds; None where there are none."""
    if len(fitted.folds_) < 2:
        return None
    found = [metrics_of(one, fitted.gamma_).HM for one in fitted.folds_]
    return statistics.stdev(found) / math.sqrt(len(found))


def _members(fitted: FittedProtocol) -> dict[str, MemberWorth]:
    return {
        name: MemberWorth(weight=one.weight, alone=one.alone, lost=one.lost)
        for name, one in fitted.model_.method.worth().items()
    }


def _per_class(test: Evaluation, gamma: float) -> list[ClassResult]:
    predictions = calibrated_predictions(test.scores, test.seen, gamma)
    recall = per_class_recall(predictions, test.targets, len(test.classes))
    unseen_clips = ~test.seen[test.targets]
    among_unseen = test.scores[unseen_clips].masked_fill(test.seen, -torch.inf).argmax(1)
    zsl = per_class_recall(among_unseen, test.targets[unseen_clips], len(test.classes))
    count = torch.bincount(test.targets, minlength=len(test.classes))
    return [
        ClassResult(
            name=name,
            seen=bool(test.seen[row]),
            clips=int(count[row]),
            recall=_number(recall[row]),
            zsl_recall=None if test.seen[row] else _number(zsl[row]),
        )
        for row, name in enumerate(test.classes)
    ]


def _number(value: Tensor) -> float | None:
    return None if bool(value.isnan()) else float(value)
