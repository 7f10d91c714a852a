"""Scores of clips that are answered together, modality by modality."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ezav.errors import EzavError
from ezav.features.feature_set import FeatureSet
from ezav.features.tokens import Tokens
from ezav.recognizer.frozen_method import Channel, FrozenMethod
from ezav.recognizer.taught import TaughtMethod
from ezav.recognizer.together import By, answer

_AT_ONCE = 64
LEAST = 2
"""Clips that can be answered together."""


@torch.inference_mode()
def score_together(
    method: FrozenMethod, clips: FeatureSet, class_embeddings: Tensor, by: By = "mixture"
) -> tuple[Tensor, float]:
    """Scores `[N, C]` as of :meth:`FrozenMethod.scores`, and how far clips counted for others.

    Each modality is answered among the clips that have it. Told is the modality in which the
    others counted most: 0 says that each clip stands alone.

    Raises:
        EzavError: there are fewer than two clips.
    """
    if len(clips) < LEAST:
        raise EzavError(
            f"{len(clips)} readable clips cannot be answered together"
            if len(clips) != 1
            else "one readable clip cannot be answered together",
            f"give {LEAST} clips or more, or leave `together` out",
        )
    total = class_embeddings.new_zeros(len(clips), len(class_embeddings))
    count = class_embeddings.new_zeros(len(clips), 1)
    weight = 0.0
    for channel in method.channels:
        if channel.added:
            continue
        stored = clips.visual if channel.kind == "visual" else clips.audio
        there = (stored.lengths > 0).cpu()
        if not bool(there.any()):
            continue
        vectors = _vectors(channel, clips)[there]
        names = channel.names(class_embeddings)
        mean = channel.mean
        centre = torch.zeros_like(vectors[0]) if mean is None else mean.to(vectors)
        found = answer(vectors, names, centre, by)
        total[there] += channel.scale * found.cosines
        count[there] += 1
        weight = max(weight, found.weight)  # of a single clip it is 0
    alone = [method.added(*part, class_embeddings) for part in _parts(clips, pooled=False)]
    return total / count.clamp(min=1) + torch.cat(alone).to(total), weight


@torch.inference_mode()
def score_taught(method: TaughtMethod, clips: FeatureSet, class_embeddings: Tensor) -> Tensor:
    """What the lessons add to the scores of clips, `[N, C]`: of each clip alone."""
    parts = _parts(clips, pooled=not method.uses_time)
    return torch.cat([method.added(*part, class_embeddings) for part in parts])


def _vectors(channel: Channel, clips: FeatureSet) -> Tensor:
    parts = _parts(clips, pooled=channel.words is None)
    kinds = [visual if channel.kind == "visual" else audio for audio, visual in parts]
    return torch.cat([channel.vectors(tokens).cpu() for tokens in kinds])


def _parts(clips: FeatureSet, pooled: bool) -> Iterator[tuple[Tokens, Tokens]]:
    """Sound and pictures of some clips at a time."""
    for start in range(0, len(clips), _AT_ONCE):
        index = torch.arange(start, min(start + _AT_ONCE, len(clips)))
        yield clips.audio.gather(index, pooled), clips.visual.gather(index, pooled)
