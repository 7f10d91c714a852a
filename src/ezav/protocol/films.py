"""Films of validation clips, one joined to the other, with what is when."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ezav.features.feature_set import FeatureSet, Ragged
from ezav.features.header import MODALITIES
from ezav.metrics.events import Span
from ezav.protocol.cut import HOP
from ezav.protocol.evaluation import StageModel

_MOST_CLIPS = 300


@dataclass(frozen=True, slots=True)
class Held:
    """A model, and labelled clips that it was not trained on; labels are rows of its classes."""

    model: StageModel
    clips: FeatureSet


@dataclass(frozen=True, slots=True)
class Film:
    """Clips one after the other: tokens with their times, and what is when."""

    clips: FeatureSet
    times: dict[str, Tensor]
    truth: tuple[Span, ...]
    end: float

    @classmethod
    def joined(cls, clips: FeatureSet) -> Film:
        lengths = _seconds(clips).double()
        starts = lengths.cumsum(0) - lengths
        times: dict[str, Tensor] = {}
        for modality in MODALITIES:
            held: Ragged = getattr(clips, modality)
            times[modality] = held.times.double() + starts.repeat_interleave(held.lengths)
        spans = zip(starts.tolist(), (starts + lengths).tolist(), clips.labels.tolist())
        return cls(clips, times, tuple(Span(*one) for one in spans), float(lengths.sum()))

    def windows(self, length: float) -> FeatureSet:
        """Those that lie in the film whole, one a hop; the tokens whose middle is in them."""
        count = max(1, int((self.end - length) / HOP) + 1)
        begins = torch.arange(count, dtype=torch.float64) * HOP
        parts = {m: self._cut(m, begins, length) for m in MODALITIES}
        names = tuple(map(str, range(count)))
        labels = torch.zeros(count, dtype=torch.long)
        return FeatureSet(**parts, labels=labels, clips=names, classes=self.clips.classes)

    def _cut(self, modality: str, begins: Tensor, length: float) -> Ragged:
        held, times = getattr(self.clips, modality), self.times[modality]
        first = torch.searchsorted(times, begins)
        last = torch.searchsorted(times, begins + length)
        # A window that is shorter than a token's step is encoded all the same: the nearest one.
        step = float(times.diff().median()) if len(times) > 1 else 0.0
        middles = begins + length / 2
        near = torch.searchsorted(times, middles).clamp(max=max(0, len(times) - 1))
        if len(times):
            earlier = (near - 1).clamp(min=0)
            closer = (times[earlier] - middles).abs() < (times[near] - middles).abs()
            near = torch.where(closer, earlier, near)
            alone = (last == first) & ((times[near] - middles).abs() <= step)
            first, last = torch.where(alone, near, first), torch.where(alone, near + 1, last)
        counts = last - first
        offsets = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
        rows = torch.arange(int(offsets[-1])) + (first - offsets[:-1]).repeat_interleave(counts)
        inside = (times[rows] - begins.repeat_interleave(counts)).clamp(min=0).float()
        return Ragged(held.values[rows], offsets, inside)


def joined(held: Sequence[Held]) -> list[tuple[Film, StageModel]]:
    """The clips of each model one after the other, at most 300 in all; none of clips without time.

    Args:
        held: clips and who is to find them.
    """
    most = max(1, _MOST_CLIPS // max(1, len(held)))
    some = [(_some(one.clips, most), one.model) for one in held]
    return [(Film.joined(clips), model) for clips, model in some if len(clips)]


def lasts(clips: FeatureSet) -> bool:
    """Whether some clips have several tokens, so that they can be joined and cut."""
    return bool((_seconds(clips) > HOP).any())


def _some(clips: FeatureSet, most: int) -> FeatureSet:
    """At most so many of those that last, evenly over the classes; no class twice in a row."""
    lasting = _seconds(clips) > HOP
    by_class: dict[int, list[int]] = {}
    for row in lasting.nonzero()[:, 0].tolist():
        by_class.setdefault(int(clips.labels[row]), []).append(row)
    rounds = itertools.zip_longest(*(rows for _, rows in sorted(by_class.items())))
    draw, order = random.Random(0), list[int]()
    for some in rounds:
        there = [row for row in some if row is not None]
        draw.shuffle(there)
        order += there
    order = order[:most]
    labels = clips.labels.tolist()
    apart = [row for at, row in enumerate(order) if not at or labels[row] != labels[order[at - 1]]]
    return clips.subset(torch.tensor(apart, dtype=torch.long, device=clips.device)).to("cpu")


def _seconds(clips: FeatureSet) -> Tensor:
    """How long each clip is, `[N]`: its last token's middle and half a step; 0 of pooled ones."""
    found = torch.zeros(len(clips))
    for modality in MODALITIES:
        held: Ragged = getattr(clips, modality)
        last = (held.offsets[1:] - 1).clamp(min=0).cpu()
        times = held.times.cpu()
        if not len(times):
            continue
        ends, lengths = times[last], held.lengths.cpu()
        step = torch.where(lengths > 1, ends - times[(last - 1).clamp(min=0)], 2 * ends)
        ends = torch.where(lengths > 0, ends + step / 2, torch.zeros_like(ends))
        # One token alone says of a clip no more than that it is there.
        found = torch.maximum(found, torch.where(lengths > 1, ends, torch.zeros_like(ends)))
    return found
