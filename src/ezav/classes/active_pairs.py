"""Active pairs of a sequence, counted by a merge sweep in O(n log n), in numba.

A pair "a before b" of a sequence x is active when `x_b < x_a + margin`. For each element a the
count is `k_a` = (active pairs in which a comes first) - (active pairs in which a comes second).
The counts come from a merge sort of x: while a sorted run is merged with the one after it, the
number of active partners of an element is how far the other run has been read.

Speed: short sequences are counted pair by pair, which the compiler turns into vector
instructions; longer ones start from blocks counted that way. A merge runs from both ends at once,
branch-free, because a mispredicted branch costs more than the work itself.
"""

# mypy: disable-error-code="assignment"
# (numpy's integer types stand for machine types here and mix with int, as numba reads them)
from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np
import numpy.typing as npt

# Above this length merging beats counting all pairs (docs/measurements/class-embeddings.md).
_BRUTE = 640
_LEAF = 192
# Loops over a multiple of this many elements leave no remainder outside vector instructions.
_LANES = 32
_ONE = np.int32(1)
_ZERO = np.int32(0)

Array = npt.NDArray[Any]
Number = np.floating[Any] | float
Function = TypeVar("Function", bound=Callable[..., Any])


def jit(function: Function, fastmath: bool | set[str] = False) -> Function:
    """Compile without the interpreter lock; keep the machine code where the disk allows it."""
    try:
        compiled: Function = numba.njit(nogil=True, cache=True, fastmath=fastmath)(function)
    except RuntimeError:  # no writable place for numba's cache: compile anew in each process
        compiled = numba.njit(nogil=True, fastmath=fastmath)(function)
    return compiled


def jit_sums(function: Function) -> Function:
    """The same for sums that may be taken in any order, as vector instructions need."""
    return jit(function, fastmath={"reassoc", "contract"})


@jit
def _count_pairs(x: Array, y: Array, lo: int, hi: int, k: Array, seen: Array, kk: Array) -> int:
    """Count every pair of x[lo:hi] (y = x + margin), adding to k; returns the active pairs.

    Four later elements b meet all earlier ones a at once. `seen` holds the y of the earlier
    elements and -inf after them, so that whole vectors can be compared; behind those it keeps the
    least and the largest y of each full block. Where w still follows the order of t, the first
    blocks have no active pair with b and the last ones nothing else: both are settled unseen.
    """
    n = hi - lo
    room = (n + _LANES - 1) // _LANES * _LANES
    least = seen[room : room + room // _LANES]
    most = seen[room + room // _LANES : room + 2 * (room // _LANES)]
    pending = kk[room : room + room // _LANES]
    for a in range(room):
        seen[a] = -np.inf
        kk[a] = 0
    for block in range(room // _LANES):
        pending[block] = 0
    active = 0
    low, high = np.inf, -np.inf
    for b in range(0, n - n % 4, 4):
        full = b // _LANES
        if b % _LANES == 0:
            if full > 0:
                least[full - 1], most[full - 1] = low, high
            low, high = np.inf, -np.inf
        x0, x1, x2, x3 = x[lo + b], x[lo + b + 1], x[lo + b + 2], x[lo + b + 3]
        near, far = min(min(x0, x1), min(x2, x3)), max(max(x0, x1), max(x2, x3))
        begin = 0
        while begin < full and most[begin] <= near:
            begin += 1
        end = (b + _LANES - 1) // _LANES
        c0 = c1 = c2 = c3 = _ZERO
        if end == full:
            while end > begin and least[end - 1] > far:
                end -= 1
                pending[end] += 4
            c0 = c1 = c2 = c3 = np.int32((full - end) * _LANES)
        ys = seen[begin * _LANES : end * _LANES]
        ks = kk[begin * _LANES : end * _LANES]
        for a in range(len(ys)):
            v = ys[a]
            h0 = _ONE if v > x0 else _ZERO
            h1 = _ONE if v > x1 else _ZERO
            h2 = _ONE if v > x2 else _ZERO
            h3 = _ONE if v > x3 else _ZERO
            # numba widens a sum of int32 to int64; the casts keep 16 lanes in a vector.
            ks[a] = np.int32(ks[a] + np.int32(np.int32(h0 + h1) + np.int32(h2 + h3)))
            c0 = np.int32(c0 + h0)
            c1 = np.int32(c1 + h1)
            c2 = np.int32(c2 + h2)
            c3 = np.int32(c3 + h3)
        # The six pairs among the four themselves.
        y0, y1, y2, y3 = y[lo + b], y[lo + b + 1], y[lo + b + 2], y[lo + b + 3]
        h01 = _ONE if y0 > x1 else _ZERO
        h02 = _ONE if y0 > x2 else _ZERO
        h03 = _ONE if y0 > x3 else _ZERO
        h12 = _ONE if y1 > x2 else _ZERO
        h13 = _ONE if y1 > x3 else _ZERO
        h23 = _ONE if y2 > x3 else _ZERO
        kk[b] += h01 + h02 + h03 - c0
        kk[b + 1] += h12 + h13 - h01 - c1
        kk[b + 2] += h23 - h02 - h12 - c2
        kk[b + 3] -= h03 + h13 + h23 + c3
        active += c0 + c1 + c2 + c3 + h01 + h02 + h03 + h12 + h13 + h23
        seen[b], seen[b + 1], seen[b + 2], seen[b + 3] = y0, y1, y2, y3
        low = min(low, min(min(y0, y1), min(y2, y3)))
        high = max(high, max(max(y0, y1), max(y2, y3)))
    for b in range(n - n % 4, n):
        for a in range(b):
            hit = _ONE if y[lo + a] > x[lo + b] else _ZERO
            kk[a] += hit
            kk[b] -= hit
            active += hit
    for a in range(n):
        k[lo + a] += kk[a] + pending[a // _LANES]
    return active


@jit
def _sort_block(x: Array, lo: int, hi: int, xs: Array, ids: Array, place: Array) -> None:
    """Sort x[lo:hi] into xs, ids by counting for each element the smaller ones (vectorised)."""
    n = hi - lo
    for a in range(n):
        place[a] = 0
        ids[lo + a] = lo + a  # whatever the input (not-a-number), an id is a valid index
    for b in range(0, n - n % 2, 2):
        x0, x1 = x[lo + b], x[lo + b + 1]
        before = x[lo : lo + b]
        places = place[:b]
        g0 = g1 = _ZERO
        for a in range(b):
            v = before[a]
            h0 = _ONE if v > x0 else _ZERO
            h1 = _ONE if v > x1 else _ZERO
            places[a] = np.int32(places[a] + np.int32(h0 + h1))
            g0 = np.int32(g0 + h0)
            g1 = np.int32(g1 + h1)
        hit = _ONE if x0 > x1 else _ZERO
        place[b] = b - g0 + hit
        place[b + 1] = b + 1 - g1 - hit
    if n % 2 == 1:
        b = n - 1
        place[b] = b
        for a in range(b):
            hit = _ONE if x[lo + a] > x[lo + b] else _ZERO
            place[a] += hit
            place[b] -= hit
    for a in range(n):
        xs[lo + place[a]] = x[lo + a]
        ids[lo + place[a]] = lo + a


@jit
def _merge_runs(
    xs: Array, ids: Array, lo: int, w: int, margin: Number, k: Array, xs2: Array, ids2: Array
) -> int:
    """Merge the sorted runs [lo, lo+w) and [lo+w, lo+2w) into xs2, ids2, counting active pairs.

    Four sweeps advance together, w steps each: counting (left run shifted by the margin) and
    merging, each from the front and from the back. As both runs have w elements, a sweep of w
    steps cannot leave them, so that no end needs to be tested for. With t = 1 if the right run's
    element comes first, `D & -t` picks between two places without a branch.
    """
    left, right = xs[lo : lo + w], xs[lo + w : lo + 2 * w]
    id_in = ids[lo : lo + 2 * w]
    x_out, id_out = xs2[lo : lo + 2 * w], ids2[lo : lo + 2 * w]
    active = 0
    i = p = 0
    back_i = back_p = w - 1
    last = 2 * w - 1
    for s in range(w):
        j = s - i
        t = np.int64(right[np.uint64(j)] < left[np.uint64(i)] + margin)
        gap = (w + j - i) & -t
        partners = j - gap  # j for a left element, -(w - i) for a right one
        k[id_in[np.uint64(i + gap)]] += np.int32(partners)
        active += partners & (t - 1)
        i += 1 - t

        j = 2 * w - 2 - s - back_i
        t = np.int64(right[np.uint64(j)] < left[np.uint64(back_i)] + margin)
        gap = (w + j - back_i) & -t
        partners = back_i + 1 - w + gap
        k[id_in[np.uint64(w + j - gap)]] += np.int32(partners)
        active += partners & -t
        back_i -= t

        q = s - p
        a, b = left[np.uint64(p)], right[np.uint64(q)]
        t = np.int64(b < a)
        x_out[np.uint64(s)] = b if t else a
        id_out[np.uint64(s)] = id_in[np.uint64(p + ((w + q - p) & -t))]
        p += 1 - t

        q = 2 * w - 2 - s - back_p
        a, b = left[np.uint64(back_p)], right[np.uint64(q)]
        t = np.int64(b < a)
        x_out[np.uint64(last - s)] = a if t else b
        id_out[np.uint64(last - s)] = id_in[np.uint64(w + q - ((w + q - back_p) & -t))]
        back_p -= t
    return active


@jit
def runs_of(n: int) -> tuple[int, int]:
    """The length of the blocks to start from, and their number, a power of two."""
    if n <= _BRUTE:
        return n, 1
    blocks = 1
    while blocks * _LEAF < n:
        blocks *= 2
    return (n + blocks - 1) // blocks, blocks


@jit
def work_room(n: int) -> int:
    """How much `_count_pairs` needs to work on sequences of up to n elements."""
    longest = min(n, _BRUTE) + _LANES
    return longest + 2 * (longest // _LANES + 1)


@jit
def count_active(
    x: Array,
    y: Array,
    first: int,
    end: int,
    margin: Number,
    k: Array,
    seen: Array,
    small: Array,
    runs: Array,
    ids: Array,
) -> int:
    """Add the counts of x[first:end] to k; returns the number of active pairs.

    `x`, `y`, `k` have room after `end`, which is filled with +inf while it is borrowed.
    """
    leaf, blocks = runs_of(end - first)
    if blocks == 1:
        return _count_pairs(x, y, first, end, k, seen, small)
    n = leaf * blocks
    # Equal runs need leaf * blocks elements: the last ones are infinitely far and never active.
    xs, xs2, padded, padded_y = runs[0, :n], runs[1, :n], runs[2, :n], runs[3, :n]
    ids1, ids2 = ids[0, :n], ids[1, :n]
    counts = np.zeros(n, np.int32)
    for a in range(n):
        padded[a] = x[first + a] if first + a < end else np.inf
        padded_y[a] = padded[a] + margin
    active = 0
    for lo in range(0, n, leaf):
        active += _count_pairs(padded, padded_y, lo, lo + leaf, counts, seen, small)
        _sort_block(padded, lo, lo + leaf, xs, ids1, small)
    w = leaf
    while w < n:
        for lo in range(0, n, 2 * w):
            active += _merge_runs(xs, ids1, lo, w, margin, counts, xs2, ids2)
        xs, xs2 = xs2, xs
        ids1, ids2 = ids2, ids1
        w *= 2
    for a in range(end - first):
        k[first + a] += counts[a]
    return active
