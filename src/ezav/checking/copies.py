"""Clips that are nearly the same where they should not be: across splits, or in two classes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ezav.checking.finding import Finding
from ezav.checking.inputs import Inputs

NEAR = 0.9
"""Cosine of standardised features, of the modality in which they differ more, from which two clips
are nearly the same. Clips of one recording reach it, others of one class stay below 0.7."""
MOST = 10_000
"""Pairs that are told; of more, the nearest."""
_BLOCK = 1024


def copies(inputs: Inputs) -> list[Finding]:
    """Pairs that are nearly the same and stand in two splits or two classes, the nearest first.

    Every clip is told once, with the nearest of its others.

    Example:
        >>> from ezav.features.feature_set import FeatureSet, Ragged
        >>> clips = Ragged.pooled(torch.eye(4)[torch.tensor([0, 1, 2, 0])])
        >>> labels = torch.tensor([0, 0, 1, 0])
        >>> some = FeatureSet(clips, clips, labels, ("a", "b", "c", "d"), ("cat", "dog"))
        >>> split = ("train", "train", "train", "test_seen")
        >>> [(one.clip, one.other) for one in copies(Inputs(some, split, ("", "", "", "")))]
        [('a', 'd')]
    """
    found: dict[int, tuple[float, int]] = {}
    for first, second, cosine in near_pairs(inputs.visual, inputs.audio, NEAR):
        apart = inputs.splits[first] != inputs.splits[second]
        if apart or inputs.labels[first] != inputs.labels[second]:
            found[first] = max(found.get(first, (-1.0, -1)), (cosine, second))
    nearest = sorted(found.items(), key=lambda one: -one[1][0])[:MOST]
    return [_told(inputs, first, second, cosine) for first, (cosine, second) in nearest]


def near_pairs(visual: Tensor, audio: Tensor, least: float) -> Iterator[tuple[int, int, float]]:
    """Pairs of rows, the smaller first, whose cosine is `least` in every modality both have.

    Args:
        visual, audio: unit rows `[N, d]`, zeros where the modality is missing. Clips without a
            common modality are no pair, and neither is one that has both with one that has one.
        least: the cosine.

    Example:
        >>> rows = torch.eye(2)[torch.tensor([0, 1, 0])]
        >>> list(near_pairs(rows, torch.zeros(3, 2), 0.9))
        [(0, 2, 1.0)]
    """
    has = torch.stack([one.abs().amax(dim=1) > 0 for one in (visual, audio)], dim=1)
    for start in range(0, len(visual), _BLOCK):
        rows = slice(start, start + _BLOCK)
        like = torch.ones(len(visual[rows]), len(visual) - start)
        for which, values in enumerate((visual, audio)):
            both = has[rows, which][:, None] & has[start:, which]
            like = torch.where(both, torch.minimum(like, values[rows] @ values[start:].T), like)
        alike = (has[rows][:, None] == has[start:]).all(dim=2) & has[rows].any(dim=1)[:, None]
        near = ((like >= least) & alike).triu(diagonal=1).nonzero()
        for first, second in near.tolist():
            yield start + first, start + second, min(1.0, float(like[first, second]))


def _told(inputs: Inputs, first: int, second: int, cosine: float) -> Finding:
    names = [inputs.classes[int(inputs.labels[row])] for row in (first, second)]
    places = _different([inputs.splits[first], inputs.splits[second]])
    classes = _different([f"'{name}'" for name in names])
    told = ", ".join(filter(None, (classes, places)))
    other = inputs.clips.clips[second]
    return Finding(
        kind="copy",
        clip=inputs.clips.clips[first],
        class_name=names[0],
        split=inputs.splits[first],
        other=other,
        score=round(cosine, 4),
        said=f"nearly '{other}' (cosine {cosine:.3f}; {told})",
    )


def _different(pair: Sequence[str]) -> str:
    return f"{pair[0]} and {pair[1]}" if pair[0] != pair[1] else ""
