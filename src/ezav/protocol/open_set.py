"""Scores of names and of "none of these": fitted on clips with and without their class."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ezav.optimizers import Lbfgs

AWAY = 0.5
"""Clips without their class for each with it: one clip in three is of none of the names."""
_STEPS = 80
"""Halvings by the golden section: e^±7 shrinks below 1e-15."""
_WIDEST = 7.0
"""A temperature lies within e^±7 (about a thousandfold) of the spread of the scores: scores that
are always right, or useless, end at a bound instead of at 0 or infinity."""
_START = 3.0
"""Spreads over the first temperature tried."""


def with_none(stacked: Tensor, temperature: float, none: float) -> Tensor:
    """Log softmax `[N, C + 1]` of scores `[N, C]` and one more answer with the score `none`.

    Example:
        >>> with_none(torch.tensor([[1.0]]), 1.0, 1.0).exp().tolist()
        [[0.5, 0.5]]
    """
    more = torch.cat([stacked, torch.full_like(stacked[:, :1], none)], dim=1)
    return (more / temperature).log_softmax(dim=1)


def away_from(stacked: Tensor, targets: Tensor) -> Tensor:
    """The same scores with each clip's own class taken from the candidates.

    Example:
        >>> away_from(torch.tensor([[2.0, 1.0]]), torch.tensor([0])).tolist()
        [[-inf, 1.0]]
    """
    return stacked.masked_fill(F.one_hot(targets, stacked.shape[1]).bool(), -torch.inf)


def open_nll(
    stacked: Tensor,
    targets: Tensor,
    temperature: Tensor | float,
    none: Tensor | float,
    away: float = AWAY,
) -> Tensor:
    """Mean negative log likelihood of clips as they are, and of `away` as many without their class.

    Args:
        stacked: float64 `[N, C]`.
        targets: long `[N]`.
        temperature, none: of :func:`with_none`.
    """
    # Far below is as good as -inf, whose gradient is NaN.
    low = float(stacked.min()) - 100 * (_spread(stacked) or 1.0)
    without = away_from(stacked, targets).clamp(min=low)
    last = torch.as_tensor(none, dtype=stacked.dtype).expand(len(stacked), 1)
    own = F.cross_entropy(torch.cat([stacked, last], dim=1) / temperature, targets)
    nothing = torch.full_like(targets, stacked.shape[1])
    other = F.cross_entropy(torch.cat([without, last], dim=1) / temperature, nothing)
    return (own + away * other) / (1 + away)


def fit_open(
    stacked: Tensor, targets: Tensor, away: float = AWAY, steps: int = 100
) -> tuple[float, float]:
    """Temperature and score of "none of these" that minimise :func:`open_nll`.

    Args:
        stacked: float64 `[N, C]`.
        targets: long `[N]`.
        away: clips without their class for each with it.
        steps: of L-BFGS.
    """
    unit, middle = _spread(stacked) or 1.0, float(stacked.amax(dim=1).median())
    moved = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    optimizer = Lbfgs([moved], max_iter=steps, line_search_fn="strong_wolfe", tolerance_grad=1e-9)

    def closure() -> Tensor:
        optimizer.zero_grad()
        warm, none = unit / _START * moved[0].exp(), middle + unit * moved[1]
        loss = open_nll(stacked, targets, warm, none, away)
        torch.autograd.backward(loss)
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    warm, none = moved.detach().tolist()
    warm = min(max(warm - math.log(_START), -_WIDEST), _WIDEST)
    return unit * math.exp(warm), middle + unit * none


def fit_temperature(scores: Tensor, targets: Tensor) -> float:
    """The temperature that minimises the mean negative log likelihood of `scores / T`.

    The likelihood is concave in 1/T, so a golden-section search over log T finds its one optimum.
    """
    spread = _spread(scores) or 1.0
    low, high = math.log(spread) - _WIDEST, math.log(spread) + _WIDEST
    ratio = (math.sqrt(5) - 1) / 2
    for _ in range(_STEPS):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if _nll(scores / math.exp(left), targets) <= _nll(scores / math.exp(right), targets):
            high = right
        else:
            low = left
    return math.exp((low + high) / 2)


def fit_threshold(stacked: Tensor, targets: Tensor) -> tuple[float, float]:
    """The best score that best separates clips with their class among the candidates from without.

    Args:
        stacked: stacked scores `[N, C]`.
        targets: long `[N]`.

    Returns:
        The threshold, midway between two clips, and its balanced accuracy.
    """
    with_class, without = stacked.amax(dim=1), away_from(stacked, targets).amax(dim=1)
    values = torch.cat([with_class, without])
    step = torch.cat([torch.ones_like(with_class), -torch.ones_like(without)])
    order = values.argsort(descending=True, stable=True)
    values, gain = values[order], step[order].cumsum(0)
    # A cut between two equal values cannot be made.
    gain[:-1][values[:-1] == values[1:]] = -torch.inf
    best = int(gain.argmax())
    if float(gain[best]) <= 0:
        return -math.inf, 0.5
    below = values[best + 1] if best + 1 < len(values) else values[best] - 1
    return float((values[best] + below) / 2), 0.5 + float(gain[best]) / len(values)


def _spread(scores: Tensor) -> float:
    return float(scores.std())


def _nll(z: Tensor, targets: Tensor) -> float:
    return float(F.cross_entropy(z, targets))
