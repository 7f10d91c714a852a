"""Where class embeddings stand between semantics and separation: numbers, all exact."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ezav.classes.embeddings import ClassEmbeddings, unit_rows
from ezav.classes.geometry import CHUNK, exact_unit, separation_bound, sphere_distances, text_order
from ezav.classes.ranking import rank
from ezav.errors import EzavError

# Rank correlations of more anchors than this are taken from so many evenly spaced ones.
_SPEARMAN_ANCHORS = 2_000


@dataclass(frozen=True, slots=True)
class Pair:
    """Two classes and how alike their embeddings are."""

    first: str
    second: str
    distance: float
    cosine: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Diagnostics:
    """Separation of embeddings `w`, and what they keep of the text embeddings `t`.

    Attributes:
        classes, dim: C and d.
        simplex_bound: the largest possible smallest distance (Rankin's: the simplex's, C <= d + 1).
        min_nearest, mean_nearest: the distance to the nearest class, least and mean over classes.
        mean_cosine: over all pairs; how crowded the classes are.
        distance_spread: standard deviation of all pairwise distances.
        orderings_kept: the share of triplet orderings `d_t[c,i] < d_t[c,j]` that hold in `w`, over
            all triplets not tied in `t`, exact; 1.0 where there are none.
        spearman_mean, spearman_min: rank correlation of the distances from an anchor, over
            anchors; 1.0 for fewer than three classes.
        cosine_mean, cosine_min: of each class to its own text embedding; None where the two have
            different dimensions, and no angle between them.
        closest: the most confusable pairs of `w`.
        closest_text: the most confusable pairs of `t`.
    """

    classes: int
    dim: int
    simplex_bound: float
    min_nearest: float
    mean_nearest: float
    mean_cosine: float
    distance_spread: float
    orderings_kept: float
    spearman_mean: float
    spearman_min: float
    cosine_mean: float | None
    cosine_min: float | None
    closest: tuple[Pair, ...]
    closest_text: tuple[Pair, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


def diagnose(
    w: ClassEmbeddings | Tensor, t: ClassEmbeddings | Tensor | None = None, *, pairs: int = 10
) -> Diagnostics:
    """Diagnostics of embeddings `w` against the text embeddings `t` (default: `w` themselves).

    Args:
        w: `[C, d]`; `t`: `[C, d']`, the same classes in the same order (d' may differ).
        pairs: how many of the most confusable pairs to name.

    Raises:
        EzavError: the two do not hold the same classes in the same order; a negative `pairs`.

    Example:
        >>> import torch
        >>> found = diagnose(torch.eye(4))
        >>> round(found.mean_nearest, 4), round(found.simplex_bound, 4), found.orderings_kept
        (1.4142, 1.633, 1.0)
    """
    if pairs < 0:
        raise EzavError(f"cannot list {pairs} closest pairs", "give 0 or more")
    names, made = _names_and_vectors(w)
    text_names, text = (names, made) if t is None else _names_and_vectors(t)
    if len(text) != len(made):
        raise EzavError(f"{len(made)} class embeddings but {len(text)} text embeddings")
    if isinstance(w, ClassEmbeddings) and isinstance(t, ClassEmbeddings) and names != text_names:
        raise EzavError(
            "the class embeddings and the text embeddings name different classes",
            "bring one into the other's order with .select(names)",
        )
    classes, dim = made.shape
    nearest, closest = _nearest(made, names, pairs)
    kept = share_of_orderings_kept(made, text)
    spearman = _spearman(made, text)
    same = (made * text).sum(dim=1) if made.shape == text.shape else None
    total = made.double().sum(dim=0)
    many = classes * (classes - 1)
    return Diagnostics(
        classes=classes,
        dim=dim,
        simplex_bound=separation_bound(classes, dim),
        min_nearest=float(nearest.min()),
        mean_nearest=float(nearest.mean()),
        mean_cosine=float((total @ total - classes) / many) if many else 1.0,
        distance_spread=_spread(made),
        orderings_kept=kept,
        spearman_mean=float(spearman.mean()),
        spearman_min=float(spearman.min()),
        cosine_mean=None if same is None else float(same.mean()),
        cosine_min=None if same is None else float(same.min()),
        closest=closest,
        closest_text=_nearest(text, text_names, pairs)[1],
    )


def share_of_orderings_kept(w: Tensor, t: Tensor) -> float:
    """The share of triplet orderings of `t` that hold strictly in `w`; unit rows `[C, ·]`.

    Exact, in O(C² log C): a triplet is kept when it costs nothing at margin 0, and when turning
    all distances round makes it cost.

    Example:
        >>> import torch
        >>> t = torch.nn.functional.normalize(torch.tensor([[1.0, 0], [1, 1], [0, 1]]), dim=1)
        >>> share_of_orderings_kept(t, t)
        1.0
    """
    target = text_order(t)
    pairs = target.triplets // 2 - target.tied_pairs
    if pairs == 0:
        return 1.0
    kept = 0
    step = max(1, CHUNK // len(w))
    exact = exact_unit(w)
    for start in range(0, len(w), step):
        turned = -sphere_distances(exact[start : start + step], exact)
        kept += rank(turned, target.rows(start, start + step), 0.0).active_pairs
    return kept / pairs


def _names_and_vectors(x: ClassEmbeddings | Tensor) -> tuple[tuple[str, ...], Tensor]:
    if isinstance(x, ClassEmbeddings):
        return x.names, x.vectors.detach().cpu()
    vectors = unit_rows(x).cpu()
    return tuple(map(str, range(len(vectors)))), vectors


def nearest_distances(w: Tensor) -> Tensor:
    """Each class's distance to its nearest other class, float64 `[C]`; unit rows `[C, d]`.

    Example:
        >>> import torch
        >>> nearest_distances(torch.tensor([[1.0, 0.0], [-1.0, 0.0]])).tolist()
        [2.0, 2.0]
    """
    return _nearest(w.cpu(), (), 0)[0]


def _nearest(w: Tensor, names: tuple[str, ...], pairs: int) -> tuple[Tensor, tuple[Pair, ...]]:
    """Each class's distance to its nearest `[C]`, and the closest pairs overall."""
    classes = len(w)
    if classes == 1:
        return torch.tensor([separation_bound(1, w.shape[1])], dtype=torch.float64), ()
    exact = exact_unit(w)
    nearest = torch.empty(classes, dtype=torch.float64)
    candidates: list[tuple[float, int, int]] = []
    step = max(1, CHUNK // classes)
    for start in range(0, classes, step):
        distance = sphere_distances(exact[start : start + step], exact)
        own = torch.arange(start, start + len(distance))
        nearest[start : start + step] = distance.scatter(1, own[:, None], torch.inf).amin(dim=1)
        # Each pair once: only classes further down the list.
        later = torch.arange(classes)[None, :] > own[:, None]
        flat = torch.where(later, distance, torch.inf).flatten()
        value, place = flat.topk(min(pairs, len(flat)), largest=False)
        for d, p in zip(value.tolist(), place.tolist(), strict=True):
            if d < torch.inf:
                candidates.append((d, start + p // classes, p % classes))
    best = sorted(candidates)[:pairs]
    return nearest, tuple(Pair(names[i], names[j], d, 1 - d * d / 2) for d, i, j in best)


def _spread(w: Tensor) -> float:
    """Standard deviation of the distances of all pairs."""
    classes = len(w)
    if classes < 3:
        return 0.0
    exact = exact_unit(w)
    total = squares = 0.0
    step = max(1, CHUNK // classes)
    for start in range(0, classes, step):
        distance = sphere_distances(exact[start : start + step], exact)
        own = torch.arange(start, start + len(distance))
        distance.scatter_(1, own[:, None], 0)
        total += float(distance.sum())
        squares += float(distance.square().sum())
    many = classes * (classes - 1)
    return float(max(squares / many - (total / many) ** 2, 0.0) ** 0.5)


def _spearman(w: Tensor, t: Tensor) -> Tensor:
    """Rank correlation of the distances to the other classes, for each anchor `[anchors]`."""
    from scipy.stats import rankdata

    classes = len(w)
    if classes < 3:
        return torch.ones(1)
    anchors = torch.arange(classes)
    if classes > _SPEARMAN_ANCHORS:
        anchors = torch.linspace(0, classes - 1, _SPEARMAN_ANCHORS).long()
    found = []
    step = max(1, CHUNK // classes)
    for start in range(0, len(anchors), step):
        own = anchors[start : start + step]
        others = torch.ones(len(own), classes, dtype=torch.bool).scatter_(1, own[:, None], False)
        ranks = []
        for x in (exact_unit(w), exact_unit(t)):
            distance = sphere_distances(x[own], x)[others].view(len(own), -1).numpy()
            rank_of = rankdata(distance, axis=1)
            ranks.append(rank_of - rank_of.mean(axis=1, keepdims=True))
        a, b = ranks
        norm = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
        # Without any order on one side there is nothing to correlate: 0.
        r = np.divide((a * b).sum(axis=1), norm, out=np.zeros(len(norm)), where=norm > 0)
        found.append(torch.from_numpy(r))
    return torch.cat(found)
