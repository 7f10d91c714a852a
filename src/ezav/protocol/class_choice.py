"""Class embeddings chosen on validation: the raw text, or a form of it that is surely better.

Each alternative is tried by a closed form (ESZSL: a ridge classifier of the training classes,
carried to all names by the class embeddings) on clips that were held out, so that the choice costs
seconds where a network would cost a training each.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence

from torch import Tensor

from ezav.classes.recipe import ClassEmbeddingRecipe
from ezav.errors import EzavError
from ezav.methods.best.closed_form import carried
from ezav.metrics import gzsl_scores
from ezav.metrics.smoothed import SmoothedGamma, smoothed_gamma
from ezav.protocol.by_folds import FoldData
from ezav.protocol.confusion import SeenClassifier

PENALTIES = (0.1, 0.3, 1.0, 3.0)
"""Of the classes' side; for each alternative the best is taken."""
REPEATS = 2
"""How often the classes are divided into folds for the choice."""
ERRORS = 2.0
"""An alternative is ahead by more than so many standard errors, or it is not taken: several are
tried, and one of them is ahead by one error by chance (docs/measurements/ablations.md)."""

Tried = dict[str, list[float]]
"""Label of an alternative -> its HM in each fold, a fraction; the first is the raw text."""


def choose_classes(
    alternatives: Sequence[ClassEmbeddingRecipe],
    folds: Sequence[FoldData],
    modality: str = "both",
) -> tuple[ClassEmbeddingRecipe, Tried]:
    """The alternative that validation prefers, and how all of them did.

    Another than the raw text has to be better by more than :data:`ERRORS` standard errors of the
    difference, paired by fold. An alternative that these classes cannot have is left out.

    Args:
        alternatives: :meth:`ezav.classes.ClassEmbeddingRecipe.alternatives`, or some of them; the
            first is the raw text.
        folds: what is trained on and what decides; one, or class folds.
        modality: `both`, or the only one that the method reads.
    """
    seen = [SeenClassifier(fold.stage, modality) for fold in folds]
    said = [one.scores(fold.held_out) for one, fold in zip(seen, folds, strict=True)]
    confused = [one.confused() for one in seen]
    found: dict[str, ClassEmbeddingRecipe] = {}
    tried: Tried = {}
    for one in alternatives:
        try:
            vectors = [
                one.prepare(fold.stage.text, confused=pairs if one.reads_confusions else ()).vectors
                for fold, pairs in zip(folds, confused, strict=True)
            ]
        except EzavError:
            if one.source == "raw":
                raise
            continue
        found[one.label] = one
        tried[one.label] = closed_form_hm(folds, said, vectors)[0]
    return found[preferred(tried)], tried


def closed_form_hm(
    folds: Sequence[FoldData], said: Sequence[Tensor], vectors: Sequence[Tensor]
) -> tuple[list[float], float, float]:
    """ESZSL's HM in each fold with these class embeddings; its gamma and its penalty.

    Args:
        folds: of each the held-out clips count.
        said: `[N, S]` of each, what the training classes' classifier says of them.
        vectors: `[C, d]` of each, class embeddings.
    """
    best: tuple[SmoothedGamma, list[tuple[Tensor, Tensor, Tensor]], float] | None = None
    for penalty in PENALTIES:
        parts = []
        for one, w, fold in zip(said, vectors, folds, strict=True):
            seen = fold.stage.seen
            scores = carried_to(one, w, seen, penalty)
            parts.append((scores, fold.held_out.labels.cpu(), seen))
        at = smoothed_gamma(parts, statistics.fmean(float(p[0].double().std()) for p in parts))
        if best is None or at.around > best[0].around:
            best = at, parts, penalty
    assert best is not None
    at, parts, penalty = best
    return [float(gzsl_scores(*part, at.gamma).HM) for part in parts], at.gamma, penalty


def carried_to(said: Tensor, vectors: Tensor, seen: Tensor, penalty: float) -> Tensor:
    """Scores `[N, C]` of all names from those of the training classes `[N, S]`.

    Example:
        >>> import torch
        >>> carried_to(torch.eye(2), torch.eye(2), torch.tensor([True, True]), 1.0).tolist()
        [[0.5, 0.0], [0.0, 0.5]]
    """
    own = vectors[seen]
    return carried(said, own @ own.T, penalty) @ (own @ vectors.T)


def preferred(tried: Mapping[str, Sequence[float]], errors: float = ERRORS) -> str:
    """Which alternative surely leaves the first one behind, and by most; else that.

    Args:
        tried: HM in each fold.
        errors: standard errors to take off the mean difference, paired by fold.

    Example:
        >>> preferred({"raw": [0.5, 0.6], "a": [0.6, 0.701], "b": [0.4, 0.9]})
        'a'
        >>> preferred({"raw": [0.5, 0.6], "b": [0.4, 0.9]})
        'raw'
    """
    first = next(iter(tried))
    ahead = {name: surely(hms, tried[first], errors) for name, hms in tried.items()}
    best = max(ahead, key=lambda name: ahead[name])
    return best if ahead[best] > 0 else first


def surely(hms: Sequence[float], others: Sequence[float], errors: float = ERRORS) -> float:
    """The mean difference less standard errors, paired by fold; of one fold the difference."""
    less = [a - b for a, b in zip(hms, others, strict=True)]
    return statistics.fmean(less) - errors * standard_error(less)


def standard_error(less: Sequence[float]) -> float:
    """Of a mean over class folds, as if the classes had been divided once; of one fold 0.

    Dividing the same classes anew makes a mean steadier, but brings no new classes.

    Example:
        >>> standard_error([0.0, 2.0, 0.0, 2.0])  # two folds, divided twice
        0.816...
    """
    if len(less) == 1:
        return 0.0
    return statistics.stdev(less) / math.sqrt(len(less) / REPEATS)


def told(tried: Mapping[str, Sequence[float]], chosen: str) -> str:
    """What was tried, in one line; the HM in percent.

    Args:
        tried: as :func:`choose_classes` gives it.
        chosen: the label of what was taken.

    Example:
        >>> told({"raw": [0.5, 0.6], "centred": [0.6, 0.6]}, "raw")
        'class embeddings: raw, of 2 tried on 2 folds; next centred +5.0 ± 7.1 HM against raw'
    """
    first = next(iter(tried))
    others = {name: surely(hms, tried[first]) for name, hms in tried.items() if name != first}
    folds = f"{len(tried[first])} folds" if len(tried[first]) > 1 else "the validation classes"
    if not others:
        return f"class embeddings: {chosen}"
    said = f"class embeddings: {chosen}, of {len(tried)} tried on {folds}"
    shown = chosen if chosen in others else max(others, key=lambda name: others[name])
    less = [100 * (a - b) for a, b in zip(tried[shown], tried[first], strict=True)]
    error = f" ± {standard_error(less):.1f}" if len(less) > 1 else ""
    name = f"; {shown}" if shown == chosen else f"; next {shown}"
    return f"{said}{name} {statistics.fmean(less):+.1f}{error} HM against {first}"
