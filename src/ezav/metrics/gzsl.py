"""S, U, HM and ZSL at a given gamma: calibrated stacking (Chao et al., ECCV 2016)."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from ezav.metrics._checks import check_gamma, check_matrix, check_rows, check_scores, check_seen
from ezav.metrics.accuracy import mean_recall, per_class_recall


@dataclass(frozen=True, slots=True)
class GZSLScores:
    """The four numbers of the field, as fractions.

    Attributes:
        S: mean per-class recall over seen classes, every class a candidate.
        U: the same over unseen classes.
        HM: harmonic mean `2SU / (S + U)`; 0 where S + U = 0.
        ZSL: mean per-class recall over unseen classes, unseen classes the only candidates;
            it does not depend on gamma.

    Means run over the classes that have clips; nan where there is no such class.
    """

    S: float
    U: float
    HM: float
    ZSL: float

    def as_dict(self) -> dict[str, float]:
        """`{"S": …, "U": …, "HM": …, "ZSL": …}`, fractions."""
        return asdict(self)


def harmonic_mean(seen: float, unseen: float) -> float:
    """`2SU / (S + U)`, 0 where both are 0, nan where either is nan.

    Example:
        >>> harmonic_mean(0.75, 0.25)
        0.375
        >>> harmonic_mean(0.0, 0.0)
        0.0
    """
    total = seen + unseen
    return 2 * seen * unseen / total if total != 0 else 0.0


def calibrated_predictions(scores: Tensor, seen: Tensor, gamma: float) -> Tensor:
    """The best class after gamma is subtracted from every seen class's score.

    This is `(scores - gamma * seen).argmax(1)`, without its rounding: the clip goes to its best
    seen class where `best seen - best unseen > gamma`, in double precision. Ties go to the lower
    class index, as in argmax.

    Args:
        scores: float `[N, C]`, higher is better, finite where it is a row's best.
        seen: bool `[C]`.
        gamma: any number; -inf and inf force a seen and an unseen class.

    Returns:
        long `[N]`, classes 0..C-1.

    Raises:
        EzavError: shapes do not fit, scores hold nan, or gamma is nan.

    Example:
        >>> scores, seen = torch.tensor([[0.9, 0.5], [0.9, 0.8]]), torch.tensor([True, False])
        >>> calibrated_predictions(scores, seen, gamma=0.2).tolist()
        [0, 1]
    """
    check_matrix(scores)
    check_seen(seen, scores.shape[1])
    check_gamma(gamma)
    seen = seen.to(scores.device)
    check_rows(~scores.amax(dim=1).isfinite(), "nan or infinity")
    if bool(seen.all()) or not bool(seen.any()):
        return scores.argmax(dim=1)
    best_seen, seen_class = _best(scores, seen)
    best_unseen, unseen_class = _best(scores, ~seen)
    margin = best_seen.double() - best_unseen.double()
    takes_seen = (margin > gamma) | ((margin == gamma) & (seen_class < unseen_class))
    return torch.where(takes_seen, seen_class, unseen_class)


def gzsl_scores(scores: Tensor, targets: Tensor, seen: Tensor, gamma: float) -> GZSLScores:
    """S, U, HM and ZSL of N clips with gamma subtracted from the seen scores.

    Args:
        scores: float `[N, C]`, higher is better.
        targets: long `[N]`, rows of the C candidates.
        seen: bool `[C]`, True for a seen class.
        gamma: the calibration constant, learned on validation data.

    Raises:
        EzavError: shapes do not fit, scores hold nan, or gamma is nan.

    Example:
        >>> scores = torch.tensor([[0.9, 0.5, 0.0], [0.9, 0.8, 0.1], [0.6, 0.0, 0.5]])
        >>> targets, seen = torch.tensor([0, 1, 2]), torch.tensor([True, False, False])
        >>> gzsl_scores(scores, targets, seen, gamma=0.0)
        GZSLScores(S=1.0, U=0.0, HM=0.0, ZSL=1.0)
        >>> gzsl_scores(scores, targets, seen, gamma=0.2)
        GZSLScores(S=1.0, U=1.0, HM=1.0, ZSL=1.0)
    """
    targets = check_scores(scores, targets, seen)
    seen, targets = seen.to(scores.device), targets.to(scores.device)
    predictions = calibrated_predictions(scores, seen, gamma)
    recall = per_class_recall(predictions, targets, len(seen))
    s, u = mean_recall(recall, seen), mean_recall(recall, ~seen)
    return GZSLScores(s, u, harmonic_mean(s, u), _zsl(scores, targets, seen))


def _zsl(scores: Tensor, targets: Tensor, seen: Tensor) -> float:
    clips = ~seen[targets]
    if not bool(clips.any()):
        return float("nan")
    _, predictions = _best(scores[clips], ~seen)
    return mean_recall(per_class_recall(predictions, targets[clips], len(seen)), ~seen)


def _best(scores: Tensor, candidates: Tensor) -> tuple[Tensor, Tensor]:
    """Value and class `[N]` of the best candidate (bool `[C]`), the lower index on ties."""
    columns = candidates.nonzero()[:, 0]
    value, position = scores.index_select(1, columns).max(dim=1)
    return value, columns[position]
