"""The evaluation of the released AVCA, TCaF and ClipClap codes, for comparison with their numbers.

They score by Euclidean distance to the class embeddings, add a bias beta to the distance of every
seen class, and search beta on a fixed grid. Differences from `ezav.metrics`, kept here on purpose:

- the best beta is the first maximum of HM on the grid, and a nan counts as a maximum;
- a class without clips has recall 0/0 = nan and makes the mean over its side nan;
- HM has the machine epsilon in its denominator;
- a tie goes to the class with the lower index (their lower label id).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ezav.errors import EzavError
from ezav.metrics._checks import check_scores

PeerGrid = Literal["avca", "tcaf", "clipclap"]
_GRIDS: dict[str, tuple[float, int]] = {"avca": (3.0, 16), "tcaf": (3.0, 16), "clipclap": (5.0, 76)}


@dataclass(frozen=True, slots=True)
class PeerEvaluation:
    """What the released codes print, as fractions, and their whole grid.

    Attributes:
        S, U, HM, ZSL: at the chosen beta (nan with an empty class).
        beta: the chosen bias.
        betas: float32 `[G]`, the grid.
        curve: float64 `[G, 3]`, S, U and HM at every beta.
        zsl_recall: float64 `[C]`, recall of each class with unseen candidates only (0 for seen
            classes that have clips, nan for a class without).
    """

    S: float
    U: float
    HM: float
    ZSL: float
    beta: float
    betas: Tensor
    curve: Tensor
    zsl_recall: Tensor


def peer_grid(code: PeerGrid) -> Tensor:
    """The biases a released code searches: 16 on [0, 3] (AVCA, TCaF) or 76 on [0, 5] (ClipClap).

    Example:
        >>> peer_grid("avca")[:3].tolist()
        [0.0, 0.200..., 0.400...]
    """
    if code not in _GRIDS:
        raise EzavError(f"no grid named '{code}'", f"use one of {', '.join(_GRIDS)}")
    end, steps = _GRIDS[code]
    return torch.linspace(0, end, steps)


def peer_distances(class_embeddings: Tensor, *embeddings: Tensor, squared: bool = False) -> Tensor:
    """Euclidean distances `[N, C]` of clip embeddings to class embeddings, summed over modalities.

    Args:
        class_embeddings: float `[C, d]`.
        embeddings: one or more float `[N, d]`; the codes' modes "audio" and "video" pass one,
            "both" passes two, whose distances are added.
        squared: square each distance first (their "SquaredL2Loss").

    Example:
        >>> peer_distances(torch.zeros(1, 2), torch.tensor([[3.0, 4.0]])).tolist()
        [[5.0]]
    """
    total = torch.zeros(1)
    for one in embeddings:
        distance = torch.cdist(one, class_embeddings)
        total = total.to(one.device) + (distance**2 if squared else distance)
    return total


def peer_evaluation(
    distances: Tensor, targets: Tensor, seen: Tensor, betas: Tensor | float
) -> PeerEvaluation:
    """S, U, HM and ZSL as the released codes compute them.

    Args:
        distances: float `[N, C]`, lower is better, columns in the order of the label ids.
        targets: long `[N]`, columns of `distances`.
        seen: bool `[C]`.
        betas: the grid to search (`peer_grid`), or one fixed bias.

    Raises:
        EzavError: shapes do not fit, or distances hold nan.

    Example:
        >>> distances = torch.tensor([[0.1, 0.5], [0.1, 0.2]])
        >>> targets, seen = torch.tensor([0, 1]), torch.tensor([True, False])
        >>> result = peer_evaluation(distances, targets, seen, peer_grid("avca"))
        >>> round(result.beta, 1), result.S, result.U
        (0.2, 1.0, 1.0)
    """
    targets = check_scores(distances, targets, seen)
    grid = torch.as_tensor(betas, dtype=torch.float32).reshape(-1)
    bias = seen.to(distances)
    rows = []
    for beta in grid.tolist():
        recall = _recall(torch.argmin(distances + beta * bias, dim=1), targets, len(seen))
        s, u = float(recall[seen].mean()), float(recall[~seen].mean())
        rows.append((s, u, 2 * u * s / ((u + s) + np.finfo(float).eps)))
    curve = torch.tensor(rows, dtype=torch.float64)
    best = int(np.argmax(curve[:, 2].numpy()))

    unseen_only = distances.masked_fill(seen, float("inf"))
    zsl_recall = _recall(torch.argmin(unseen_only, dim=1), targets, len(seen))
    s, u, hm = rows[best]
    zsl = float(zsl_recall[~seen].mean())
    return PeerEvaluation(s, u, hm, zsl, float(grid[best]), grid, curve, zsl_recall)


def _recall(predictions: Tensor, targets: Tensor, num_classes: int) -> Tensor:
    hits = torch.bincount(targets[predictions == targets], minlength=num_classes)
    return hits.double() / torch.bincount(targets, minlength=num_classes).double()
