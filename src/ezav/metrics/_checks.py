"""What every metric asks of its inputs."""

from __future__ import annotations

import torch
from torch import Tensor

from ezav.errors import EzavError


def check_scores(scores: Tensor, targets: Tensor, seen: Tensor | None = None) -> None:
    """`scores` `[N, C]` without nan, `targets` long `[N]` in 0..C-1, `seen` bool `[C]`."""
    if scores.ndim != 2 or 0 in scores.shape or not scores.is_floating_point():
        raise EzavError(
            f"scores must be a float tensor [N, C] with N, C > 0, "
            f"got {scores.dtype} {list(scores.shape)}"
        )
    check_labels(targets, scores.shape[1], "targets")
    if len(targets) != len(scores):
        raise EzavError(f"{len(scores)} rows of scores but {len(targets)} targets")
    if seen is not None:
        check_seen(seen, scores.shape[1])


def check_seen(seen: Tensor, num_classes: int) -> None:
    """`seen` is bool `[C]`."""
    if seen.dtype != torch.bool or seen.shape != (num_classes,):
        raise EzavError(
            f"seen must be a bool tensor [{num_classes}], one entry a class, "
            f"got {seen.dtype} {list(seen.shape)}"
        )


def check_labels(labels: Tensor, num_classes: int, what: str) -> None:
    """`labels` is an integer vector with values in 0..num_classes-1."""
    if labels.ndim != 1 or labels.is_floating_point() or labels.dtype == torch.bool:
        raise EzavError(
            f"{what} must be an integer vector, got {labels.dtype} {list(labels.shape)}"
        )
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < num_classes:
        raise EzavError(
            f"{what} must lie in 0..{num_classes - 1}, "
            f"got {int(labels.min())}..{int(labels.max())}",
            "targets are rows of the candidate classes",
        )
