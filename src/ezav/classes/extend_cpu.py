"""Placing new classes among frozen ones: the descent of `extend.py`, compiled.

The new class stays in the span of the frozen ones and of where it starts (and, for proximity, of
its text): the descent works on coefficients there and on inner products, so that a step costs C²
operations, whatever the dimension.
"""

# mypy: disable-error-code="assignment"
from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ezav.classes.active_pairs import Array, Number, jit, jit_sums
from ezav.classes.ranking_cpu import rank_sequence, rank_value, work_of


class OldClasses(NamedTuple):
    """C frozen classes, prepared once for any number of new ones; all float64.

    Embeddings `w` and texts `t` `[C, d]`; `shift` `[C, d]`, with which a text predicts how far it
    moves; inner products `gram` of `w` `[C, C]` (in float32 they would not do: among more classes
    than dimensions coefficients cancel); for each class the others, nearest first: their distances
    in `w` and in text `[C, C-1]`. `nearest` `[C]` is the distance to the nearest one.
    """

    w: Array
    t: Array
    shift: Array
    gram: Array
    near_w: Array
    near_t: Array
    nearest: Array


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


class _New(NamedTuple):
    """A class to place: order int32 and tied bool `[C]` of the frozen ones by text distance; room.

    For each frozen class c its cost changes slope as the new one moves away: `breaks` `[C, C-1]`,
    their prefix `sums`, and of the others nearer than the new one in text the number `farther` and
    the sum of breaks `farther_sum` `[C]`.
    """

    order: Array
    tied: Array
    breaks: Array
    sums: Array
    farther: Array
    farther_sum: Array
    pieces: Array


@jit_sums
def _dot(a: Array, b: Array) -> float:
    total = 0.0
    for i in range(len(a)):
        total += a[i] * b[i]
    return total


@jit
def _add(row: Array, factor: Number, to: Array) -> None:
    for i in range(len(to)):
        to[i] += factor * row[i]


@jit
def _fill_breaks(d_new: Array, old: OldClasses, margin: float, new: _New) -> None:
    """A pair of the new class and another, seen from c, costs `max(0, m - sign (x - d_w))`.

    x is the new class's distance to c; the sign is +1 where it is farther than the other one in
    text, -1 where it is nearer: the pair breaks at `d_w + sign m`. Ties cost a constant. Both kinds
    come in order and are merged.
    """
    classes, others = old.near_w.shape
    for c in range(classes):
        out, plus, minus, count = 0, 0, 0, 0
        total, ahead = 0.0, 0.0
        limit = d_new[c]
        while True:
            while plus < others and not old.near_t[c, plus] < limit:
                plus += 1
            while minus < others and not old.near_t[c, minus] > limit:
                minus += 1
            if plus == others and minus == others:
                break
            up = old.near_w[c, plus] + margin if plus < others else np.inf
            down = old.near_w[c, minus] - margin if minus < others else np.inf
            if down <= up:
                here = down
                minus += 1
            else:
                here = up
                plus += 1
                count += 1
                ahead += up
            total += here
            new.breaks[c, out] = here
            new.sums[c, out] = total
            out += 1
        for rest in range(out, others):
            new.breaks[c, rest] = np.inf
            new.sums[c, rest] = np.inf
        new.farther[c] = count
        new.farther_sum[c] = ahead


@jit
def _cost_to_others(new: _New, x: Array, slope: Array) -> float:
    """Σ over frozen anchors c of the hinges between the new class and the others; adds slopes.

    For an anchor the cost is piecewise linear in its distance x to the new class: a walk from the
    piece of the step before, kept in `pieces` int64 `[C]`, finds the piece of x, prefix sums its
    value.
    """
    total = 0.0
    for c in range(len(x)):
        r = new.pieces[c]
        while r > 0 and new.breaks[c, r - 1] >= x[c]:
            r -= 1
        while r < new.breaks.shape[1] and new.breaks[c, r] < x[c]:
            r += 1
        new.pieces[c] = r
        below = new.sums[c, r - 1] if r > 0 else 0.0
        total += new.farther_sum[c] - new.farther[c] * x[c] + r * x[c] - below
        slope[c] += 2.0 * (r - new.farther[c])
    return 2.0 * total


@jit
def _ranking_loss(
    new: _New, weights: Weights, x: Array, work: tuple[Array, ...], slope: Array
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
    loss += _cost_to_others(new, x, slope)
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
def _products(gram: Array, edge: Array, g: Array, found: Array) -> None:
    """`found[k]` = the inner product of the vector with coefficients `g` with vector k.

    `gram` `[C, C]` is of the frozen classes, `edge` `[2, C + 2]` of start and text with all.
    """
    classes = len(gram)
    found[:] = 0.0
    for c in range(classes):
        if g[c] != 0.0:
            _add(gram[c], g[c], found[:classes])
            found[classes] += g[c] * edge[0, c]
            found[classes + 1] += g[c] * edge[1, c]
    _add(edge[0], g[classes], found)
    _add(edge[1], g[classes + 1], found)


@jit
def _descend(
    edge: Array, old: OldClasses, new: _New, weights: Weights, descent: Descent
) -> tuple[Array, int, bool]:
    """Coefficients `[C + 2]` of the best point, the steps taken, if it converged."""
    classes = len(old.gram)
    start, text = classes, classes + 1
    x, slope = np.empty(classes), np.empty(classes)
    work = work_of(classes, x)
    # Vectors are coefficients of classes, start and text, each beside its products with these.
    here, at = np.zeros(classes + 2), edge[0].copy()
    gradient, along = np.empty(classes + 2), np.empty(classes + 2)
    momentum, towards = np.zeros(classes + 2), np.zeros(classes + 2)
    here[start] = 1.0
    point = here.copy()
    force = 0.0
    best = first = mark = np.inf
    rate, smallest = descent.rate, descent.rate / 32
    for step in range(1, descent.max_steps + 1):
        for c in range(classes):
            x[c] = np.sqrt(max(2.0 - 2.0 * at[c], 0.0))
        slope[:] = 0.0
        loss = 0.0
        if weights.ranking > 0:
            loss = _ranking_loss(new, weights, x, work, slope)
        loss = _with_separation(loss, old, weights.separation, x, slope)
        gradient[:] = 0.0
        for c in range(classes):
            if x[c] > 0:
                gradient[c] = -slope[c] / x[c]
        if weights.proximity > 0:
            gap = np.sqrt(max(2.0 - 2.0 * at[text], 0.0))
            loss += weights.proximity * gap
            if gap > 0:
                gradient[text] -= weights.proximity / gap
        _products(old.gram, edge, gradient, along)
        inward = _dot(gradient, at)  # the gradient keeps to the sphere
        _add(here, -inward, gradient)
        _add(at, -inward, along)

        if step == 1:
            first = mark = loss
        if loss < best:
            best = loss
            point[:] = here
        if step % 10 == 1 and step > 1:
            if mark - best <= descent.tolerance * (first - best):
                rate /= 2
                if rate < smallest:
                    return point, step, True
            mark = best
        for i in range(classes + 2):
            momentum[i] = 0.9 * momentum[i] + 0.1 * gradient[i]
            towards[i] = 0.9 * towards[i] + 0.1 * along[i]
        force = 0.99 * force + 0.01 * _dot(gradient, along)
        size = np.sqrt(max(force, 0.0) / (1 - 0.99**step))
        if size > 0:
            pace = rate / (1 - 0.9**step) / size
            _add(momentum, -pace, here)
            _add(towards, -pace, at)
            length = np.sqrt(_dot(here, at))
            for i in range(classes + 2):
                here[i] /= length
                at[i] /= length
    return point, descent.max_steps, False


@jit
def _start(text: Array, old: OldClasses, products: Array, start: Array) -> None:
    """Where the move of the frozen classes, regressed on their texts, takes this text."""
    for c in range(len(products)):
        products[c] = _dot(old.t[c], text)
    start[:] = text
    for c in range(len(products)):
        _add(old.shift[c], products[c], start)
    length = np.sqrt(_dot(start, start))
    if length < 1e-3:
        start[:] = text
        length = 1.0
    for i in range(len(start)):
        start[i] /= length


@jit
def place_all(
    texts: Array, old: OldClasses, weights: Weights, descent: Descent
) -> tuple[Array, Array, Array]:
    """Place each of M new classes as if it alone joined the frozen ones.

    Args:
        texts: float64 unit rows `[M, d]`.
        old, weights, descent: see there.

    Returns:
        The embeddings float64 `[M, d]`, the steps int64 `[M]`, whether it converged bool `[M]`.
    """
    classes, dim = old.w.shape
    ranked = weights.ranking > 0
    room = classes if ranked else 0
    found = np.zeros(texts.shape)
    steps, converged = np.zeros(len(texts), np.int64), np.zeros(len(texts), np.bool_)
    products, d_new, start = np.empty(classes), np.empty(classes), np.empty(dim)
    new = _New(
        np.empty(classes, np.int32),
        np.zeros(classes, np.bool_),
        np.empty((room, classes - 1)),
        np.empty((room, classes - 1)),
        np.empty(room),
        np.empty(room),
        np.empty(classes, np.int64),
    )
    edge = np.empty((2, classes + 2))  # products of start and of text with all
    for row in range(len(texts)):
        text = texts[row]
        _start(text, old, products, start)
        for c in range(classes):
            d_new[c] = np.sqrt(max(2.0 - 2.0 * products[c], 0.0))
            edge[0, c] = _dot(old.w[c], start)
            edge[1, c] = _dot(old.w[c], text)
        edge[0, classes] = _dot(start, start)
        edge[0, classes + 1] = edge[1, classes] = _dot(start, text)
        edge[1, classes + 1] = _dot(text, text)
        new.order[:] = np.argsort(d_new)
        for a in range(1, classes):
            new.tied[a] = d_new[new.order[a]] == d_new[new.order[a - 1]]
        new.pieces[:] = (classes - 1) // 2
        if ranked:
            _fill_breaks(d_new, old, weights.margin, new)
        point, steps[row], converged[row] = _descend(edge, old, new, weights, descent)
        for c in range(classes):
            _add(old.w[c], point[c], found[row])
        _add(start, float(point[classes]), found[row])
        _add(text, float(point[classes + 1]), found[row])
        found[row] /= np.sqrt(_dot(found[row], found[row]))
    return found, steps, converged
