"""From scores to honest probabilities and to "none of these", learned on validation only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ezav.errors import EzavError
from ezav.metrics import auroc, expected_calibration_error
from ezav.protocol.cut import Cut
from ezav.protocol.evaluation import Evaluation
from ezav.protocol.open_set import (
    AWAY,
    away_from,
    fit_open,
    fit_temperature,
    fit_threshold,
    open_nll,
    with_none,
)
from ezav.protocol.several import Several

MOST_ECE = 0.15
"""Expected calibration error above which percentages are withheld."""
LEAST_CLIPS = 40
LEAST_CLASSES = 4
"""What percentages must have been measured on at least."""
_PARTS = 5
"""The classes are divided into so many parts to measure each by what the others teach."""
_MOST_CLIPS = 4000
_INFINITE = ("reject_threshold_", "none_")
_UNKNOWN = ("ece_before_", "ece_", "nll_before_", "nll_", "auroc_", "away_auroc_")


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """How scores become probabilities, and when no candidate is good enough.

    "None of these" is one more answer with the score `none_`:
    `p(c | clip) = softmax_c((score - gamma·seen) / temperature_)` over the candidates and it. Both
    numbers are learned from validation clips as they are, and from half as many whose own class is
    taken from the candidates. Where class folds validate, most of them are of classes that were not
    trained on in their fold. The answer is rejected when the best stacked score is below
    `reject_threshold_`: a score tells a strange clip better than a probability, which only
    compares the candidates with each other (maximum logit, Hendrycks et al., ICML 2022), and it
    does not depend on how many names are asked for (but for methods that compare the classes with
    each other).

    Attributes:
        gamma: calibrated stacking, learned by the two-stage protocol.
        temperature_, none_: minimise the negative log likelihood of the validation clips; a `none_`
            of -inf: "none of these" has no share (runs of before).
        ece_before_: expected calibration error (15 bins) of the plain softmax of the scores.
        ece_: that of the probabilities, "none of these" among the answers: of clips of classes that
            the two were not fitted on (cross-fitted), one in three without its class.
        nll_before_, nll_: mean negative log likelihood at temperature 1 and at `temperature_`.
        auroc_: how well the best probability tells right answers from wrong ones, cross-fitted.
        away_auroc_: how well the best score tells clips from the same with their class taken away.
        reject_threshold_: the best stacked score that best tells validation clips whose class is
            a candidate from the same clips with their class taken away; -inf where none helps.
        reject_accuracy_: balanced accuracy of that decision on validation (0.5 is chance).
        clips, classes: how many clips this was learned from, and of how many classes they are;
            0 classes: a run of before, which did not measure itself.
        several: when each class is named on its own; None: a run of before.
        cut: how a recording is best cut into events; None: nothing could be tried.
    """

    gamma: float
    temperature_: float
    ece_before_: float
    ece_: float
    nll_before_: float
    nll_: float
    reject_threshold_: float
    reject_accuracy_: float
    clips: int
    none_: float = -math.inf
    auroc_: float = math.nan
    away_auroc_: float = math.nan
    classes: int = 0
    several: Several | None = None
    cut: Cut | None = None

    @classmethod
    def fit(cls, validation: Evaluation | Sequence[Evaluation], gamma: float) -> Calibration:
        """Learn from stored validation scores, of one evaluation or of several class folds.

        Raises:
            EzavError: there are no validation clips, or their scores are not finite.

        Example:
            >>> scores = torch.tensor([[4.0, 0.0], [0.0, 4.0], [4.0, 0.0], [4.0, 0.0]])
            >>> targets, seen = torch.tensor([0, 1, 0, 1]), torch.tensor([True, False])
            >>> names = ("a", "b")
            >>> clips = Evaluation(scores, targets, seen, names, ("1", "2", "3", "4"))
            >>> fitted = Calibration.fit(clips, 0.0)
            >>> fitted.withheld
            'they were measured on 4 clips of 2 classes only (at least 40 of 4)'
        """
        scores, targets, clips = _joined(validation, gamma)
        parts = [validation] if isinstance(validation, Evaluation) else list(validation)
        temperature, none = fit_open(scores, targets)
        threshold, accuracy = fit_threshold(scores, targets)
        measured = _cross_fitted(scores, targets)
        return cls(
            gamma=gamma,
            temperature_=temperature,
            none_=none,
            ece_before_=expected_calibration_error(scores.softmax(dim=1), targets),
            ece_=measured[0],
            auroc_=measured[1],
            away_auroc_=_away_auroc(scores, targets),
            nll_before_=float(open_nll(scores, targets, 1.0, none)),
            nll_=float(open_nll(scores, targets, temperature, none)),
            reject_threshold_=threshold,
            reject_accuracy_=accuracy,
            clips=clips,
            classes=int((torch.bincount(targets) > 0).sum()),
            several=Several.fit(parts, gamma),
        )

    @classmethod
    def of_before(cls, validation: Evaluation, gamma: float) -> Calibration:
        """What an earlier ezav learned: a temperature, with no share for "none of these".

        Raises:
            EzavError: as :meth:`fit`.
        """
        scores, targets, clips = _joined(validation, gamma)
        temperature = fit_temperature(scores, targets)
        threshold, accuracy = fit_threshold(scores, targets)
        softmax = (scores / temperature).softmax(dim=1)
        return cls(
            gamma=gamma,
            temperature_=temperature,
            ece_before_=expected_calibration_error(scores.softmax(dim=1), targets),
            ece_=expected_calibration_error(softmax, targets),
            nll_before_=float(F.cross_entropy(scores, targets)),
            nll_=float(F.cross_entropy(scores / temperature, targets)),
            reject_threshold_=threshold,
            reject_accuracy_=accuracy,
            clips=clips,
        )

    @classmethod
    def none(cls) -> Calibration:
        """Nothing learned: scores are taken as they are, and nothing is rejected.

        Example:
            >>> Calibration.none().fitted
            False
        """
        unknown = math.nan
        return cls(
            gamma=0.0,
            temperature_=1.0,
            ece_before_=unknown,
            ece_=unknown,
            nll_before_=unknown,
            nll_=unknown,
            reject_threshold_=-math.inf,
            reject_accuracy_=0.5,
            clips=0,
        )

    @property
    def fitted(self) -> bool:
        """Whether probabilities were learned from clips; else they are uncalibrated."""
        return self.clips > 0

    @property
    def withheld(self) -> str:
        """Why no percentage is given; empty where the measured calibration supports them.

        A run of before did not measure itself: it answers as it did.
        """
        if not self.fitted:
            return "they are uncalibrated: no clips with labels were seen"
        if not self.classes:
            return ""
        if self.clips < LEAST_CLIPS or self.classes < LEAST_CLASSES:
            return (
                f"they were measured on {self.clips} clips of {self.classes} classes only "
                f"(at least {LEAST_CLIPS} of {LEAST_CLASSES})"
            )
        if not self.ece_ <= MOST_ECE:
            return (
                f"on clips of classes held out they were off by {self.ece_:.0%} on average "
                f"(at most {MOST_ECE:.0%})"
            )
        return ""

    def stacked(self, scores: Tensor, seen: Tensor) -> Tensor:
        """Scores `[N, C]` with gamma subtracted from the seen classes (bool `[C]`)."""
        return scores - self.gamma * seen

    def log_probabilities(self, stacked: Tensor) -> Tensor:
        """Log probabilities `[N, C + 1]` of stacked scores `[N, C]`; the last: none of these."""
        return with_none(stacked.double(), self.temperature_, self.none_)

    def probabilities(self, stacked: Tensor) -> Tensor:
        """Of the candidates `[N, C]`; what is left of 1 is that of "none of these"."""
        return self.log_probabilities(stacked)[:, :-1].exp()

    def states(self, stacked: Tensor) -> Tensor:
        """Probabilities `[N, C + 1]` for the decision among the candidates and none of them.

        "None of these" has the score `reject_threshold_`, which tells a strange clip best.
        """
        return with_none(stacked.double(), self.temperature_, self.reject_threshold_).exp()

    def rejects(self, best: float) -> bool:
        """Whether the best stacked score is too low for any of the candidates."""
        return best < self.reject_threshold_

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready: what JSON does not have, -inf and NaN, is None."""
        found = {one.name: getattr(self, one.name) for one in fields(self)}
        found["several"] = None if self.several is None else self.several.as_dict()
        found["cut"] = None if self.cut is None else asdict(self.cut)
        return found | {k: None for k in (*_INFINITE, *_UNKNOWN) if not math.isfinite(found[k])}

    @classmethod
    def of(cls, data: dict[str, Any]) -> Calibration:
        """What :meth:`as_dict` gave, also that of an earlier ezav.

        Raises:
            KeyError, TypeError, ValueError, OverflowError: an entry is missing, or is no number
                that it may be.
        """
        plain = {one.name: data[one.name] for one in fields(cls) if one.name not in _LATER}
        found = plain | {name: data[name] for name in _LATER if name in data}
        unfitted = not found["clips"]
        for names, instead in ((_INFINITE, -math.inf), (_UNKNOWN, math.nan)):
            for name in names:
                may = names is _INFINITE or name in _LATER or unfitted
                if name in found and found[name] is None and may:
                    found[name] = instead
        several, cut = found.pop("several", None), found.pop("cut", None)
        numbers = {name: float(value) for name, value in found.items()}
        if not 0 < numbers["temperature_"] < math.inf:
            raise ValueError(f"a temperature of {numbers['temperature_']:g}")
        made = cls(**numbers)  # type: ignore[arg-type]
        return replace(
            made,
            clips=int(made.clips),
            classes=int(made.classes),
            several=None if several is None else Several.of(several),
            cut=None if cut is None else Cut.of(cut),
        )


_LATER = ("none_", "auroc_", "away_auroc_", "classes", "several", "cut")
"""Entries that a calibration of before does not have."""


def _joined(
    validation: Evaluation | Sequence[Evaluation], gamma: float
) -> tuple[Tensor, Tensor, int]:
    """Stacked scores `[N, C]` and targets `[N]` of all, at most `_MOST_CLIPS`; distinct clips."""
    parts = [validation] if isinstance(validation, Evaluation) else list(validation)
    clips = {clip for one in parts for clip in one.clips}
    scores = [one.scores.double() - gamma * one.seen.double() for one in parts]
    usable = parts and all(len(one) and bool(one.isfinite().all()) for one in scores)
    if not usable:
        raise EzavError(
            "the run has no usable validation scores to learn probabilities from", "run it again"
        )
    if any(one.classes != parts[0].classes for one in parts):
        raise EzavError("the validation scores are of different classes", "run it again")
    whole, targets = torch.cat(scores), torch.cat([one.targets for one in parts])
    rows = torch.arange(len(whole))
    if len(rows) > _MOST_CLIPS:  # more say no more, and cost time
        rows = torch.linspace(0, len(rows) - 1, _MOST_CLIPS).long()
    return whole[rows], targets[rows], len(clips)


def _cross_fitted(scores: Tensor, targets: Tensor) -> tuple[float, float]:
    """ECE and AUROC of right answers where each class is measured by what others teach."""
    classes = torch.bincount(targets).nonzero()[:, 0]
    count = min(_PARTS, len(classes))
    if count < 2:
        return math.nan, math.nan
    part = torch.searchsorted(classes, targets) % count
    own, away, order = [], [], []
    for one in range(count):
        fitted = fit_open(scores[part != one], targets[part != one])
        rows = (part == one).nonzero()[:, 0]
        own.append(with_none(scores[rows], *fitted).exp())
        away.append(with_none(away_from(scores[rows], targets[rows]), *fitted).exp())
        order.append(rows)
    found, wanted = torch.cat(own), targets[torch.cat(order)]
    both = torch.cat([found, torch.cat(away)])
    nothing = torch.full_like(wanted, scores.shape[1])
    weights = torch.cat([torch.ones(len(found)), torch.full((len(found),), AWAY)])
    error = expected_calibration_error(both, torch.cat([wanted, nothing]), weights=weights)
    best = found[:, :-1].max(dim=1)
    return error, auroc(best.values, best.indices == wanted)


def _away_auroc(scores: Tensor, targets: Tensor) -> float:
    best, away = scores.amax(dim=1), away_from(scores, targets).amax(dim=1)
    own = F.pad(torch.ones(len(best), dtype=torch.bool), (0, len(away)))
    return auroc(torch.cat([best, away]), own)
