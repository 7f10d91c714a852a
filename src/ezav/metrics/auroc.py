"""How well a number tells two groups apart: the area under the ROC curve."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ezav.errors import EzavError


def auroc(values: Tensor, positive: Tensor) -> float:
    """The probability that a positive has a higher value than a negative; ties count half.

    Args:
        values: float `[N]`.
        positive: bool `[N]`.

    Returns:
        0.5 is chance, 1 perfect; NaN where one group is empty.

    Raises:
        EzavError: shapes do not fit, or a value is nan.

    Example:
        >>> auroc(torch.tensor([0.9, 0.4, 0.4]), torch.tensor([True, True, False]))
        0.75
    """
    if values.ndim != 1 or values.shape != positive.shape or bool(values.isnan().any()):
        raise EzavError("AUROC needs one number, not nan, and one truth value for each")
    ups, downs = values[positive].double(), values[~positive].double().sort().values
    if not len(ups) or not len(downs):
        return math.nan
    below = torch.searchsorted(downs, ups) + torch.searchsorted(downs, ups, right=True)
    return float(below.double().mean() / (2 * len(downs)))
