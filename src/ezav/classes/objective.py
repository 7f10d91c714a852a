"""Equation (4) on the unit sphere: both terms on one scale, with the gradient, in chunks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ezav.classes.geometry import CHUNK, separation_bound, text_order
from ezav.classes.ranking import TripletOrder, checked_margin, rank
from ezav.errors import EzavError
from ezav.threads import in_parts

Semantic = Literal["ranking", "proximity"]
Ranking = Literal["exact", "sampled"]
Scaling = Literal["balanced", "mean", "sum"]

# A range smaller than this (a distance) is no range: it would blow rounding up to a force.
_LEAST_RANGE = 1e-3


@dataclass(frozen=True, kw_only=True)
class ObjectiveSettings:
    """What is minimised: `(1-α) L_sem + α L_sep`, equation (4).

    Raises:
        EzavError: α outside [0, 1], a negative margin, no triplets to sample, an unknown word.
    """

    alpha: float = 0.5
    """Weigh separation against semantics by this much, 0 to 1."""
    margin: float = 0.1
    """Keep this margin m in the ranking loss, a distance."""
    semantic: Semantic = "ranking"
    """Keep the order of distances (3), or stay close to the text (2), as the semantic term."""
    ranking: Ranking = "exact"
    """Take all triplets at every step, or a fresh random sample of them."""
    samples: int = 10_000
    """Sample so many triplets a step."""
    reduction: Scaling = "balanced"
    """Scale the terms against each other in this way: `balanced`, `mean` or the literal `sum`."""

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1:
            raise EzavError(f"alpha is {self.alpha}", "it weighs two terms: give 0 to 1")
        checked_margin(self.margin)
        if self.samples < 1:
            raise EzavError(f"cannot sample {self.samples} triplets", "give 1 or more")
        for word, allowed in (
            (self.semantic, ("ranking", "proximity")),
            (self.ranking, ("exact", "sampled")),
            (self.reduction, ("balanced", "mean", "sum")),
        ):
            if word not in allowed:
                raise EzavError(f"no setting '{word}'", "use one of " + ", ".join(allowed))


@dataclass(frozen=True, slots=True)
class Scales:
    """What each *mean* term is divided by before α weighs them."""

    semantic: float
    separation: float


@dataclass(frozen=True, slots=True)
class Step:
    """The objective at one `w`: its value, its parts, its gradient along the sphere `[C, d]`."""

    loss: float
    semantic: float
    nearest: float
    gradient: Tensor


class Objective:
    """Equation (4) as a function of `w`, for text embeddings `t` (both unit rows).

    **Balanced** terms, the default, are measured each in units of its own range between two
    well-defined ends, as multi-objective optimization does (utopia and nadir points). One end is
    the text embeddings themselves: best semantics. The other is the regular simplex: best
    separation, and no order at all, so that each triplet costs exactly m. Hence

        L_sep is divided by  bound - mean nearest-neighbour distance of t,
        L_sem is divided by  m - mean ranking loss of t        (proximity: by √2),

    and going all the way from t to the simplex changes both terms by 1. The scales follow from
    C, d and the encoder's own geometry; no constant is tuned.

    `target` is the order of distances to keep, by default that of `t`. Give it where `t` are
    coordinates: rounding parts the distances of classes with one and the same text.
    """

    def __init__(
        self,
        t: Tensor,
        settings: ObjectiveSettings,
        seed: int = 0,
        target: TripletOrder | None = None,
    ) -> None:
        self.t = t
        self.settings = settings
        self.target = text_order(t) if target is None else target
        self.generator = torch.Generator(device=t.device).manual_seed(seed)
        self._weights = (1.0, 1.0)
        self._kept: tuple[Tensor, Tensor] | None = None
        self.scales = self._scales()
        self._weights = (
            (1 - settings.alpha) / self.scales.semantic,
            settings.alpha / self.scales.separation,
        )

    def _scales(self) -> Scales:
        classes, dim = self.t.shape
        settings = self.settings
        if settings.reduction == "mean":
            return Scales(1.0, 1.0)
        if settings.reduction == "sum":
            terms = self.target.triplets if settings.semantic == "ranking" else classes
            return Scales(1 / max(terms, 1), 1 / classes)
        start = self._evaluate(self.t.float(), exact=True)
        separation = separation_bound(classes, dim) - start.nearest
        semantic = math.sqrt(2)
        if settings.semantic == "ranking":
            semantic = settings.margin - start.semantic
        return Scales(max(semantic, _LEAST_RANGE), max(separation, _LEAST_RANGE))

    def __call__(self, w: Tensor) -> Step:
        """The objective and its gradient at unit rows `w` float32 `[C, d]`."""
        return self._evaluate(w, exact=self.settings.ranking == "exact")

    def _evaluate(self, w: Tensor, exact: bool) -> Step:
        classes = len(w)
        semantic_weight, separation_weight = self._weights
        forces, room = self._rooms(w)
        nearest = semantic = 0.0
        step = len(room)
        compiled = exact and w.device.type == "cpu" and self._ranked
        for start in range(0, classes, step):
            rows = w[start : start + step]
            products = torch.mm(rows, w.T, out=room[: len(rows)])
            fill = self._forces_compiled if compiled else self._forces
            value, least = fill(products, start, exact, forces[start : start + step])
            semantic += value
            nearest += least
        gradient = torch.empty_like(w)
        for start in range(0, classes, step):
            part = forces[start : start + step]
            both = torch.add(part, forces[:, start : start + step].T, out=room[: len(part)])
            # ∂‖w_c - w_i‖/∂w_i is (w_i - w_c)/distance; its part along w_i is projected away.
            torch.mm(both, w, out=gradient[start : start + step])
        gradient.neg_()
        if self.settings.semantic == "proximity":
            offset = w - self.t.to(w)
            length = offset.norm(dim=1, keepdim=True)
            semantic = float(length.mean())
            gradient += semantic_weight / classes * torch.where(length > 0, offset / length, 0)
        gradient -= (gradient * w).sum(dim=1, keepdim=True) * w
        nearest /= classes
        loss = semantic_weight * semantic - separation_weight * nearest
        return Step(loss, semantic, nearest, gradient)

    def _rooms(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Room for all forces `[C, C]` and for a chunk `[R, C]`, kept from step to step."""
        if self._kept is None or self._kept[0].dtype != w.dtype:
            classes = len(w)
            room = w.new_empty(min(classes, max(1, CHUNK // classes)), classes)
            self._kept = w.new_empty(classes, classes), room
        return self._kept

    @property
    def _ranked(self) -> bool:
        return self.settings.semantic == "ranking" and self.target.triplets > 0

    def _forces(
        self, products: Tensor, start: int, exact: bool, forces: Tensor
    ) -> tuple[float, float]:
        """Fill `forces` with ∂loss/∂distance over the distance, for anchors from `start` on.

        Takes the products `[R, C]` of the anchors with all classes, and uses them up. Returns
        the anchors' part of the mean ranking loss and the sum of their nearest distances.
        """
        triplets = self.target.triplets
        distance = products.mul_(-2).add_(2).clamp_(min=0).sqrt_()
        own = torch.arange(start, start + len(distance), device=distance.device)
        distance.scatter_(1, own[:, None], torch.inf)
        least, neighbour = distance.min(dim=1)
        value = 0.0
        forces.zero_()
        if self._ranked:
            part = self.target.rows(start, start + len(distance))
            if exact:
                result = rank(distance, part, self.settings.margin)
                value = result.value
                forces.copy_(result.gradient)
            else:
                value = self._sampled(distance, part, start, forces)
            forces.mul_(self._weights[0] / triplets)
        forces[own - start, neighbour] -= self._weights[1] / len(self.t)
        # Between coinciding classes there is no direction, and no force.
        forces.div_(distance.masked_fill_(distance == 0, torch.inf))
        return value / max(triplets, 1), float(least.sum())

    def _forces_compiled(
        self, products: Tensor, start: int, exact: bool, forces: Tensor
    ) -> tuple[float, float]:
        """The same as :meth:`_forces` for the exact ranking on a CPU, in one compiled sweep."""
        from ezav.classes.ranking_cpu import force_rows

        found, wanted = products.numpy(), forces.numpy()
        order, tied = self.target.rows(start, start + len(found)).arrays()
        values, nearest = np.empty((2, len(found)))
        weights = self._weights[0] / self.target.triplets, self._weights[1] / len(self.t)
        margin = found.dtype.type(self.settings.margin)

        def work(rows: slice) -> None:
            given = found[rows], start + rows.start, order[rows], tied[rows], margin
            force_rows(*given, *weights, wanted[rows], values[rows], nearest[rows])

        in_parts(work, *found.shape)
        return float(values.sum()) / self.target.triplets, float(nearest.sum())

    def _sampled(self, distance: Tensor, part: TripletOrder, start: int, force: Tensor) -> float:
        """An unbiased estimate of (3) over some anchors, from their share of the sample.

        Returns the value; the gradient by `distance` is added to `force`.
        """
        rows, others = part.order.shape
        count = max(1, round(self.settings.samples * rows / len(self.t)))

        def draw(high: int) -> Tensor:
            options: dict[str, Any] = {"generator": self.generator, "device": distance.device}
            return torch.randint(high, (count,), **options)

        anchor = draw(rows)
        first, second = draw(others), draw(others - 1)
        second = second + (second >= first)
        # Places in the sorted order say which of the two is nearer in text; a tie has sign 0.
        sign = torch.sign(first - second).to(distance.dtype)
        if part.tied is not None:
            group = (~part.tied).cumsum(dim=1)
            sign = sign * (group[anchor, first] != group[anchor, second])
        i, j = part.order[anchor, first].long(), part.order[anchor, second].long()
        cost = self.settings.margin - sign * (distance[anchor, i] - distance[anchor, j])
        each = part.triplets / count
        pull = torch.where(cost > 0, sign * each, 0)
        force.index_put_((anchor, i), -pull, accumulate=True)
        force.index_put_((anchor, j), pull, accumulate=True)
        return float(cost.clamp(min=0).sum()) * each
