"""Placing one new class among frozen ones: the descent of `extend.py`, compiled."""

# mypy: disable-error-code="assignment"
from __future__ import annotations

from typing import Any

import numpy as np

from ezav.classes.active_pairs import jit, jit_sums
from ezav.classes.ranking_cpu import rank_sequence, rank_value, work_of

Array = Any


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


@jit
def place_one(
    start: Array,
    text: Array,
    w: Array,
    order: Array,
    tied: Array,
    breaks: Array,
    sums: Array,
    farther: Array,
    farther_sum: Array,
    nearest: Array,
    margin: float,
    ranking_weight: float,
    proximity_weight: float,
    separation_weight: float,
    rate: float,
    tolerance: float,
    max_steps: int,
) -> tuple[Array, int, bool]:
    """Descend from `start` `[d]`; returns the best point, the steps taken, and if it converged.

    `w` float32 `[C, d]` frozen embeddings; `order` int32, `tied` bool `[C]`: their text
    distances from the new class; `breaks`, `sums` `[C, C-1]`, `farther`, `farther_sum` `[C]`: see
    `_cost_to_others`; `nearest` `[C]`: their own nearest-neighbour distances.
    """
    classes, dim = w.shape
    x = np.empty(classes)
    work = work_of(classes, x)
    xo, k = work[0], work[1]  # in the order of text distance
    slope = np.empty(classes)
    pieces = np.full(classes, breaks.shape[1] // 2)
    here = start.copy()
    best_point = start.copy()
    momentum = np.zeros(dim)
    force = 0.0
    best = first = mark = np.inf
    smallest = rate / 32
    for step in range(1, max_steps + 1):
        closest = 0
        _distances(w, here.astype(np.float32), x)
        for c in range(classes):
            slope[c] = 0.0
            if x[c] < x[closest]:
                closest = c
        loss = 0.0
        if ranking_weight > 0:
            for a in range(classes):
                xo[a] = x[order[a]]
            active, _ = rank_sequence(work, tied, margin)
            loss = rank_value(xo, k, active, 0, margin)
            for a in range(classes):
                slope[order[a]] += 2.0 * k[a]
            loss += _cost_to_others(x, breaks, sums, farther, farther_sum, pieces, slope)
            loss *= ranking_weight
            for c in range(classes):
                slope[c] *= ranking_weight
        loss -= separation_weight * x[closest]
        slope[closest] -= separation_weight
        for c in range(classes):
            if x[c] < nearest[c]:  # the new class has become the nearest of an old one
                loss += separation_weight * (nearest[c] - x[c])
                slope[c] -= separation_weight
        total = np.zeros(dim, np.float32)
        for c in range(classes):
            if x[c] > 0 and slope[c] != 0:
                pull = np.float32(slope[c] / x[c])
                for i in range(dim):
                    total[i] -= pull * w[c, i]
        gradient = total.astype(np.float64)
        if proximity_weight > 0:
            gap = np.sqrt(np.sum((here - text) ** 2))
            loss += proximity_weight * gap
            if gap > 0:
                gradient += proximity_weight / gap * (here - text)
        gradient -= np.sum(gradient * here) * here

        if step == 1:
            first = mark = loss
        if loss < best:
            best = loss
            best_point[:] = here
        if step % 10 == 1 and step > 1:
            if mark - best <= tolerance * (first - best):
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
    return best_point, max_steps, False
