"""The little hyperbolic geometry that is needed: the Poincaré ball of curvature -c, c > 0.

Radius of the ball: `1 / sqrt(c)`. All formulas as in Ganea, Bécigneul and Hofmann, NeurIPS 2018.
"""

from __future__ import annotations

import torch
from torch import Tensor

_SMALL = 1e-5
_LARGEST = 30.0  # cosh of twice that still fits float32


def exp0(tangent: Tensor, c: Tensor) -> Tensor:
    """The exponential map at the origin: `tanh(sqrt(c) |u|) u / (sqrt(c) |u|)`.

    Args:
        tangent: `[..., d]`.
        c: broadcasts against `[..., 1]`.

    Example:
        >>> exp0(torch.tensor([10.0, 0.0]), torch.tensor(1.0)).tolist()
        [1.0, 0.0]
    """
    scaled: Tensor = c.sqrt() * tangent.norm(dim=-1, keepdim=True).clamp(min=_SMALL)
    return tangent * scaled.tanh() / scaled


def log0(point: Tensor, c: Tensor) -> Tensor:
    """The logarithmic map at the origin, `artanh(sqrt(c) |y|) y / (sqrt(c) |y|)`.

    Example:
        >>> u = torch.tensor([0.3, -0.4])
        >>> torch.allclose(log0(exp0(u, torch.tensor(0.5)), torch.tensor(0.5)), u)
        True
    """
    scaled: Tensor = c.sqrt() * point.norm(dim=-1, keepdim=True).clamp(min=_SMALL)
    return point * scaled.clamp(max=1 - _SMALL).atanh() / scaled


def clip_to_ball(x: Tensor, c: Tensor) -> Tensor:
    """Shorten what lies outside the ball to `(1 - 1e-3) / sqrt(c)`.

    Example:
        >>> clip_to_ball(torch.tensor([3.0, 4.0]), torch.tensor(1.0)).norm().item()
        0.999...
    """
    norm: Tensor = x.norm(dim=-1, keepdim=True).clamp(min=_SMALL)
    return x * ((1 - 1e-3) / c.sqrt() / norm).clamp(max=1.0)


def tangent_distances(tangent: Tensor, c: Tensor) -> Tensor:
    """Geodesic distances `[B, B]` of the points `exp0(u_i)`, given the u_i `[B, d]`.

    By the hyperbolic law of cosines, in a form that keeps its digits for near points: with
    `a_i = 2 sqrt(c) |u_i|` and the angle at the origin,
    `cosh(sqrt(c) d) - 1 = 2 sinh((a_i - a_j) / 2)^2 + sinh(a_i) sinh(a_j) (1 - cos)`.
    It needs no `[B, B, d]` tensor, and lets c differ from pair to pair.

    Args:
        tangent: `[B, d]`.
        c: a scalar, or `[B, B]`, symmetric.

    Example:
        >>> u = torch.tensor([[0.5, 0.0], [-0.5, 0.0]])
        >>> tangent_distances(u, torch.tensor(1.0))[0, 1].item()  # through the origin
        2.0
    """
    root = c.sqrt()
    norm: Tensor = tangent.norm(dim=1).clamp(min=_SMALL)
    first = (2 * root * norm[:, None]).clamp(max=_LARGEST)
    second = (2 * root * norm[None, :]).clamp(max=_LARGEST)
    unit = tangent / norm[:, None]
    # 1 - cos as half a squared distance of unit vectors; no negative by rounding.
    opening = (1 - unit @ unit.T).clamp(min=0)
    growth = 2 * ((first - second) / 2).sinh().square() + first.sinh() * second.sinh() * opening
    # arcosh(1 + z) = 2 arsinh(sqrt(z / 2)); the clamp keeps the root's slope finite at 0.
    distances = 2 * (growth / 2).clamp(min=1e-12).sqrt().asinh() / root
    return distances.masked_fill(torch.eye(len(tangent), dtype=torch.bool, device=c.device), 0.0)
