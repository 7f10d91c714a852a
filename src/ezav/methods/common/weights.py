"""Renaming the parameters of the authors' weight files."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ezav.errors import EzavError


def rename(
    state: Mapping[str, Tensor], names: Mapping[str, str], ignored: tuple[str, ...] = ()
) -> dict[str, Tensor]:
    """A state dict with every key's prefix replaced.

    Args:
        state: the authors' state dict (in their files, the entry `model`).
        names: their prefix -> ours; the longest matching prefix wins.
        ignored: prefixes to leave out.

    Raises:
        EzavError: a key that no prefix covers.

    Example:
        >>> import torch
        >>> list(rename({"A_enc.fc.0.bias": torch.zeros(1)}, {"A_enc.fc.": "audio_encoder."}))
        ['audio_encoder.0.bias']
    """
    renamed = {}
    for key, value in state.items():
        if key.startswith(ignored):
            continue
        prefix = max((p for p in names if key.startswith(p)), key=len, default=None)
        if prefix is None:
            raise EzavError(
                f"unknown parameter '{key}' in published weights",
                f"expected names that start with: {', '.join(names)}",
            )
        renamed[names[prefix] + key[len(prefix) :]] = value
    return renamed
