"""Each class on its own: whether a clip shows it, whatever else it shows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ezav.optimizers import Lbfgs
from ezav.protocol.evaluation import Evaluation

MIXED, AWAY = 0.5, 0.5
"""Mixtures, and clips without their class, for each clip as it is."""
PULL = 3.0
"""How strongly a class's own threshold is pulled to the common one: the precision of a normal prior
on it, in log odds. Of ten clips a class most is left to the clips."""
_MOST = 1000
"""Clips that are learned from: more say no more, and cost time."""
_STEPS = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Several:
    """The log odds that a clip shows a class, by the class's score and the best of all.

    `own · score_c - best · max_k score_k + base + offsets[c]`: a class must be good in itself
    ("none of these" is all of the rest) and not too far behind the best one. Learned on validation
    clips, on as many as `MIXED` says of two clips at once (whose scores are taken for the mean of
    the two clips'), and on clips whose class is taken from the candidates.

    Attributes:
        own, best, base: at least 0 the first two.
        offsets: class -> what it has more than the common log odds; a class that is not here, as
            one whose name alone is known, has 0.
        cut: the log odds from which a class is named: the best F1 over all clips and classes.
        f1_: of the names of single clips, each class measured by thresholds of other clips.
    """

    own: float
    best: float
    base: float
    cut: float
    f1_: float
    offsets: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))

    @classmethod
    def fit(cls, validation: Sequence[Evaluation], gamma: float) -> Several:
        """Learn from stored validation scores of one or several class folds, which are finite.

        Example:
            >>> scores = torch.tensor([[4.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 4.0]])
            >>> seen, names = torch.zeros(3, dtype=torch.bool), ("a", "b", "c")
            >>> clips = Evaluation(scores, torch.arange(3), seen, names, ("1", "2", "3"))
            >>> several = Several.fit([clips], 0.0)
            >>> mixed = torch.tensor([[2.0, 2.0, 0.0]])
            >>> (several.log_odds(mixed, mixed.amax(1), names) >= several.cut).tolist()
            [[True, True, False]]
        """
        parts = _parts(validation, gamma)
        half = [torch.arange(len(one[0])) % 2 == 0 for one in parts]
        names = validation[0].classes
        found = []
        for rows in (half, [~one for one in half]):
            some = [(s[r], t[r]) for (s, t), r in zip(parts, rows) if bool(r.any())]
            rest = [(s[~r], t[~r]) for (s, t), r in zip(parts, rows) if not bool(r.all())]
            if some and rest:
                found.append(_hits(_fitted(some, names), rest, names))
        hits = torch.tensor(found).sum(dim=0).tolist() if found else [0.0, 0.0]
        made = _fitted(parts, names)
        return cls(**{**made, "f1_": hits[0] / hits[1] if hits[1] else math.nan})

    def log_odds(self, stacked: Tensor, top: Tensor, names: Sequence[str]) -> Tensor:
        """Of stacked scores `[N, C]` of the named candidates.

        Args:
            stacked: the candidates' scores.
            top: `[N]`, the best score among all that the method scores.
            names: as the run calls them.
        """
        offsets = torch.tensor([self.offsets.get(name, 0.0) for name in names])
        found = self.own * stacked.double() - self.best * top.double()[:, None]
        return found + self.base + offsets

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        found = {**asdict(self), "offsets": dict(self.offsets)}
        return found | {"f1_": self.f1_ if math.isfinite(self.f1_) else None}

    @classmethod
    def of(cls, data: dict[str, Any]) -> Several:
        """What :meth:`as_dict` gave.

        Raises:
            KeyError, TypeError, ValueError: an entry is missing, or is no finite number.
        """
        known = {name: float(data[name]) for name in ("own", "best", "base", "cut")}
        offsets = {str(name): float(value) for name, value in dict(data["offsets"]).items()}
        for value in (*known.values(), *offsets.values()):
            if not math.isfinite(value):
                raise ValueError(f"a threshold of {value}")
        f1 = math.nan if data["f1_"] is None else float(data["f1_"])
        return cls(**known, offsets=offsets, f1_=f1)


_Part = tuple[Tensor, Tensor]
"""Stacked scores `[n, C]` and targets `[n]` of one fold."""


def _parts(validation: Sequence[Evaluation], gamma: float) -> list[_Part]:
    share = min(1.0, _MOST / max(1, sum(len(one.targets) for one in validation)))
    parts = []
    for one in validation:
        rows = torch.linspace(0, len(one.targets) - 1, max(1, round(share * len(one.targets))))
        stacked = one.scores.double() - gamma * one.seen.double()
        parts.append((stacked[rows.long()], one.targets[rows.long()]))
    return parts


@dataclass(frozen=True, slots=True)
class _Examples:
    """Scores `[N, C]`, the best of all `[N, 1]`, what is shown, what each pair counts."""

    scores: Tensor
    top: Tensor
    shown: Tensor
    weight: Tensor


def _examples(parts: Sequence[_Part]) -> _Examples:
    """Clips as they are, mixtures, and clips whose class is no candidate."""
    found: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
    for stacked, targets in parts:
        own = F.one_hot(targets, stacked.shape[1]).bool()
        found.append((stacked, stacked.amax(1, keepdim=True), own, torch.ones_like(stacked)))
        without = stacked.masked_fill(own, -torch.inf).amax(1, keepdim=True)
        found.append((stacked, without, torch.zeros_like(own), AWAY * (~own).double()))
        # Every clip with the one half the fold further on, in an order of the classes.
        order = targets.argsort(stable=True)
        other = order.roll(len(order) // 2)
        apart = targets[order] != targets[other]
        order, other = order[apart], other[apart]
        if len(order):
            mixed = (stacked[order] + stacked[other]) / 2
            share = torch.full_like(mixed, MIXED * len(targets) / len(order))
            found.append((mixed, mixed.amax(1, keepdim=True), own[order] | own[other], share))
    return _Examples(*(torch.cat(some) for some in zip(*found)))


def _fitted(parts: Sequence[_Part], names: Sequence[str]) -> dict[str, Any]:
    """Penalised logistic regression; then the cut."""
    all_of = _examples(parts)
    unit = float(all_of.scores.std()) or 1.0
    scores, wanted = all_of.scores / unit, all_of.shown.double()
    top = (all_of.top / unit).clamp(min=float(scores.min()))
    known = torch.zeros(scores.shape[1], dtype=torch.bool)
    known[torch.cat([targets for _, targets in parts])] = True
    free = torch.zeros(3 + scores.shape[1], dtype=torch.float64, requires_grad=True)
    optimizer = Lbfgs([free], max_iter=_STEPS, line_search_fn="strong_wolfe", tolerance_grad=1e-7)

    def log_odds(by: Tensor) -> Tensor:
        # Softplus: a better score never speaks against its class.
        return F.softplus(by[0]) * scores - F.softplus(by[1]) * top + by[2] + by[3:] * known

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.binary_cross_entropy_with_logits(
            log_odds(free), wanted, weight=all_of.weight, reduction="sum"
        )
        loss = loss + PULL / 2 * free[3:].square().sum() + 0.01 * free[:2].square().sum()
        torch.autograd.backward(loss)
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        found = log_odds(free)
        own, best = (float(F.softplus(one)) / unit for one in free[:2])
    offsets = free.detach()[3:].tolist()
    return {
        "own": own,
        "best": best,
        "base": float(free.detach()[2]),
        "cut": _best_cut(found.flatten(), wanted.flatten(), all_of.weight.flatten()),
        "offsets": {name: o for name, o, k in zip(names, offsets, known.tolist()) if k},
    }


def _best_cut(log_odds: Tensor, shown: Tensor, weight: Tensor) -> float:
    """Where what is above has the best F1; midway between two pairs."""
    order = log_odds.argsort(descending=True, stable=True)
    values, right = log_odds[order], (shown * weight)[order].cumsum(0)
    f1 = 2 * right / (weight[order].cumsum(0) + right[-1])
    f1[:-1][values[:-1] == values[1:]] = -1.0
    at = int(f1.argmax())
    below = values[at + 1] if at + 1 < len(values) else values[at] - 1
    return float((values[at] + below) / 2)


def _hits(
    made: dict[str, Any], parts: Sequence[_Part], names: Sequence[str]
) -> tuple[float, float]:
    """Twice the right names, and names told and wanted, of single clips."""
    several, right, count = Several(**made, f1_=math.nan), 0.0, 0.0
    for stacked, targets in parts:
        told = several.log_odds(stacked, stacked.amax(1), names) >= several.cut
        right += 2 * float(told[torch.arange(len(targets)), targets].sum())
        count += float(told.sum()) + len(targets)
    return right, count
