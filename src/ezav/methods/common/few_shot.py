"""A class that a few clips show: how alike a clip is to them, and what that is worth.

A clip's score for the class gets `w(k) (cos - b(k))` more, of its cosine with the mean of the k
clips; w and b are linear in log k, and learned from classes that class folds held out.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import astuple, dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ezav.optimizers import Lbfgs

MOST = 20
"""Clips that count: of more, a class weighs as much."""
SIMULATED = (1, 2, 5, 10)
"""Clips that a class of the folds is shown by."""
_PULL = 0.01
_TASKS = 400
_DRAWS = 2


@dataclass(frozen=True, slots=True)
class FewShot:
    """`w(k) = weight + weight_log ln k`, `b(k) = offset + offset_log ln k`, for k up to 20.

    Example:
        >>> FewShot(4.0, 0.0, 0.25, 0.0).of(torch.tensor([1, 9]))
        (tensor([4., 4.]), tensor([0.2500, 0.2500]))
    """

    weight: float
    weight_log: float
    offset: float
    offset_log: float

    def of(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        """Weights and offsets `[P]` of P classes that so many clips `[P]` show."""
        return _of(torch.tensor(astuple(self)), clips)


USUAL = FewShot(4.25, 0.23, 0.15, 0.05)
"""For scores of standard deviation 1: between what two sets of real clips teach."""


def _of(parts: Tensor, clips: Tensor) -> tuple[Tensor, Tensor]:
    log = clips.clamp(min=1, max=MOST).to(parts).log()
    return parts[0] + parts[1] * log, parts[2] + parts[3] * log


def likeness(clips: Sequence[Tensor], classes: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Cosines `[N, P]` of clips with classes, over the modalities that both have.

    Args:
        clips: a tensor `[N, d]` a modality; zeros where it is missing.
        classes: the same of P classes, `[P, d]`.

    Returns:
        The cosines, and bool `[N, P]`: whether there is a modality that both have.

    Example:
        >>> sound, picture = torch.tensor([[1.0, 0.0], [0.0, 0.0]]), torch.eye(2)
        >>> cosine, known = likeness([sound, picture], [torch.eye(2)[:1], torch.zeros(1, 2)])
        >>> cosine.tolist(), known.tolist()
        ([[1.0], [0.0]], [[True], [False]])
    """
    dot = sum((mine @ its.T for mine, its in zip(clips, classes)), torch.zeros(()))
    clip_length = class_length = torch.zeros(())
    for mine, its in zip(clips, classes):
        own, other = mine.square().sum(dim=1), its.square().sum(dim=1)
        clip_length = clip_length + own[:, None] * (other > 0)
        class_length = class_length + (own > 0)[:, None] * other
    product = clip_length * class_length
    return dot / product.clamp(min=1e-12).sqrt(), product > 0


@dataclass(frozen=True, slots=True)
class FewShotFold:
    """What is known of the held-out clips of one class fold.

    Attributes:
        scores: `[N, C]`, gamma taken off the seen classes.
        targets: long `[N]`.
        seen: bool `[C]`; the others are shown by some of their clips, one class at a time.
        parts: of the clips, as for :func:`likeness`.
    """

    scores: Tensor
    targets: Tensor
    seen: Tensor
    parts: tuple[Tensor, ...]


def fit_few_shot(
    folds: Sequence[FewShotFold],
    sharpness: float,
    start: FewShot = USUAL,
    seed: int = 0,
    share: float | None = 0.5,
) -> FewShot:
    """Weight and offset that suit classes of the folds which a few of their clips show.

    The loss is the mean cross-entropy of the other held-out clips: those of the class weigh
    `share`, those of all other classes together the rest, every class alike. It is pulled a little
    towards `start`, which is the answer where no class has two clips.

    Args:
        folds: of one scale of scores.
        sharpness: of the softmax of their scores.
        start: what it is pulled towards.
        seed: of the clips that show a class.
        share: of the class; None: as every other class has.

    Example:
        >>> fit_few_shot([], sharpness=3.0) == USUAL
        True
    """
    made = _tasks(folds, sharpness, random.Random(seed), share)
    if not made:
        return start
    weight, own, cosine, rest, is_own, clips = (torch.cat(column) for column in zip(*made))
    origin = torch.tensor(astuple(start), dtype=torch.float64)
    parts = origin.clone().requires_grad_()
    log = clips.clamp(min=1, max=MOST).double().log()
    optimizer = Lbfgs([parts], max_iter=60, line_search_fn="strong_wolfe")

    @torch.no_grad()
    def closure() -> Tensor:  # its gradient by hand: autograd would keep gigabytes
        slope, offset = parts[0] + parts[1] * log, parts[2] + parts[3] * log
        # Of all classes but this one only the log of their sum counts.
        lead = sharpness * (own + slope * (cosine - offset)) - rest
        push = sharpness * weight * (lead.sigmoid() - is_own.double())
        pull = torch.stack([push @ (cosine - offset), push * (cosine - offset) @ log])
        back = -torch.stack([push @ slope, push * slope @ log])
        parts.grad = torch.cat([pull, back]) / len(made) + 2 * _PULL * (parts - origin)
        loss = (weight * F.softplus(torch.where(is_own, -lead, lead))).sum() / len(made)
        return loss + _PULL * (parts - origin).square().sum()

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    found = [float(one) for one in parts.detach()]
    return FewShot(*found) if all(map(math.isfinite, found)) else start


def _tasks(
    folds: Sequence[FewShotFold], sharpness: float, draw: random.Random, share: float | None
) -> list[tuple[Tensor, ...]]:
    """Classes of the folds, each shown by some clips: columns over the other clips."""
    wanted = [
        (fold, label, count)
        for fold in folds
        for label in (~fold.seen).nonzero()[:, 0].tolist()
        for count in SIMULATED
        for _ in range(_DRAWS)
        if int((fold.targets == label).sum()) > count
    ]
    if len(wanted) > _TASKS:
        wanted = draw.sample(wanted, _TASKS)
    return [_task(fold, label, count, sharpness, draw, share) for fold, label, count in wanted]


def _task(
    fold: FewShotFold,
    label: int,
    count: int,
    sharpness: float,
    draw: random.Random,
    share: float | None,
) -> tuple[Tensor, ...]:
    is_own = fold.targets == label
    shown = torch.tensor(draw.sample(is_own.nonzero()[:, 0].tolist(), count))
    left = torch.ones(len(is_own), dtype=torch.bool)
    left[shown] = False
    rows = left.nonzero()[:, 0]
    cosine, known = likeness(
        [part[rows] for part in fold.parts], [part[shown].mean(0)[None] for part in fold.parts]
    )
    rows, cosine = rows[known[:, 0]], cosine[known[:, 0], 0]
    scores, is_own, targets = fold.scores[rows].double(), is_own[rows], fold.targets[rows]
    rest = (sharpness * scores).index_fill(1, torch.tensor([label]), -torch.inf).logsumexp(dim=1)
    there = torch.bincount(targets, minlength=scores.shape[1])
    others = max(1, int((there > 0).sum()) - int(there[label] > 0))
    own_share = 1 / (others + 1) if share is None else share
    weight = torch.where(is_own, own_share, (1 - own_share) / others) / there[targets].double()
    clips = torch.full_like(targets, count)
    return weight, scores[:, label], cosine.double(), rest, is_own, clips
