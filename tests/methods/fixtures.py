"""Reference weights, inputs and outputs of the authors' own code."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from ezav.features.tokens import Tokens
from tests.shared_data import shared


class Fixture:
    """One `*_parity.npz`, by the prefix of its keys."""

    def __init__(self, name: str) -> None:
        self.arrays = np.load(shared("fixtures", f"{name}_parity.npz"))

    def __getitem__(self, key: str) -> Tensor:
        array = self.arrays[key]
        tensor = torch.from_numpy(np.ascontiguousarray(array)).reshape(array.shape)
        return tensor.float() if tensor.dtype == torch.float16 else tensor

    def under(self, prefix: str) -> dict[str, Tensor]:
        """Every entry under `prefix/`, without the prefix."""
        start = f"{prefix}/"
        return {k[len(start) :]: self[k] for k in self.arrays.files if k.startswith(start)}

    def pooled(self, key: str) -> Tokens:
        return Tokens.pooled(self[key])


def without_dropout(module: nn.Module) -> None:
    """Set every dropout probability to 0, so that training mode is deterministic."""
    for part in module.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0


def close(ours: Tensor, theirs: Tensor, what: str, tolerance: float = 1e-5) -> None:
    """Equal within `tolerance`, absolute plus relative."""
    torch.testing.assert_close(
        ours.detach(), theirs, rtol=tolerance, atol=tolerance, msg=lambda m: f"{what}: {m}"
    )
