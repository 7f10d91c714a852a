"""Clips answered together (transductive): what they have in common corrects each answer.

Two things are learned of the clips, and neither from labels: what all of them share (their mean
is taken off), and which clips resemble each other. The second in one of two ways: a mixture whose
centres are anchored to the class names (as StatA: Zanella et al., CVPR 2025), or an assignment in
which every class may take its share (OTTER: Shin et al., NeurIPS 2024). Both fail where most of
the named classes do not occur: the mean then is that of the few that do, and the shares are wrong.
So all of it counts only as far as the clips' own answers are spread over the names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import normalize

By = Literal["mixture", "assignment"]

TEMPERATURE = 0.1
"""Of cosines, where a clip is shared among classes."""
ANCHOR = 3.0
"""The name of a class weighs in its centre as much as so many clips."""
SHARES = 0.3
"""How much the shares of classes are worth against the clips (soft marginal)."""
_SPREAD = (0.35, 0.55)
"""Spread of the answers over the names at which the others begin to count, and count in full."""
_STEPS = 30


@dataclass(frozen=True, eq=False)
class Together:
    """Clips answered together.

    Attributes:
        cosines: `[N, C]`, in the place of the cosines of each clip alone.
        weight: how far the others counted, 0 (not at all: each stands alone) to 1.
    """

    cosines: Tensor
    weight: float


def spread(cosines: Tensor) -> float:
    """How evenly the best answers `[N, C]` are spread over the names, 0 (one name has all) to 1.

    Their perplexity, `exp(entropy)`, from 1 to C; with one name there is nothing to spread.

    Example:
        >>> spread(torch.eye(4)), spread(torch.eye(4)[:1].expand(8, 4))
        (1.0, 0.0)
    """
    names = cosines.shape[1]
    share = torch.bincount(cosines.argmax(dim=1), minlength=names).double()
    share = share[share > 0] / share.sum()
    perplexity = float((-(share * share.log()).sum()).exp())
    return round((perplexity - 1) / max(1, names - 1), 9)


def trust(cosines: Tensor) -> float:
    """How far clips may correct each other, 0 to 1, from their answers alone `[N, C]`."""
    low, high = _SPREAD
    return min(1.0, max(0.0, (spread(cosines) - low) / (high - low)))


def answer(vectors: Tensor, names: Tensor, mean: Tensor, by: By = "mixture") -> Together:
    """Answer N clips together.

    Args:
        vectors: of the clips in the text's space `[N, d]`.
        names: unit class vectors `[C, d]`, `mean` already taken off.
        mean: `[d]`, what vectors have in common where no clips are known.
        by: how clips that resemble each other find one answer.

    Example:
        >>> clips = torch.tensor([[1.0, 0.1], [0.9, 0.0], [0.1, 1.0], [0.0, 0.9]])
        >>> found = answer(clips, torch.eye(2), torch.zeros(2))
        >>> found.cosines.argmax(dim=1).tolist(), found.weight
        ([0, 0, 1, 1], 1.0)
    """
    alone = normalize(vectors - mean, dim=1) @ names.T
    weight = trust(alone)
    if weight == 0:
        return Together(alone, 0.0)
    own = weight * vectors.mean(dim=0) + (1 - weight) * mean
    rows = normalize(vectors - own, dim=1)
    names = normalize(names - weight * names.mean(dim=0), dim=1)
    found: dict[By, Callable[[], Tensor]] = {
        "mixture": lambda: mixture(rows, names, ANCHOR / weight),
        "assignment": lambda: assignment(rows @ names.T, SHARES * weight),
    }
    return Together(found[by](), weight)


def mixture(rows: Tensor, names: Tensor, anchor: float) -> Tensor:
    """Cosines `[N, C]` with class centres that begin at the names and move to their clips.

    Each step shares every clip among the classes (softmax of cosine over `TEMPERATURE`); a centre
    is the direction of its clips' sum and of `anchor` times its name.

    Args:
        rows: unit rows `[N, d]`.
        names: unit rows `[C, d]`.
        anchor: infinite leaves the centres where the names are.
    """
    centres = names
    for _ in range(_STEPS):
        shared = (rows @ centres.T / TEMPERATURE).softmax(dim=1)
        centres = normalize(shared.T @ rows + anchor * names, dim=1)
    return rows @ centres.T


def assignment(cosines: Tensor, strength: float) -> Tensor:
    """Cosines `[N, C]` with an offset a class that draws the classes to equal shares.

    Entropic optimal transport (Sinkhorn) with hard rows and soft columns: the offsets are those at
    which the shares of the clips, softmax of cosine over `TEMPERATURE`, meet the wish for equal
    shares as far as `strength` says (0: not at all, infinite: exactly).
    """
    logits = cosines / TEMPERATURE
    offset = logits.new_zeros(logits.shape[1])
    wanted = torch.tensor(len(logits) / logits.shape[1]).log()
    damped = strength / (1 + strength) if strength != float("inf") else 1.0
    for _ in range(2 * _STEPS):
        taken = (logits - (logits + offset).logsumexp(dim=1, keepdim=True)).logsumexp(dim=0)
        offset = damped * (wanted - taken)
    return (logits + offset) * TEMPERATURE
