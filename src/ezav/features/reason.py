"""Features beyond reason: finite numbers from which nothing can be learned or told."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ezav.encoders.base import LARGEST
from ezav.errors import DamagedError
from ezav.features.feature_set import Ragged


def refuse_beyond_reason(modality: str, values: Tensor, clip_of: str = "") -> None:
    """Refuse features that are not finite, or larger than any encoder gives.

    Args:
        modality: audio or visual, for the message.
        values: features of any shape.
        clip_of: whose they are, where that is known.

    Raises:
        DamagedError: the largest of them is told.

    Example:
        >>> refuse_beyond_reason("audio", torch.tensor([1.0, -1e30]))
        Traceback (most recent call last):
        ezav.errors.DamagedError: the audio features reach -1e+30; no encoder gives ...
    """
    if not values.numel():
        return
    # The extremes are finite only if all values are; a sum may be too large for float16.
    low, high = (float(end) for end in torch.stack(values.aminmax()))
    worst = low if not abs(high) >= abs(low) else high
    whose = f" of '{clip_of}'" if clip_of else ""
    if not torch.isfinite(torch.tensor([low, high])).all():
        raise DamagedError(
            f"the {modality} features{whose} hold values that are not finite",
            "verify the feature store: it names the clips",
        )
    if abs(worst) > LARGEST:
        raise DamagedError(
            f"the {modality} features{whose} reach {worst:g}; no encoder gives numbers beyond "
            f"{LARGEST:g}",
            "extract them again, or scale them",
        )


def refuse_clips_beyond_reason(modality: str, features: Ragged, clips: Sequence[str]) -> None:
    """:func:`refuse_beyond_reason` of the features of many clips; the first such clip is named."""
    if not features.values.numel():
        return
    low, high = features.values.aminmax()
    if float(torch.maximum(-low, high)) <= LARGEST:  # never where they are not finite
        return
    token = int((~(features.values.abs().amax(dim=1).float() <= LARGEST)).nonzero()[0])
    row = int(torch.searchsorted(features.offsets, token, right=True)) - 1
    refuse_beyond_reason(modality, features.values[token], clips[row])
