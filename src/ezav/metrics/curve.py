"""The exact seen-unseen curve: S and U at every gamma that changes anything, best HM, AUSUC."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ezav.errors import EzavError
from ezav.metrics._checks import check_gamma, check_rows, check_scores

_TIE = 1e-12
"""HM values closer than this are equal: sums over clips round at about 1e-15."""


@dataclass(frozen=True, slots=True)
class SeenUnseenCurve:
    """S and U as step functions of gamma, and the gamma of the best harmonic mean.

    With K breakpoints there are K + 1 open intervals of gamma on which nothing changes:
    `(-inf, b_0), (b_0, b_1), …, (b_{K-1}, inf)`.

    Attributes:
        breakpoints: float64 `[K]`, ascending, on the CPU.
        S: float64 `[K+1]`, mean per-class recall over seen classes on each interval; falls from
            its largest value to 0.
        U: float64 `[K+1]`, the same over unseen classes; rises from 0 to ZSL.
        best: the index of the interval with the best HM.
        interval: `(lower, upper)`, the ends of that interval.
        gamma: its midpoint, always finite. Where the best HM is 0 at every gamma there is nothing
            to learn: gamma is 0 and the interval is the whole line.
    """

    breakpoints: Tensor
    S: Tensor
    U: Tensor
    best: int
    interval: tuple[float, float]
    gamma: float

    @property
    def HM(self) -> Tensor:
        """The harmonic mean on each interval, float64 `[K+1]`."""
        return _harmonic(self.S, self.U)

    @property
    def best_hm(self) -> float:
        """The best harmonic mean over all gamma."""
        return float(self.HM[self.best])

    @property
    def ausuc(self) -> float:
        """The area under U as a function of S (Chao et al. 2016), by trapezoids; 0..1."""
        return float(torch.trapezoid(self.U.flip(0), self.S.flip(0)))

    def at(self, gamma: float) -> tuple[float, float]:
        """(S, U) at a gamma (at a breakpoint: just above it); -inf and inf are the ends.

        Raises:
            EzavError: gamma is nan.
        """
        check_gamma(gamma)
        index = int(torch.searchsorted(self.breakpoints, float(gamma), right=True))
        return float(self.S[index]), float(self.U[index])


def seen_unseen_curve(scores: Tensor, targets: Tensor, seen: Tensor) -> SeenUnseenCurve:
    """Every (S, U) that calibrated stacking can reach, in O(NC) + O(N log N).

    A clip is given a seen class as long as `gamma < best seen score - best unseen score`. So one
    number a clip, its margin, says where its prediction flips; only clips whose class is the best
    of its own side matter. Sorting the margins gives S, U and HM at every gamma exactly: no grid.

    Among intervals with the same best HM (to 1e-12) the widest wins, then the one whose midpoint
    is nearest 0, then the higher one.

    Args:
        scores: float `[N, C]`, higher is better.
        targets: long `[N]`, rows of the C candidates, clips of seen and of unseen classes.
        seen: bool `[C]`.

    Raises:
        EzavError: shapes do not fit, scores hold nan, or one side has no class or no clip.

    Example:
        >>> scores = torch.tensor([[0.9, 0.5, 0.0], [0.9, 0.75, 0.1], [0.75, 0.0, 0.25]])
        >>> targets, seen = torch.tensor([0, 1, 2]), torch.tensor([True, False, False])
        >>> curve = seen_unseen_curve(scores.double(), targets, seen)
        >>> curve.S.tolist(), curve.U.tolist()
        ([1.0, 1.0, 0.0, 0.0], [0.0, 0.5, 0.5, 1.0])
        >>> round(curve.gamma, 3), round(curve.best_hm, 3), curve.ausuc
        (0.275, 0.667, 0.5)
    """
    targets = check_scores(scores, targets, seen)
    seen, targets = seen.to(scores.device), targets.to(scores.device)
    is_seen = seen[targets]
    for side, clips in (("seen", is_seen), ("unseen", ~is_seen)):
        if not bool(clips.any()):
            raise EzavError(
                f"no clip of {side} classes: the seen-unseen curve needs both sides",
                "evaluate val_seen with val_unseen, or test_seen with test_unseen",
            )
    best_seen, seen_hit = _side(scores, targets, seen)
    best_unseen, unseen_hit = _side(scores, targets, ~seen)
    margin = best_seen.double() - best_unseen.double()
    check_rows(~margin.isfinite(), "infinity")

    hit = seen_hit | unseen_hit
    ordered, order = margin[hit].cpu().sort()
    share = _share(targets, seen)[hit].cpu()[order]
    ours = is_seen[hit].cpu()[order]
    # Sums up to each flip: U grows from the left, S from the right, so both ends are exact.
    zero = torch.zeros(1, dtype=torch.float64)
    u = torch.cat([zero, (share * ~ours).cumsum(0)])
    s = torch.cat([(share * ours).flip(0).cumsum(0).flip(0), zero])
    # Clips with the same margin flip together: keep the state before the first, after the last.
    changes = torch.ones(len(ordered) + 1, dtype=torch.bool)
    changes[1:-1] = ordered[1:] != ordered[:-1]
    breakpoints = ordered[changes[1:]]
    return _with_best(breakpoints, s[changes], u[changes])


def _side(scores: Tensor, targets: Tensor, side: Tensor) -> tuple[Tensor, Tensor]:
    """The best score among a side's classes `[N]`, and whether it is the target's own `[N]`.

    The target's own entry is taken out and compared with the best of the others: two maxima
    without indices are several times faster than one argmax.
    """
    columns = side.nonzero()[:, 0]
    own_side = side[targets]
    rows = own_side.nonzero()[:, 0]
    values = scores.index_select(1, columns)
    position = side.cumsum(0)[targets[rows]] - 1
    own = values[rows, position]
    values[rows, position] = -math.inf
    others = values.amax(dim=1)
    rival = others[rows]
    wins = own > rival
    # A tie with a class of lower index is lost, as in argmax; ties are few.
    for tied in (own == rival).nonzero()[:, 0].tolist():
        first = int(values[rows[tied]].eq(own[tied]).nonzero()[0, 0])
        wins[tied] = bool(position[tied] < first)
    hit = torch.zeros_like(own_side)
    hit[rows] = wins
    best = others
    best[rows] = torch.maximum(own, rival)
    return best, hit


def _share(targets: Tensor, seen: Tensor) -> Tensor:
    """What one right clip adds to its side's mean recall: 1 / (clips of its class · classes)."""
    counts = torch.bincount(targets, minlength=len(seen))
    filled = counts > 0
    classes = torch.where(seen, (filled & seen).sum(), (filled & ~seen).sum())
    return 1.0 / (counts[targets].double() * classes[targets].double())


def _harmonic(s: Tensor, u: Tensor) -> Tensor:
    total = s + u
    return torch.where(total > 0, 2 * s * u / total.where(total > 0, 1.0), 0.0)


def _with_best(breakpoints: Tensor, s: Tensor, u: Tensor) -> SeenUnseenCurve:
    hm = _harmonic(s, u)
    lower = torch.cat([torch.tensor([-math.inf], dtype=torch.float64), breakpoints])
    upper = torch.cat([breakpoints, torch.tensor([math.inf], dtype=torch.float64)])
    middle = lower + (upper - lower) / 2
    # At the infinite ends S or U is 0, so HM is 0; an interval between neighbouring doubles
    # holds no number that could be written down as gamma.
    usable = (hm > 0) & (lower < middle) & (middle < upper)
    if not bool(usable.any()):
        index = int(torch.searchsorted(breakpoints, 0.0, right=True))
        return SeenUnseenCurve(breakpoints, s, u, index, (-math.inf, math.inf), 0.0)
    candidates = (usable & (hm >= hm[usable].max() - _TIE)).nonzero()[:, 0].tolist()
    best = max(
        candidates,
        key=lambda i: (float(upper[i] - lower[i]), -abs(float(middle[i])), float(middle[i])),
    )
    ends = (float(lower[best]), float(upper[best]))
    return SeenUnseenCurve(breakpoints, s, u, best, ends, float(middle[best]))
