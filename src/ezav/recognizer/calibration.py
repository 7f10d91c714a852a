"""From scores to honest probabilities and to "none of these", learned on validation only."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from torch import Tensor

from ezav.errors import EzavError
from ezav.metrics import expected_calibration_error
from ezav.protocol.evaluation import Evaluation

_STEPS = 80
"""Halvings by the golden section: e^±7 shrinks below 1e-15."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """How scores become probabilities, and when no candidate is good enough.

    `p(c | clip) = softmax_c((score - gamma·seen) / temperature_)`, over the candidates (Guo et
    al., ICML 2017). The answer is "none of these" when the best stacked score is below
    `reject_threshold_`: a score tells a strange clip better than a probability, which only
    compares the candidates with each other (maximum logit, Hendrycks et al., ICML 2022), and it
    does not depend on how many names are asked for (but for methods that compare the classes with
    each other).

    Attributes:
        gamma: calibrated stacking, learned by the two-stage protocol.
        temperature_: minimises the negative log likelihood of the validation clips.
        ece_before_, ece_: expected calibration error on validation (15 bins) at temperature 1
            and at `temperature_`.
        nll_before_, nll_: mean negative log likelihood, likewise.
        reject_threshold_: the best stacked score that best tells validation clips whose class is
            a candidate from the same clips with their class taken away; -inf where none helps.
        reject_accuracy_: balanced accuracy of that decision on validation (0.5 is chance).
        clips: how many validation clips this was learned from.
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

    @classmethod
    def fit(cls, validation: Evaluation, gamma: float) -> Calibration:
        """Learn temperature and threshold from stored validation scores.

        Raises:
            EzavError: there are no validation clips, or their scores are not finite.

        Example:
            >>> scores = torch.tensor([[4.0, 0.0], [0.0, 4.0], [4.0, 0.0], [4.0, 0.0]])
            >>> targets, seen = torch.tensor([0, 1, 0, 1]), torch.tensor([True, False])
            >>> names = ("a", "b")
            >>> fitted = Calibration.fit(Evaluation(scores, targets, seen, names, names * 2), 0.0)
            >>> round(float(torch.tensor(4 / fitted.temperature_).sigmoid()), 3)  # 3 of 4 right
            0.75
        """
        scores = validation.scores.double() - gamma * validation.seen.double()
        if not len(scores) or not bool(scores.isfinite().all()):
            raise EzavError(
                "the run has no usable validation scores to learn probabilities from",
                "run it again",
            )
        targets = validation.targets
        temperature = fit_temperature(scores, targets)
        threshold, accuracy = fit_threshold(scores, targets)
        return cls(
            gamma=gamma,
            temperature_=temperature,
            ece_before_=expected_calibration_error(scores.softmax(dim=1), targets),
            ece_=expected_calibration_error((scores / temperature).softmax(dim=1), targets),
            nll_before_=_nll(scores, targets),
            nll_=_nll(scores / temperature, targets),
            reject_threshold_=threshold,
            reject_accuracy_=accuracy,
            clips=len(scores),
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

    def stacked(self, scores: Tensor, seen: Tensor) -> Tensor:
        """Scores `[N, C]` with gamma subtracted from the seen classes (bool `[C]`)."""
        return scores - self.gamma * seen

    def probabilities(self, stacked: Tensor) -> Tensor:
        """Softmax over the candidates of stacked scores `[N, C]`."""
        return (stacked.double() / self.temperature_).softmax(dim=1)

    def rejects(self, best: float) -> bool:
        """Whether the best stacked score is too low for any of the candidates."""
        return best < self.reject_threshold_

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready: a threshold of -inf, which JSON does not have, is None."""
        never = self.reject_threshold_ == -math.inf
        return asdict(self) | ({"reject_threshold_": None} if never else {})

    @classmethod
    def of(cls, data: dict[str, Any]) -> Calibration:
        """What :meth:`as_dict` gave.

        Raises:
            KeyError, TypeError, ValueError, OverflowError: an entry is missing, or is no number
                that it may be.
        """
        found = {field.name: data[field.name] for field in fields(cls)}
        if found["reject_threshold_"] is None:
            found["reject_threshold_"] = -math.inf
        numbers = {name: float(value) for name, value in found.items()}
        if not 0 < numbers["temperature_"] < math.inf:
            raise ValueError(f"a temperature of {numbers['temperature_']:g}")
        return cls(**{**numbers, "clips": int(found["clips"])})  # type: ignore[arg-type]


def fit_temperature(scores: Tensor, targets: Tensor) -> float:
    """The temperature that minimises the mean negative log likelihood of `scores / T`.

    The likelihood is concave in 1/T, so a golden-section search over log T finds its one
    optimum. The search spans e^±7 (about a thousandfold) around the spread of the scores: scores
    that are always right, or useless, end at a bound instead of at 0 or infinity.
    """
    spread = float(scores.std()) or 1.0
    low, high = math.log(spread) - 7, math.log(spread) + 7
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
    own = torch.nn.functional.one_hot(targets, stacked.shape[1]).bool()
    with_class, without = stacked.amax(dim=1), stacked.masked_fill(own, -torch.inf).amax(dim=1)
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


def _nll(z: Tensor, targets: Tensor) -> float:
    return float(torch.nn.functional.cross_entropy(z, targets))
