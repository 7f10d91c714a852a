"""One gamma for several evaluations: where their mean HM is high, not where it peaks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ezav.errors import EzavError
from ezav.metrics.curve import seen_unseen_curve

_REACH, _STEP = 15.0, 0.02


class SmoothedGamma(NamedTuple):
    """A gamma, the mean HM there, and that of its surroundings, by which it was chosen."""

    gamma: float
    HM: float
    around: float


def smoothed_gamma(
    evaluations: Sequence[tuple[Tensor, Tensor, Tensor]], unit: float = 1.0, width: float = 1.0
) -> SmoothedGamma:
    """The gamma whose surroundings have the best mean HM over several evaluations.

    HM as a function of gamma, averaged over the evaluations, is averaged again over
    `gamma ± width · unit`; its maximum hangs on no single clip, as the peak of one curve does.

    Args:
        evaluations: (scores `[N, C]`, targets long `[N]`, seen bool `[C]`) each.
        unit: the scale of the scores, such as their standard deviation; gamma is looked for
            within 15 units of 0, in steps of a fiftieth.
        width: half the window, in units.

    Raises:
        EzavError: no evaluations, or one that :func:`seen_unseen_curve` refuses.

    Example:
        >>> scores = torch.tensor([[2.0, 0.0], [1.0, 0.5]])
        >>> one = scores, torch.tensor([0, 1]), torch.tensor([True, False])
        >>> found = smoothed_gamma([one, one])
        >>> 0.5 < found.gamma < 2.0, found.HM, round(found.around, 2)
        (True, 1.0, 0.74)
    """
    if not evaluations:
        raise EzavError("no evaluation to choose gamma by")
    gammas = unit * torch.arange(-_REACH, _REACH + _STEP / 2, _STEP, dtype=torch.float64)
    curves = []
    for scores, targets, seen in evaluations:
        curve = seen_unseen_curve(scores, targets, seen)
        curves.append(curve.HM[torch.searchsorted(curve.breakpoints, gammas, right=True)])
    mean = torch.stack(curves).mean(dim=0)
    reach = max(1, round(width / _STEP))
    smooth = F.pad(mean, (reach, reach)).unfold(0, 2 * reach + 1, 1).mean(dim=1)
    best = (smooth >= smooth.max() - 1e-12).nonzero()[:, 0]
    middle = int(best[len(best) // 2])
    return SmoothedGamma(float(gammas[middle]), float(mean[middle]), float(smooth[middle]))
