"""The exact ranking loss on a CPU: a merge sweep for each anchor, O(C log C), in numba.

For one anchor let `x` be the distances to the other classes, listed in the order of the *text*
distances. Its part of equation (3) is a pairwise hinge, `2 Σ_{a before b} max(0, m + x_a - x_b)`.
A pair is active when `x_b < x_a + m`. With `k_a` = (active pairs in which a comes first) - (active
pairs in which a comes second) and `A` the number of active pairs,

    value = 2 (m A + Σ_a k_a x_a),        gradient = 2 k,

so two counts for each element are all there is to compute. They come from a merge sort of `x`:
while two sorted halves are merged, the number of active partners of an element is the position of
the other half's pointer. Pairs tied in the text distances are counted like the others and then
taken out again, group by group.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

_LEAF = 64


def _jit(function: Any) -> Any:
    """Compile without the interpreter lock; keep the machine code where the disk allows it."""
    try:
        return numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # no writable place for numba's cache: compile anew in each process
        return numba.njit(nogil=True)(function)


@_jit
def _count_brute(x, lo, hi, margin, k):  # type: ignore[no-untyped-def]
    active = 0
    for a in range(lo, hi - 1):
        threshold = x[a] + margin
        count = np.int32(0)
        for b in range(a + 1, hi):
            hit = np.int32(x[b] < threshold)
            count += hit
            k[b] -= hit
        k[a] += count
        active += count
    return active


@_jit
def _count_sequence(x, first, end, margin, k, xs, ids, xs2, ids2):  # type: ignore[no-untyped-def]
    """Add each element's count over the active pairs of x[first:end] to k; return their number."""
    active = 0
    for lo in range(first, end, _LEAF):
        active += _count_brute(x, lo, min(end, lo + _LEAF), margin, k)
    if end - first <= _LEAF:
        return active
    for lo in range(first, end, _LEAF):
        hi = min(end, lo + _LEAF)
        leaf_order = np.argsort(x[lo:hi])
        for j in range(hi - lo):
            ids[lo + j] = lo + leaf_order[j]
            xs[lo + j] = x[lo + leaf_order[j]]
    width = _LEAF
    while width < end - first:
        for lo in range(first, end, 2 * width):
            mid = min(end, lo + width)
            hi = min(end, mid + width)
            i = lo
            j = mid
            while i < mid and j < hi:
                if xs[j] < xs[i] + margin:
                    k[ids[j]] -= mid - i
                    active += mid - i
                    j += 1
                else:
                    k[ids[i]] += j - mid
                    i += 1
            while i < mid:
                k[ids[i]] += hi - mid
                i += 1
            i = lo
            j = mid
            for p in range(lo, hi):
                if i < mid and (j >= hi or xs[i] <= xs[j]):
                    xs2[p] = xs[i]
                    ids2[p] = ids[i]
                    i += 1
                else:
                    xs2[p] = xs[j]
                    ids2[p] = ids[j]
                    j += 1
        xs, xs2 = xs2, xs
        ids, ids2 = ids2, ids
        width *= 2
    return active


@_jit
def rank_rows(d_w, order, tied, margin, counts, values):  # type: ignore[no-untyped-def]
    """Fill `counts` int32 `[R, C]` (half the gradient) and `values` float64 `[R]`.

    `d_w` `[R, C]`; `order` int32 `[R, C-1]`: the other classes of each anchor by text distance;
    `tied` bool `[R, C-1]` (or `[0, 0]`): same text distance as the element before.
    """
    rows, n = order.shape
    x = np.empty(n, d_w.dtype)
    k = np.empty(n, np.int32)
    k_tied = np.empty(n, np.int32)
    xs = np.empty(n, d_w.dtype)
    xs2 = np.empty(n, d_w.dtype)
    ids = np.empty(n, np.int32)
    ids2 = np.empty(n, np.int32)
    for row in range(rows):
        for a in range(n):
            x[a] = d_w[row, order[row, a]]
            k[a] = 0
        active = _count_sequence(x, 0, n, margin, k, xs, ids, xs2, ids2)
        constant = 0
        if tied.shape[0] > 0:
            start = 0
            while start < n:
                end = start + 1
                while end < n and tied[row, end]:
                    end += 1
                if end - start > 1:
                    for a in range(start, end):
                        k_tied[a] = 0
                    active -= _count_sequence(x, start, end, margin, k_tied, xs, ids, xs2, ids2)
                    for a in range(start, end):
                        k[a] -= k_tied[a]
                    constant += (end - start) * (end - start - 1) // 2
                start = end
        total = np.float64(margin) * (active + constant)
        for a in range(n):
            total += np.float64(k[a]) * np.float64(x[a])
            counts[row, order[row, a]] = k[a]
        values[row] = 2.0 * total
