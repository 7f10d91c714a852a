"""The exact ranking loss, equation (3), with its gradient, in O(C² log C)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class TripletOrder:
    """The order that text distances put on the classes as seen from each anchor: what (3) keeps.

    It is fixed while `w` moves, so it is sorted once and used at every step.

    Attributes:
        order: int32 `[R, C-1]`; row r lists the classes other than anchor r by text distance.
        tied: bool `[R, C-1]`, True where the text distance equals the one before; None: no ties.
    """

    order: Tensor
    tied: Tensor | None

    @classmethod
    def of(cls, d_t: Tensor, anchors: Tensor | None = None) -> TripletOrder:
        """From text distances `[R, C]`; `anchors` long `[R]` are the rows' classes (default 0…)."""
        rows = len(d_t)
        if anchors is None:
            anchors = torch.arange(rows, device=d_t.device)
        keyed = d_t.detach().clone()
        keyed[torch.arange(rows, device=d_t.device), anchors] = -torch.inf
        distance, order = torch.sort(keyed, dim=1, stable=True)
        distance, order = distance[:, 1:], order[:, 1:].to(torch.int32).contiguous()
        tied = torch.zeros_like(distance, dtype=torch.bool)
        tied[:, 1:] = distance[:, 1:] == distance[:, :-1]
        return cls(order, tied if bool(tied.any()) else None)

    @property
    def triplets(self) -> int:
        """The number of terms of (3): ordered pairs of other classes, over all anchors."""
        rows, n = self.order.shape
        return rows * n * (n - 1)

    def rows(self, start: int, end: int) -> TripletOrder:
        """The part of some anchors."""
        tied = None if self.tied is None else self.tied[start:end]
        return TripletOrder(self.order[start:end], tied)


def ranking_value_and_gradient(
    d_w: Tensor, target: TripletOrder, margin: float
) -> tuple[float, Tensor]:
    """The sum of (3) over the anchors of `target`, and its gradient `[R, C]` by `d_w`."""
    from ezav.classes.ranking_cpu import rank_rows

    x = np.ascontiguousarray(d_w.detach().numpy())
    order = target.order.numpy()
    tied = np.zeros((0, 0), bool) if target.tied is None else target.tied.numpy()
    gradient = np.zeros_like(x)
    values = np.empty(len(x), np.float64)
    typed_margin = x.dtype.type(margin)

    def work(start: int, end: int) -> None:
        part = tied[start:end] if len(tied) else tied
        rows = slice(start, end)
        rank_rows(x[rows], order[rows], part, typed_margin, gradient[rows], values[rows])

    threads = torch.get_num_threads()
    if threads == 1 or x.size < 50_000:
        work(0, len(x))
    else:
        edges = np.linspace(0, len(x), 4 * threads + 1).astype(int)
        list(_pool(threads).map(work, edges[:-1], edges[1:]))
    return float(values.sum()), torch.from_numpy(gradient)


@lru_cache(maxsize=1)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads)


class _Ranking(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, d_w: Tensor, target: TripletOrder, margin: float) -> Tensor:
        value, gradient = ranking_value_and_gradient(d_w, target, margin)
        ctx.save_for_backward(gradient)
        return d_w.new_tensor(value)

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return outputs[0] * gradient, None, None
