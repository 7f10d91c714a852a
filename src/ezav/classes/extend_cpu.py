"""Placing one new class among frozen ones: the descent of `extend.py`, compiled."""

# mypy: disable-error-code="assignment"
from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ezav.classes.active_pairs import Array, jit, jit_sums
from ezav.classes.ranking_cpu import rank_sequence, rank_value, work_of


@jit_sums
def _distances(w: Array, point: Array, x: Array) -> None:
    """x_c = ‖w_c - point‖ for unit vectors `w` float32 `[C, d]`, `point` float32 `[d]`."""
    for c in range(len(x)):
        product = np.float32(0)
        for i in range(len(point)):
            product += w[c, i] * point[i]
        x[c] = np.sqrt(max(2.0 - 2.0 * float(product), 0.0))


@jit
def _cost_to_others(
    x: Array,
    breaks: Array,
    sums: Array,
    farther: Array,
    farther_sum: Array,
    pieces: Array,
    slope: Array,
) -> float:
    """Σ over frozen anchors c of the hinges between the new class and the others; adds slopes.

    For an anchor the cost is piecewise linear in its distance x to the new class, with a break
    for each other class: a walk from the piece of the step before, kept in `pieces` int64 `[C]`,
    finds the piece of x, prefix sums its value.
    """
    total = 0.0
    for c in range(len(x)):
        r = pieces[c]
        while r > 0 and breaks[c, r - 1] >= x[c]:
            r -= 1
        while r < breaks.shape[1] and breaks[c, r] < x[c]:
            r += 1
        pieces[c] = r
        below = sums[c, r - 1] if r > 0 else 0.0
        total += farther_sum[c] - farther[c] * x[c] + r * x[c] - below
        slope[c] += 2.0 * (r - farther[c])
    return 2.0 * total


class NewClass(NamedTuple):
    """A class to place: where to start `[d]`, its text embedding `[d]`, its text distances.

    `order` int32 and `tied` bool `[C]`: the frozen classes by text distance from the new one, and
    which are as far as the one before.
    """

    start: Array
    text: Array
    order: Array
    tied: Array


class OldClasses(NamedTuple):
    """The frozen classes: embeddings `w` float32 `[C, d]`, distances to their nearest `[C]`."""

    w: Array
    nearest: Array


class Breaks(NamedTuple):
    """Where each frozen anchor's cost breaks: `breaks`, `sums` `[C, C-1]`, the others `[C]`."""

    breaks: Array
    sums: Array
    farther: Array
    farther_sum: Array


class Weights(NamedTuple):
    """Of the terms of equation (4), and the margin of the ranking."""

    margin: float
    ranking: float
    proximity: float
    separation: float


class Descent(NamedTuple):
    """The first step size, what ten steps must gain of the progress so far, the step limit."""

    rate: float
    tolerance: float
    max_steps: int


@jit
def _ranking_loss(
    new: NewClass,
    breaks: Breaks,
    weights: Weights,
    x: Array,
    work: tuple[Array, ...],
    pieces: Array,
    slope: Array,
) -> float:
    """The ranking term at the distances x; fills its slopes by them."""
    xo, k = work[0], work[1]  # in the order of text distance
    classes = len(x)
    for a in range(classes):
        xo[a] = x[new.order[a]]
    active, _ = rank_sequence(work, new.tied, weights.margin)
    loss = rank_value(xo, k, active, 0, weights.margin)
    for a in range(classes):
        slope[new.order[a]] += 2.0 * k[a]
    loss += _cost_to_others(
        x, breaks.breaks, breaks.sums, breaks.farther, breaks.farther_sum, pieces, slope
    )
    loss *= weights.ranking
    for c in range(classes):
        slope[c] *= weights.ranking
    return loss


@jit
def _with_separation(loss: float, old: OldClasses, weight: float, x: Array, slope: Array) -> float:
    """The loss with the separation term at the distances x (it is gained); adds its slopes."""
    closest = 0
    for c in range(len(x)):
        if x[c] < x[closest]:
            closest = c
    loss -= weight * x[closest]
    slope[closest] -= weight
    for c in range(len(x)):
        if x[c] < old.nearest[c]:  # the new class has become the nearest of an old one
            loss += weight * (old.nearest[c] - x[c])
            slope[c] -= weight
    return loss


@jit
def _pull(w: Array, x: Array, slope: Array) -> Array:
    """The gradient by the point, of slopes by its distances x to `w`; float64 `[d]`."""
    total = np.zeros(w.shape[1], np.float32)
    for c in range(len(x)):
        if x[c] > 0 and slope[c] != 0:
            pull = np.float32(slope[c] / x[c])
            for i in range(len(total)):
                total[i] -= pull * w[c, i]
    return total.astype(np.float64)


@jit
def place_one(
    new: NewClass, old: OldClasses, breaks: Breaks, weights: Weights, descent: Descent
) -> tuple[Array, int, bool]:
    """Descend from the start; returns the best point `[d]`, the steps taken, if it converged."""
    classes, dim = old.w.shape
    x, slope = np.empty(classes), np.empty(classes)
    work = work_of(classes, x)
    pieces = np.full(classes, breaks.breaks.shape[1] // 2)
    here, best_point = new.start.copy(), new.start.copy()
    momentum = np.zeros(dim)
    force = 0.0
    best = first = mark = np.inf
    rate, smallest = descent.rate, descent.rate / 32
    for step in range(1, descent.max_steps + 1):
        _distances(old.w, here.astype(np.float32), x)
        slope[:] = 0.0
        loss = 0.0
        if weights.ranking > 0:
            loss = _ranking_loss(new, breaks, weights, x, work, pieces, slope)
        loss = _with_separation(loss, old, weights.separation, x, slope)
        gradient = _pull(old.w, x, slope)
        if weights.proximity > 0:
            gap = np.sqrt(np.sum((here - new.text) ** 2))
            loss += weights.proximity * gap
            if gap > 0:
                gradient += weights.proximity / gap * (here - new.text)
        gradient -= np.sum(gradient * here) * here

        if step == 1:
            first = mark = loss
        if loss < best:
            best = loss
            best_point[:] = here
        if step % 10 == 1 and step > 1:
            if mark - best <= descent.tolerance * (first - best):
                rate /= 2
                if rate < smallest:
                    return best_point, step, True
            mark = best
        momentum = 0.9 * momentum + 0.1 * gradient
        force = 0.99 * force + 0.01 * np.sum(gradient * gradient)
        size = np.sqrt(force / (1 - 0.99**step))
        if size > 0:
            here = here - rate / (1 - 0.9**step) / size * momentum
            here = here / np.sqrt(np.sum(here * here))
    return best_point, descent.max_steps, False
