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
_BLOCK = 1 << 24
"""Cosines at a time, so that memory grows with the clips and not with their pairs."""


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
    names = list(dict.fromkeys(inputs.splits))
    split = torch.tensor([names.index(one) for one in inputs.splits])
    places = split * len(inputs.classes) + inputs.labels
    found = nearest_apart(inputs.visual, inputs.audio, places, NEAR)
    nearest = sorted(found, key=lambda one: -one[2])[:MOST]
    return [_told(inputs, *one) for one in nearest]


def nearest_apart(
    visual: Tensor, audio: Tensor, places: Tensor, least: float
) -> Iterator[tuple[int, int, float]]:
    """Of each row the nearest later one elsewhere, if their cosine is `least` in every modality.

    Args:
        visual, audio: unit rows `[N, d]`, zeros where the modality is missing. Clips without a
            common modality are no pair, and neither is one that has both with one that has one.
        places: long `[N]`; rows of one place are no pair.
        least: the cosine.

    Example:
        >>> rows = torch.eye(2)[torch.tensor([0, 1, 0])]
        >>> list(nearest_apart(rows, torch.zeros(3, 2), torch.arange(3), 0.9))
        [(0, 2, 1.0)]
    """
    has = torch.stack([one.abs().amax(dim=1) > 0 for one in (visual, audio)], dim=1)
    step = max(1, min(1024, _BLOCK // max(1, len(visual))))
    for start in range(0, len(visual), step):
        rows = slice(start, start + step)
        alike = (has[rows][:, None] == has[start:]).all(dim=2) & has[rows].any(dim=1)[:, None]
        alike &= places[rows][:, None] != places[start:]
        like = alike.float().triu(diagonal=1)
        for which, values in enumerate((visual, audio)):
            one = values[rows] @ values[start:].T
            one[~has[rows, which]] = 1.0  # neither of an alike pair has it
            like = torch.minimum(like, one)
        cosine, second = like.max(dim=1)
        for row in (cosine >= least).nonzero()[:, 0].tolist():
            yield start + row, start + int(second[row]), min(1.0, float(cosine[row]))


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
