"""Points on the unit sphere: distances, the best possible separation, a basis to work in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from hashlib import sha256

import torch
from torch import Tensor

from ezav.classes.ranking import TripletOrder

# Distances are worked out for so many pairs at a time: tensors of 16 MB, which the allocator
# keeps for the next chunk (larger ones go back to the system and cost page faults each time).
CHUNK = 2**22
# Two classes closer than this (radians) count as one point: text encoders work in half precision.
COINCIDENT = 1e-4


def separation_bound(classes: int, dim: int) -> float:
    """The largest possible smallest distance between C points on the unit sphere of R^d.

    Rankin's bound: `√(2C/(C-1))`, reached by the regular simplex, while C <= d + 1; beyond that
    √2, which nothing exceeds (and which 2d points reach).

    Example:
        >>> separation_bound(2, 5), round(separation_bound(101, 300), 4)
        (2.0, 1.4213)
    """
    if classes < 2:
        return 2.0
    return math.sqrt(2 * classes / (classes - 1)) if classes <= dim + 1 else math.sqrt(2)


def exact_unit(x: Tensor) -> Tensor:
    """Rows `[C, d]` in float64, of unit length to float64.

    Example:
        >>> exact_unit(torch.tensor([[3.0, 4.0]])).tolist()
        [[0.6, 0.8]]
    """
    exact = x.double()
    length: Tensor = exact.norm(dim=1, keepdim=True)
    return exact / length


def sphere_distances(a: Tensor, b: Tensor) -> Tensor:
    """L2 distances `[A, B]` between unit rows `a` `[A, d]` and `b` `[B, d]`: `√(2 - 2 a·b)`.

    Example:
        >>> here = torch.eye(2)
        >>> sphere_distances(here, torch.cat([here, -here])).square().round().tolist()
        [[0.0, 2.0, 4.0, 2.0], [2.0, 0.0, 2.0, 4.0]]
    """
    return torch.addmm(a.new_full((), 2.0), a, b.T, alpha=-2).clamp_(min=0).sqrt_()


def text_order(t: Tensor) -> TripletOrder:
    """The order of the text distances for every anchor of unit rows `t` `[C, d]`.

    Distances are taken in float64 between *different* rows, so that classes with the same vector
    are exactly tied.

    Example:
        >>> import torch
        >>> text_order(torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])).tied[0].tolist()
        [False, True]
    """
    distinct, row = torch.unique(t.double(), dim=0, return_inverse=True)
    distinct = exact_unit(distinct)
    step = max(1, CHUNK // len(t))
    parts = []
    for start in range(0, len(t), step):
        distance = sphere_distances(distinct[row[start : start + step]], distinct)
        parts.append(TripletOrder.of(distance[:, row], first=start))
    return TripletOrder.join(parts)


class Subspace:
    """Coordinates in the span of the text embeddings, at most C of d.

    Gradient steps on functions of the mutual distances never leave the span of the starting
    points, so C classes of any dimension are optimised as at most C numbers each: exact, and far
    less work for C = 20, d = 4,096.

    Args:
        t: float `[C, d]`.

    Example:
        >>> import torch
        >>> t = torch.nn.functional.normalize(torch.randn(3, 50), dim=1)
        >>> space = Subspace(t)
        >>> space.start.shape, torch.allclose(space.back(space.start), t, atol=1e-6)
        (torch.Size([3, 3]), True)
    """

    def __init__(self, t: Tensor) -> None:
        classes, dim = t.shape
        self.basis: Tensor | None = None
        self.start = t.double()
        if dim > classes:
            basis, triangle = torch.linalg.qr(t.double().T)  # [d, C], [C, C]
            self.basis, self.start = basis, triangle.T
        self.start = self.start / self.start.norm(dim=1, keepdim=True)

    def back(self, w: Tensor) -> Tensor:
        """Unit rows `[C, d]`, float32, of coordinates `w`."""
        w = w.double() if self.basis is None else w.double() @ self.basis.T
        length: Tensor = w.norm(dim=1, keepdim=True)
        return (w / length).float()


def points(t: Tensor) -> Tensor:
    """Long `[C]`: for each unit row of `t` `[C, d]` the number of its point, from 0 in their order.

    Rows closer than `COINCIDENT` to a row that has no point yet share one with it.

    Example:
        >>> import torch
        >>> points(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])).tolist()
        [0, 1, 0]
    """
    unit = exact_unit(t)
    classes = len(unit)
    step = max(1, CHUNK // classes)
    found = torch.full((classes,), -1, dtype=torch.long, device=t.device)
    number = 0
    for first in range(0, classes, step):
        close = sphere_distances(unit[first : first + step], unit) <= COINCIDENT
        close[:, first : first + len(close)].fill_diagonal_(True)
        alone = close.sum(dim=1) == 1
        for row in range(first, first + len(close)):
            if found[row] >= 0:
                continue
            found[row] = number
            if not alone[row - first]:
                found[close[row - first] & (found < 0)] = number
            number += 1
    return found


def part_coincident(t: Tensor, names: Sequence[str], seed: int) -> Tensor:
    """Unit rows `t` `[C, d]` as float64, those that share one point moved slightly apart.

    The distance of coinciding points has no gradient, so they would stay together for ever. The
    direction depends on the class's name and the seed alone, not on the order of the classes: so
    this is done in the text's own space. Only rows that coincide with another change, by an angle
    of about 1e-3.

    Example:
        >>> text = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        >>> apart = part_coincident(text, ("dog", "hound", "cat"), seed=0)
        >>> bool((apart[0] - apart[1]).norm() > 0), bool(((apart - text).norm(dim=1) < 2e-3).all())
        (True, True)
        >>> apart[2].tolist()  # coincided with none
        [0.0, 1.0]
    """
    unit = exact_unit(t)
    point = points(t)
    together = (point.bincount()[point] > 1).nonzero().flatten().tolist()
    if not together:
        return t.double()
    moved, dim = unit.clone(), unit.shape[1]
    for row in together:
        key = sha256(f"{seed}:{names[row]}".encode()).digest()[:8]
        generator = torch.Generator().manual_seed(int.from_bytes(key, "big") >> 1)
        direction = torch.randn(dim, generator=generator, dtype=torch.float64).to(t.device)
        moved[row] += 1e-3 * direction / direction.norm()
    length: Tensor = moved.norm(dim=1, keepdim=True)
    return moved / length
