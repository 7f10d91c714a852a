"""The exact ranking loss, equation (3), with its gradient, in O(C² log C) time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ezav.errors import EzavError
from ezav.threads import in_parts

# Elements worked on at once; bounds the memory whatever the number of classes.
_CHUNK_CPU = 2**23
_CHUNK_DEVICE = 2**24


@dataclass(frozen=True, eq=False)
class TripletOrder:
    """The order that text distances put on the classes as seen from each anchor: what (3) keeps.

    It is fixed while `w` moves, so it is sorted once and used at every step.

    Attributes:
        order: int32 `[R, n]`; row r lists the classes other than anchor r by text distance.
        tied: bool `[R, n]`, True where the text distance equals the one before; None: no ties.

    Example:
        >>> import torch
        >>> d_t = torch.tensor([[0.0, 3.0, 1.0], [3.0, 0.0, 2.0], [1.0, 2.0, 0.0]])
        >>> TripletOrder.of(d_t).order.tolist()
        [[2, 1], [2, 0], [0, 1]]
    """

    order: Tensor
    tied: Tensor | None

    @classmethod
    def of(cls, d_t: Tensor, first: int = 0) -> TripletOrder:
        """From text distances `[R, C]`, whose rows are the anchors `first`, `first + 1`, …"""
        rows, classes = d_t.shape
        order = torch.empty(rows, classes - 1, dtype=torch.int32, device=d_t.device)
        tied = torch.zeros(rows, classes - 1, dtype=torch.bool, device=d_t.device)
        step = max(1, _CHUNK_CPU // classes)
        for start in range(0, rows, step):
            part = d_t[start : start + step].detach().clone()
            anchors = torch.arange(start + first, start + first + len(part), device=d_t.device)
            part.scatter_(1, anchors[:, None], -torch.inf)  # the anchor itself comes first
            if part.device.type == "cpu":
                # numpy sorts with vector instructions; how ties fall does not matter.
                by_distance = torch.from_numpy(np.argsort(part.numpy(), axis=1))
            else:
                by_distance = torch.argsort(part, dim=1)
            distance = part.gather(1, by_distance)[:, 1:]
            order[start : start + step] = by_distance[:, 1:]
            tied[start : start + step, 1:] = distance[:, 1:] == distance[:, :-1]
        return cls(order, tied if bool(tied.any()) else None)

    @classmethod
    def join(cls, parts: list[TripletOrder]) -> TripletOrder:
        """Several anchors' orders, one under the other."""
        if len(parts) == 1:
            return parts[0]
        tied = None
        if any(part.tied is not None for part in parts):
            tied = torch.cat(
                [
                    torch.zeros_like(part.order, dtype=torch.bool)
                    if part.tied is None
                    else part.tied
                    for part in parts
                ]
            )
        return cls(torch.cat([part.order for part in parts]), tied)

    @property
    def triplets(self) -> int:
        """The number of terms of (3): ordered pairs of other classes, over all anchors."""
        rows, n = self.order.shape
        return rows * n * (n - 1)

    @property
    def tied_pairs(self) -> int:
        """The number of unordered pairs tied in text distance, over all anchors."""
        if self.tied is None:
            return 0
        group = (~self.tied).long().cumsum(dim=1) - 1
        size = torch.zeros_like(group).scatter_add_(1, group, torch.ones_like(group))
        return int((size * (size - 1) // 2).sum())

    def rows(self, start: int, end: int) -> TripletOrder:
        """The part of some anchors."""
        tied = None if self.tied is None else self.tied[start:end]
        return TripletOrder(self.order[start:end], tied)

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """For the compiled sweep: `order`, and `tied` or bool `[R, 0]`."""
        order = self.order.numpy()
        return order, np.zeros((len(order), 0), bool) if self.tied is None else self.tied.numpy()


@dataclass(frozen=True, slots=True)
class Ranked:
    """Equation (3), summed over anchors: value, gradient `[R, C]`, pairs that cost something."""

    value: float
    gradient: Tensor
    active_pairs: int


def rank(d_w: Tensor, target: TripletOrder, margin: float) -> Ranked:
    """The sum of (3) over the anchors of `target`, with its gradient by `d_w` `[R, C]`.

    `d_w` is float32 or float64. On the CPU a compiled sweep does the work on
    `torch.get_num_threads()` threads; elsewhere whole-tensor operations do. Both work through the
    anchors in chunks.

    Raises:
        EzavError: the order is that of another number of classes.
    """
    d_w = d_w.detach()
    rows, others = target.order.shape
    if (rows, others + 1) != d_w.shape:
        raise EzavError(
            f"distances {[*d_w.shape]}, but the order is that of {rows} anchors and "
            f"{others + 1} classes"
        )
    if target.order.shape[1] < 2:
        return Ranked(0.0, torch.zeros_like(d_w), 0)
    if d_w.device.type == "cpu":
        return _rank_cpu(d_w, target, margin)
    return _rank_device(d_w, target, margin)


def _rank_cpu(d_w: Tensor, target: TripletOrder, margin: float) -> Ranked:
    from ezav.classes.ranking_cpu import rank_rows

    x = np.ascontiguousarray(d_w.numpy())
    gradient = np.zeros_like(x)
    values = np.empty(len(x), np.float64)
    active = np.empty(len(x), np.int64)
    order, tied = target.arrays()

    def work(part: slice) -> None:
        outputs = (gradient[part], values[part], active[part])
        rank_rows(x[part], order[part], tied[part], x.dtype.type(margin), *outputs)

    in_parts(work, *x.shape)
    return Ranked(float(values.sum()), torch.from_numpy(gradient), int(active.sum()))


def _rank_device(d_w: Tensor, target: TripletOrder, margin: float) -> Ranked:
    from ezav.classes.ranking_tensor import rank_rows_tensor

    gradient = torch.empty_like(d_w)
    value = torch.zeros((), dtype=torch.float64, device=d_w.device)
    active = torch.zeros((), dtype=torch.long, device=d_w.device)
    step = max(1, _CHUNK_DEVICE // d_w.shape[1])
    for start in range(0, len(d_w), step):
        part = target.rows(start, start + step)
        rows = slice(start, start + step)
        gradient[rows], values, pairs = rank_rows_tensor(d_w[rows], part.order, part.tied, margin)
        value += values.sum()
        active += pairs.sum()
    return Ranked(float(value), gradient, int(active))


class RankingSum(torch.autograd.Function):
    """The sum of (3) as a function of `d_w` `[R, C]`; the gradient comes with the value."""

    @staticmethod
    def forward(ctx: Any, d_w: Tensor, target: TripletOrder, margin: float) -> Tensor:
        ranked = rank(d_w, target, margin)
        if not math.isfinite(ranked.value):  # every distance is in it
            raise EzavError("d_w holds a distance that is not finite")
        ctx.save_for_backward(ranked.gradient)
        return d_w.new_tensor(ranked.value)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return outputs[0] * gradient, None, None


def checked_margin(margin: float) -> float:
    """The margin, if it is one.

    Raises:
        EzavError: it is negative or not finite.

    Example:
        >>> checked_margin(1)
        1.0
        >>> checked_margin(-1)
        Traceback (most recent call last):
        ezav.errors.EzavError: the margin is -1; it is a distance: give 0 or more
    """
    if not 0 <= margin < float("inf"):
        raise EzavError(f"the margin is {margin}", "it is a distance: give 0 or more")
    return float(margin)
