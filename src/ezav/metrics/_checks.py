"""What every metric asks of its inputs."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ezav.errors import EzavError


def check_scores(scores: Tensor, targets: Tensor, seen: Tensor | None = None) -> Tensor:
    """`scores` `[N, C]` without nan, integer `targets` `[N]` in 0..C-1, `seen` bool `[C]`.

    Returns:
        the targets as long.
    """
    check_matrix(scores)
    if not len(scores):
        raise EzavError("there is not a single row of scores")
    targets = check_labels(targets, scores.shape[1], "targets")
    if len(targets) != len(scores):
        raise EzavError(f"{len(scores)} rows of scores but {len(targets)} targets")
    if seen is not None:
        check_seen(seen, scores.shape[1])
    # A sum without nan has no nan in it, and needs no bool for each score; infinities may cancel.
    if bool(scores.sum().isnan()):
        check_rows(scores.amax(dim=1).isnan(), "nan")
    return targets


def check_matrix(scores: Tensor) -> None:
    """`scores` is a float matrix `[N, C]` with C > 0."""
    if scores.ndim != 2 or not scores.shape[1] or not scores.is_floating_point():
        raise EzavError(
            f"scores must be a float tensor [N, C] with C > 0, "
            f"got {scores.dtype} {list(scores.shape)}"
        )


def check_rows(bad: Tensor, what: str) -> None:
    """No entry of `bad`, bool `[N]`, is True: a row of scores that holds `what`."""
    rows = bad.nonzero()[:, 0]
    if len(rows):
        raise EzavError(
            f"scores hold {what} for {len(rows)} of {len(bad)} clips "
            f"(the first is row {int(rows[0])})",
            "look for a method that diverged in training",
        )


def check_gamma(gamma: float) -> None:
    """`gamma` is a number, infinite at most."""
    if math.isnan(gamma):
        raise EzavError("gamma is nan", "learn it on validation: seen_unseen_curve(...).gamma")


def check_seen(seen: Tensor, num_classes: int) -> None:
    """`seen` is bool `[C]`."""
    if seen.dtype != torch.bool or seen.shape != (num_classes,):
        raise EzavError(
            f"seen must be a bool tensor [{num_classes}], one entry a class, "
            f"got {seen.dtype} {list(seen.shape)}"
        )


def check_labels(labels: Tensor, num_classes: int, what: str) -> Tensor:
    """`labels` is an integer vector with values in 0..num_classes-1.

    Returns:
        the labels as long: a byte overflows in a sum, and as an index it is a mask.
    """
    whole = not (labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool)
    if labels.ndim != 1 or not whole:
        raise EzavError(
            f"{what} must be an integer vector, got {labels.dtype} {list(labels.shape)}"
        )
    labels = labels.long()
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < num_classes:
        raise EzavError(
            f"{what} must lie in 0..{num_classes - 1}, "
            f"got {int(labels.min())}..{int(labels.max())}",
            "targets are rows of the candidate classes",
        )
    return labels
