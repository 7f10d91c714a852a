"""Accuracy of predictions: per-class recall, confusion matrix, top-k."""

from __future__ import annotations

import torch
from torch import Tensor

from ezav.errors import EzavError
from ezav.metrics._checks import check_labels, check_scores


def per_class_recall(predictions: Tensor, targets: Tensor, num_classes: int) -> Tensor:
    """The share of each class's clips that were predicted as it.

    Args:
        predictions: long `[N]`, predicted classes, 0..C-1.
        targets: long `[N]`, true classes, 0..C-1.
        num_classes: C.

    Returns:
        float64 `[C]` in 0..1; nan for a class without clips.

    Raises:
        EzavError: lengths differ or a class is out of range.

    Example:
        >>> import torch
        >>> predictions, targets = torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1])
        >>> per_class_recall(predictions, targets, num_classes=3).tolist()
        [0.5, 1.0, nan]
    """
    predictions, targets = _check_pair(predictions, targets, num_classes)
    hits = torch.bincount(targets[predictions == targets], minlength=num_classes)
    counts = torch.bincount(targets, minlength=num_classes)
    return hits.double() / counts.double()


def mean_recall(recall: Tensor, classes: Tensor | None = None) -> float:
    """The mean of a per-class recall over the classes that have clips (nan if there is none).

    Args:
        recall: `[C]`, nan for a class without clips.
        classes: bool `[C]`, the classes to average over (default all).

    Example:
        >>> mean_recall(torch.tensor([0.5, 1.0, float("nan")]))
        0.75
    """
    chosen = recall if classes is None else recall[classes]
    return float(chosen.nanmean()) if len(chosen) else float("nan")


def confusion_matrix(predictions: Tensor, targets: Tensor, num_classes: int) -> Tensor:
    """Counts of clips by true class (row) and predicted class (column).

    Args:
        predictions, targets: long `[N]`, classes 0..C-1.
        num_classes: C.

    Returns:
        long `[C, C]`, summing to N.

    Raises:
        EzavError: lengths differ or a class is out of range.

    Example:
        >>> confusion_matrix(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1]), 2).tolist()
        [[1, 1], [0, 1]]
    """
    predictions, targets = _check_pair(predictions, targets, num_classes)
    cells = torch.bincount(targets * num_classes + predictions, minlength=num_classes**2)
    return cells.view(num_classes, num_classes)


def top_k_accuracy(scores: Tensor, targets: Tensor, k: int) -> float:
    """The share of clips whose class is among the k best scores; ties go to the lower index.

    Args:
        scores: float `[N, C]`, higher is better.
        targets: long `[N]`, rows of the C candidates.
        k: 1..C.

    Returns:
        a fraction of clips (not of classes), 0..1.

    Raises:
        EzavError: shapes do not fit, scores hold nan, or k is out of range.

    Example:
        >>> scores = torch.tensor([[0.1, 0.7, 0.2], [0.6, 0.3, 0.1]])
        >>> top_k_accuracy(scores, torch.tensor([2, 0]), k=1)
        0.5
        >>> top_k_accuracy(scores, torch.tensor([2, 0]), k=2)
        1.0
    """
    targets = check_scores(scores, targets)
    if not 1 <= k <= scores.shape[1]:
        raise EzavError(f"k must lie in 1..{scores.shape[1]} (the number of classes), got {k}")
    own = scores.gather(1, targets[:, None])
    earlier = torch.arange(scores.shape[1], device=scores.device) < targets[:, None]
    before = (scores > own) | ((scores == own) & earlier)
    return float((before.sum(dim=1) < k).double().mean())


def _check_pair(predictions: Tensor, targets: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    predictions = check_labels(predictions, num_classes, "predictions")
    targets = check_labels(targets, num_classes, "targets")
    if len(predictions) != len(targets):
        raise EzavError(f"{len(predictions)} predictions but {len(targets)} targets")
    return predictions, targets
