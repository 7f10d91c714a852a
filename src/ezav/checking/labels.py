"""Clips whose label the others contradict.

Three witnesses that never saw the clip's label score it for every class: a ridge classifier of the
clips of other sources; the closed form of ESZSL on class folds, which reads a class's name and
never met a clip of it; and, where an encoder knows labels, what it says by itself. Where they
agree on another class by more than clips of that label usually do, the label is worth a look.
"""

from __future__ import annotations

from collections import defaultdict

import torch
import torch.nn.functional as F
from torch import Tensor

from ezav.checking.finding import Finding
from ezav.checking.inputs import Inputs
from ezav.checking.left_out import left_out_scores
from ezav.methods.best.closed_form import carried, linear_kernel, seen_classifier

FOLDS = 5
"""Class folds: each class is unseen in one of them."""
BY_NAME, BY_ENCODER = 0.3, 0.5
"""Weights of the class folds and of the encoder's labels beside the clips' 1, each score divided by
its standard deviation, in a learning curve too. Any of 0.3 to 0.5 finds as much (perf/check.py)."""
LEAST = 1.0
"""By how many standard deviations another class must score higher."""
ODD = 2.0
"""By how many deviations a clip must stand out of those of its label."""
_FEWEST = 3


def contradicted(inputs: Inputs) -> list[Finding]:
    """The clips that are worth a look, the surest first.

    A class of fewer than three clips, or of a single source, judges none of its own.

    Example:
        >>> from ezav.features.feature_set import FeatureSet, Ragged
        >>> clips = 4 * torch.eye(3)[torch.tensor([0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2])]
        >>> clips = Ragged.pooled(clips + 0.1 * torch.randn(12, 3))
        >>> labels = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 1])
        >>> names = ("cat", "dog", "owl")
        >>> ids = tuple("abcdefghijkl")
        >>> some = Inputs(FeatureSet(clips, clips, labels, ids, names), ("train",) * 12, ids)
        >>> [(one.clip, one.class_name, one.other) for one in contradicted(some)]
        [('l', 'dog', 'owl')]
    """
    if len(inputs.classes) < 2 or len(inputs.labels) < _FEWEST:
        return []
    scores = witnesses(inputs)
    labels = inputs.labels
    margin = margins(scores, labels)
    odd = _oddness(margin, labels, len(inputs.classes))
    best = scores.scatter(1, labels[:, None], -torch.inf).argmax(dim=1)
    flagged = (margin > LEAST) & (odd > ODD) & _judged(inputs)
    rows = sorted(flagged.nonzero()[:, 0].tolist(), key=lambda row: -float(margin[row]))
    found = []
    for row in rows:
        own, other = inputs.classes[int(labels[row])], inputs.classes[int(best[row])]
        found.append(
            Finding(
                kind="label",
                clip=inputs.clips.clips[row],
                class_name=own,
                split=inputs.splits[row],
                other=other,
                score=round(float(margin[row]), 3),
                said=f"labelled '{own}', the others say '{other}'",
            )
        )
    return found


def witnesses(inputs: Inputs) -> Tensor:
    """Scores float64 `[N, C]` of all witnesses together, in standard deviations of the first."""
    clips = by_clips(inputs)
    total = clips / _spread(clips)
    if (names := by_names(inputs)) is not None:
        total = total + BY_NAME * names / _spread(names)
    if inputs.said is not None:
        total = total + BY_ENCODER * inputs.said.double() / _spread(inputs.said.double())
    return total


def margins(scores: Tensor, labels: Tensor) -> Tensor:
    """`[N]`: how much higher the best other class scores than the label.

    Example:
        >>> margins(torch.tensor([[1.0, 3.0], [0.0, 2.0]]), torch.tensor([0, 1])).tolist()
        [2.0, -2.0]
    """
    own = scores.gather(1, labels[:, None])
    return scores.scatter(1, labels[:, None], -torch.inf).amax(dim=1) - own[:, 0]


def by_clips(inputs: Inputs) -> Tensor:
    """What the clips of other sources say, `[N, C]`; every class weighs the same."""
    targets = F.one_hot(inputs.labels, len(inputs.classes)).double()
    count = targets.sum(dim=0)
    weights = len(targets) / (int((count > 0).sum()) * count[inputs.labels])
    return left_out_scores(inputs.both, targets, inputs.sources, weights=weights)


def by_names(inputs: Inputs) -> Tensor | None:
    """What a class's name says to a model that met neither it nor the clip's source, `[N, C]`.

    None where there are no class texts, or fewer than four classes.
    """
    classes = len(inputs.classes)
    if inputs.text is None or classes < 4:
        return None
    order = torch.randperm(classes, generator=torch.Generator().manual_seed(0))
    found = torch.zeros(len(inputs.labels), classes, dtype=torch.float64)
    for part in range(min(FOLDS, classes // 2)):
        unseen = order[part :: min(FOLDS, classes // 2)]
        seen = torch.ones(classes, dtype=torch.bool)
        seen[unseen] = False
        known = seen.nonzero()[:, 0]
        place = torch.full((classes,), -1)
        place[known] = torch.arange(len(known))
        own = seen[inputs.labels]
        train, rest = own.nonzero()[:, 0], (~own).nonzero()[:, 0]
        labels = place[inputs.labels[train]]
        text = inputs.text[known]
        to_names = carried(torch.eye(len(known)), linear_kernel(text, text), 1.0)
        to_names = (to_names @ linear_kernel(text, inputs.text[unseen])).double()
        targets = F.one_hot(labels, len(known)).double()
        groups = [inputs.sources[row] for row in train.tolist()]
        left_out = left_out_scores(inputs.both[train], targets, groups)
        found[train[:, None], unseen] = left_out @ to_names
        weight = seen_classifier(inputs.both[train], labels, len(known)).double()
        found[rest[:, None], unseen] = inputs.both[rest].double() @ weight @ to_names
    return found


def _spread(scores: Tensor) -> Tensor:
    return scores.std().clamp(min=1e-12)


def _oddness(margin: Tensor, labels: Tensor, classes: int) -> Tensor:
    """How far a clip stands out of its label's, in deviations that a few wrong ones don't move."""
    middle = torch.zeros(classes, dtype=margin.dtype)
    present = [label for label in range(classes) if bool((labels == label).any())]
    for label in present:
        middle[label] = margin[labels == label].median()
    away = margin - middle[labels]
    spread = torch.full((classes,), float(away.abs().median()), dtype=margin.dtype)
    for label in present:
        spread[label] = torch.maximum(spread[label], away[labels == label].abs().median())
    return away / (1.4826 * spread[labels]).clamp(min=1e-12)


def _judged(inputs: Inputs) -> Tensor:
    sources: dict[int, list[str]] = defaultdict(list)
    for label, source in zip(inputs.labels.tolist(), inputs.sources):
        sources[label].append(source)
    fair = {label: len(some) >= _FEWEST and len(set(some)) > 1 for label, some in sources.items()}
    return torch.tensor([fair[label] for label in inputs.labels.tolist()])
