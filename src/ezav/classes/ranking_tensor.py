"""The exact ranking loss in whole-tensor operations, for a GPU: all anchors and blocks at once.

The same counts as in `ranking_cpu.py` (which explains them), from the same merge sort, with the
pointers of a merge replaced by binary searches: O(C² log² C) work, none of it sequential. It runs
on any device and serves as a second opinion on the CPU.
"""

from __future__ import annotations

import torch
from torch import Tensor

_LEAF = 32


def rank_rows_tensor(
    d_w: Tensor, order: Tensor, tied: Tensor | None, margin: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Equation (3) for R anchors: gradient `[R, C]`, values float64 `[R]`, active pairs `[R]`.

    `d_w` `[R, C]`; `order` int `[R, n]` the classes by text distance; `tied` bool `[R, n]` or None.

    Example:
        >>> import torch
        >>> d_w, order = torch.tensor([[0.0, 1.0, 0.5]]), torch.tensor([[1, 2]])
        >>> gradient, value, active = rank_rows_tensor(d_w, order, None, 0.25)
        >>> gradient.tolist(), value.tolist(), active.tolist()
        ([[0.0, 2.0, -2.0]], [1.5], [1])
    """
    order = order.long()
    x = d_w.gather(1, order)
    y = x + torch.tensor(margin, dtype=x.dtype, device=x.device)
    k, active = _count(x, y)
    ties = torch.zeros_like(active)
    if tied is not None:
        # Groups set far apart leave only the pairs within a group active: those are taken out
        # again. Places in the order of all x and y stand for the values, so that this is exact.
        group = (~tied).long().cumsum(dim=1)
        x_place, y_place = _places(x, y)
        apart = group * (2 * x.shape[1] + 1)
        within, active_within = _count(x_place + apart, y_place + apart)
        k, active = k - within, active - active_within
        size = torch.zeros_like(group).scatter_add_(1, group - 1, torch.ones_like(group))
        ties = (size * (size - 1) // 2).sum(dim=1)
    # The margin as rounded to the type of the distances, as it was compared with.
    rounded = x.new_full((), margin).double()
    values = 2 * (rounded * (active + ties).double() + (k * x.double()).sum(dim=1))
    gradient = torch.zeros_like(d_w).scatter_(1, order, (2 * k).to(d_w.dtype))
    return gradient, values, active


def _places(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Where each x and y `[R, n]` comes among all of its row's, equal ones in one place."""
    both, order = torch.cat([x, y], dim=1).sort(dim=1)
    place = torch.zeros_like(order)
    place[:, 1:] = (both[:, 1:] != both[:, :-1]).long().cumsum(dim=1)
    place = torch.empty_like(place).scatter_(1, order, place)
    return place[:, : x.shape[1]], place[:, x.shape[1] :]


def _count(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Net counts `[R, n]` and numbers `[R]` of the pairs a before b with y_a > x_b."""
    rows, n = x.shape
    blocks = 1
    while blocks * _LEAF < n:
        blocks *= 2
    largest = torch.inf if x.is_floating_point() else torch.iinfo(x.dtype).max
    rest = x.new_full((rows, blocks * _LEAF - n), largest)
    x, y = torch.cat([x, rest], dim=1), torch.cat([y, rest], dim=1)

    in_blocks = (rows, blocks, _LEAF)
    earlier = torch.ones(_LEAF, _LEAF, dtype=torch.bool, device=x.device).triu(1)
    hits = (y.view(in_blocks)[..., :, None] > x.view(in_blocks)[..., None, :]) & earlier
    k = (hits.sum(dim=-1) - hits.sum(dim=-2)).view(rows, -1)  # [R, N]
    active = hits.sum(dim=(1, 2, 3))

    xs, ids = x.view(in_blocks).sort(dim=-1, stable=True)
    ids = ids + torch.arange(0, blocks * _LEAF, _LEAF, device=x.device)[:, None]
    width = _LEAF
    while width < blocks * _LEAF:
        left, right = (part.contiguous() for part in xs.view(rows, -1, 2, width).unbind(dim=2))
        by_id = ids.view(rows, -1, 2, width)
        left_y = y.gather(1, by_id[:, :, 0].reshape(rows, -1)).view_as(left)
        below = torch.searchsorted(right, left_y)
        above = width - torch.searchsorted(left_y, right, right=True)
        counts = torch.stack([below, -above], dim=2).view(rows, -1)
        k = k.scatter_add(1, ids.view(rows, -1), counts)
        active = active + below.sum(dim=(1, 2))

        step = torch.arange(width, device=x.device)
        place = torch.cat(
            [
                step + torch.searchsorted(right, left),
                step + torch.searchsorted(left, right, right=True),
            ],
            dim=-1,
        )
        width *= 2
        xs = torch.empty_like(xs.view(rows, -1, width)).scatter_(
            2, place, torch.cat([left, right], dim=-1)
        )
        ids = torch.empty_like(place).scatter_(2, place, ids.view(rows, -1, width))
    return k[:, :n], active
