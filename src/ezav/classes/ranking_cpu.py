"""The exact ranking loss on a CPU: a merge sweep for each anchor, O(C log C), in numba.

For one anchor let `x` be the distances to the other classes, listed in the order of the *text*
distances. Its part of equation (3) is a pairwise hinge, `2 Σ_{a before b} max(0, m + x_a - x_b)`.
A pair is active when `x_b < x_a + m`. With `k_a` = (active pairs in which a comes first) - (active
pairs in which a comes second) and `A` the number of active pairs,

    value = 2 (m A + Σ_a k_a x_a),        gradient = 2 k,

so two counts for each element are all there is to compute: `active_pairs.py` counts them. Pairs
tied in the text distances are counted like the others and then taken out again, group by group.
"""

# mypy: disable-error-code="assignment"
# (numpy's integer types stand for machine types here and mix with int, as numba reads them)
from __future__ import annotations

import numpy as np

from ezav.classes.active_pairs import (
    Array,
    Function,
    Number,
    count_active,
    jit,
    jit_sums,
    runs_of,
    work_room,
)


@jit_sums
def _weighted_sum(k: Array, x: Array) -> float:
    total = 0.0
    for a in range(len(x)):
        total += np.float64(k[a]) * np.float64(x[a])
    return total


@jit
def work_of(n: int, like: Array) -> tuple[Array, ...]:
    """Room for :func:`rank_sequence` on sequences of n elements of the type of `like`.

    The sequence x itself is the first array of it, its counts k are the second.
    """
    leaf, blocks = runs_of(n)
    room = leaf * blocks if blocks > 1 else 0
    seen = np.empty(work_room(n), like.dtype)
    return (
        np.empty(n, like.dtype),
        np.empty(n, np.int32),
        np.empty(n, like.dtype),
        seen,
        np.empty(len(seen), np.int32),
        np.empty((4, room), like.dtype),
        np.empty((2, room), np.uint32),
    )


@jit
def rank_sequence(work: tuple[Array, ...], tied: Array, margin: Number) -> tuple[int, int]:
    """Set the counts k of a sequence x (both in `work`); returns the active and the tied pairs.

    `tied` bool `[n]` (or `[0]`: none): same text distance as the element before. `margin` has
    the type of x. Tied pairs are not active.
    """
    x, k, y, seen, small, runs, ids = work
    n = len(x)
    for a in range(n):
        y[a] = x[a] + margin
        k[a] = 0
    active = count_active(x, y, 0, n, margin, k, seen, small, runs, ids)
    ties = start = 0
    while start < len(tied):
        end = start + 1
        while end < n and tied[end]:
            end += 1
        if end - start > 1:
            out = np.zeros(n, np.int32)
            active -= count_active(x, y, start, end, margin, out, seen, small, runs, ids)
            for a in range(start, end):
                k[a] -= out[a]
            ties += (end - start) * (end - start - 1) // 2
        start = end
    return active, ties


@jit
def rank_value(x: Array, k: Array, active: int, ties: int, margin: Number) -> float:
    value: float = 2.0 * (np.float64(margin) * (active + ties) + _weighted_sum(k, x))
    return value


@jit
def rank_rows(
    d_w: Array,
    order: Array,
    tied: Array,
    margin: Number,
    gradient: Array,
    values: Array,
    active_pairs: Array,
) -> None:
    """Fill `gradient` `[R, C]` and `values` float64 `[R]` with equation (3) for R anchors.

    `d_w` `[R, C]`; `order` int32 `[R, C-1]`: the other classes of each anchor by text distance;
    `tied` bool `[R, C-1]` (or `[R, 0]`): same text distance as the element before. `margin` has
    the type of `d_w`. The gradient of the anchor's own column is left alone. `active_pairs`
    int64 `[R]` gets the number of untied pairs that cost something.
    """
    rows, n = order.shape
    work = work_of(n, d_w)
    x, k = work[0], work[1]
    for row in range(rows):
        for a in range(n):
            x[a] = d_w[row, order[row, a]]
        active, ties = rank_sequence(work, tied[row], margin)
        for a in range(n):
            gradient[row, order[row, a]] = 2 * k[a]
        values[row] = rank_value(x, k, active, ties, margin)
        active_pairs[row] = active


def _jit_least(function: Function) -> Function:
    return jit(function, fastmath={"nnan", "nsz"})


@_jit_least
def _least(x: Array) -> Number:
    least: Number = x[0]
    for a in range(1, len(x)):
        least = min(least, x[a])
    return least


@jit
def force_rows(
    products: Array,
    first: int,
    order: Array,
    tied: Array,
    margin: Number,
    ranking_weight: float,
    separation_weight: float,
    forces: Array,
    values: Array,
    nearest: Array,
) -> None:
    """Equation (4) for R anchors in one sweep: forces between the anchors and all classes.

    Args:
        products: `[R, C]` inner products of unit vectors; row r belongs to class `first` + r.
        order, tied, margin: as for :func:`rank_rows`.
        ranking_weight, separation_weight: of one triplet, of one class.
        forces: `[R, C]`, filled with the derivative by each distance, over the distance (0
            between coinciding classes and for the class itself).
        values: float64 `[R]`, filled with equation (3).
        nearest: float64 `[R]`, filled with the distances to the nearest class.
    """
    rows, n = order.shape
    work = work_of(n, products)
    x, k, pull = work[:3]
    distance = np.empty(n + 1, products.dtype)
    zero, two = distance.dtype.type(0), distance.dtype.type(2)
    weight = distance.dtype.type(2 * ranking_weight)
    for row in range(rows):
        for c in range(n + 1):
            distance[c] = np.sqrt(max(two - two * products[row, c], zero))
        distance[first + row] = np.inf
        least = _least(distance)
        nearest[row] = least
        for a in range(n):
            x[a] = distance[order[row, a]]
        active, ties = rank_sequence(work, tied[row], margin)
        values[row] = rank_value(x, k, active, ties, margin)
        for a in range(n):
            force = weight * np.float32(k[a])
            pull[a] = force / x[a] if x[a] > zero else zero
        for a in range(n):
            forces[row, order[row, a]] = pull[a]
        forces[row, first + row] = zero
        if least > zero:
            neighbour = 0
            while distance[neighbour] != least:
                neighbour += 1
            forces[row, neighbour] -= x.dtype.type(separation_weight) / least
