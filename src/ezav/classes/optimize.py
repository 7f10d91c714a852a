"""Class embedding optimization (CEO), equation (4): spread the classes, keep their semantics."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ezav.classes.embeddings import ClassEmbeddings
from ezav.classes.losses import proximity_loss
from ezav.classes.ranking import TripletOrder, _Ranking
from ezav.errors import EzavError


@dataclass(frozen=True, eq=False)
class Optimized:
    """The result of :func:`optimize_class_embeddings`."""

    embeddings: ClassEmbeddings
    history: list[float]
    converged: bool

    @property
    def vectors(self) -> Tensor:
        """float32 `[C, d]`, unit rows."""
        return self.embeddings.vectors


def optimize_class_embeddings(
    t: ClassEmbeddings | Tensor,
    *,
    alpha: float = 0.5,
    margin: float = 0.1,
    semantic: Literal["ranking", "proximity"] = "ranking",
    ranking: Literal["exact", "sampled"] = "exact",
    reduction: Literal["balanced", "mean", "sum"] = "balanced",
    max_steps: int = 1000,
    learning_rate: float = 0.02,
    seed: int = 0,
) -> Optimized:
    """Learn class embeddings `w` from text embeddings `t`: `(1-α) L_sem + α L_sep`."""
    if not 0 <= alpha <= 1:
        raise EzavError(f"alpha is {alpha}", "it weighs two terms: give a value from 0 to 1")
    if margin < 0:
        raise EzavError(f"the margin is {margin}", "it is a distance: give 0 or more")
    if isinstance(t, Tensor):
        t = ClassEmbeddings(tuple(str(i) for i in range(len(t))), t)
    start = t.vectors.double()
    count = len(start)
    d_t = torch.cdist(start, start, compute_mode="donot_use_mm_for_euclid_dist")
    target = TripletOrder.of(d_t)
    eye = torch.eye(count, dtype=torch.bool)
    bound = (2 * count / max(count - 1, 1)) ** 0.5

    def terms(w: Tensor) -> tuple[Tensor, Tensor]:
        gram = w @ w.T
        d_w = (2 - 2 * gram).clamp(min=1e-9).sqrt().masked_fill(eye, 0)
        sep = -d_w.masked_fill(eye, torch.inf).amin(1).sum()
        if semantic == "proximity":
            return proximity_loss(w, start.to(w), "sum"), sep
        return _Ranking.apply(d_w, target, margin), sep

    with torch.no_grad():
        sem0, sep0 = (float(x) for x in terms(start.float()))
    if reduction == "balanced":
        nadir = margin * target.triplets if semantic == "ranking" else count * 2**0.5
        sem_scale = max(nadir - sem0, 1e-12)
        sep_scale = max(count * bound + sep0, 1e-12)
    elif reduction == "mean":
        sem_scale = target.triplets if semantic == "ranking" else count
        sep_scale = count
    else:
        sem_scale = sep_scale = 1.0
    w = start.float().clone().requires_grad_()
    momentum = torch.zeros_like(w)
    second = torch.zeros(count, 1)
    history: list[float] = []
    for step in range(max_steps):
        sem, sep = terms(w)
        loss = (1 - alpha) * sem / sem_scale + alpha * sep / sep_scale
        (gradient,) = torch.autograd.grad(loss, w)
        history.append(float(loss.detach()))
        with torch.no_grad():
            gradient -= (gradient * w).sum(1, keepdim=True) * w
            momentum.mul_(0.9).add_(gradient, alpha=0.1)
            second.mul_(0.999).add_((gradient**2).sum(1, keepdim=True), alpha=0.001)
            rate = learning_rate * (1 - step / max_steps)
            size = (second / (1 - 0.999 ** (step + 1))).sqrt() + 1e-12
            w -= rate * momentum / (1 - 0.9 ** (step + 1)) / size
            w /= w.norm(dim=1, keepdim=True)
    converged = abs(history[-1] - history[-20 if len(history) >= 20 else 0]) < 1e-3
    if not converged:
        warnings.warn("class embedding optimization did not converge", stacklevel=2)
    settings = {"alpha": alpha, "margin": margin, "semantic": semantic, "reduction": reduction}
    return Optimized(t.with_vectors(w.detach(), **settings), history, converged)
