"""Encoded clips as the features that a recogniser scores."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ezav.encoders.base import Encoded
from ezav.errors import EzavError
from ezav.extraction.encoded import EncodedClip
from ezav.features.feature_set import FeatureSet, Ragged


def features_of(clips: Sequence[EncodedClip], audio: int, visual: int) -> FeatureSet:
    """Encoded clips as features; their labels are all 0 and mean nothing.

    Args:
        clips: of any length.
        audio, visual: dimensions of the tokens.

    Raises:
        EzavError: the encoders gave other dimensions.
    """
    found = FeatureSet(
        audio=Ragged.from_clips([_tensors(clip.audio) for clip in clips], audio),
        visual=Ragged.from_clips([_tensors(clip.visual) for clip in clips], visual),
        labels=torch.zeros(len(clips), dtype=torch.long),
        clips=tuple(str(clip.path) for clip in clips),
        classes=("",),
    )
    check_dims(found, audio, visual)
    return found


def check_dims(clips: FeatureSet, audio: int, visual: int) -> None:
    """Refuse features of other dimensions.

    Raises:
        EzavError: they have others.
    """
    sides = (("audio", clips.audio.dim, audio), ("visual", clips.visual.dim, visual))
    for modality, found, wanted in sides:
        if found != wanted:
            raise EzavError(
                f"the {modality} features have {found} dimensions, the run was trained on {wanted}",
                "extract them with the encoders of the run",
            )


def _tensors(tokens: Encoded | None) -> tuple[Tensor, Tensor] | None:
    if tokens is None:
        return None
    return torch.from_numpy(tokens.values), torch.from_numpy(tokens.times)
