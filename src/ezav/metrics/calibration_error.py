"""How honest probabilities are: the expected calibration error."""

from __future__ import annotations

import torch
from torch import Tensor

from ezav.errors import EzavError
from ezav.metrics._checks import check_scores


def expected_calibration_error(
    probabilities: Tensor, targets: Tensor, bins: int = 15, weights: Tensor | None = None
) -> float:
    """The mean gap between confidence and accuracy, over equal-width bins of confidence.

    `ECE = Σ_b (n_b / N) |accuracy_b - confidence_b|` (Naeini et al. 2015; Guo et al. 2017); a
    clip falls in the bin `(b/B, (b+1)/B]` of its largest probability.

    Args:
        probabilities: float `[N, C]`, rows sum to 1 (a softmax over calibrated scores, say).
        targets: long `[N]`, rows of the C candidates.
        bins: the number B of bins.
        weights: `[N]`, how many clips each row stands for; by default 1.

    Returns:
        0 (honest) .. 1.

    Raises:
        EzavError: shapes do not fit, or the rows are not probabilities.

    Example:
        >>> import torch
        >>> probabilities = torch.tensor([[0.8, 0.2], [0.8, 0.2]])
        >>> round(expected_calibration_error(probabilities, torch.tensor([0, 1])), 3)
        0.3
    """
    targets = check_scores(probabilities, targets)
    sums = probabilities.double().sum(dim=1)
    if bool((probabilities < 0).any()) or not torch.allclose(sums, sums.new_ones(1), atol=1e-3):
        raise EzavError(
            "calibration error needs probabilities: rows that are >= 0 and sum to 1",
            "apply softmax to the scores first",
        )
    if bins < 1:
        raise EzavError(f"bins must be at least 1, got {bins}")
    confidence, predictions = probabilities.double().max(dim=1)
    gap = (predictions == targets).double() - confidence
    weight = gap.new_ones(len(gap)) if weights is None else weights.to(gap)
    index = ((confidence * bins).ceil().long() - 1).clamp(0, bins - 1)
    return float(gap.new_zeros(bins).index_add(0, index, weight * gap).abs().sum() / weight.sum())
