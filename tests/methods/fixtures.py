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
    """Equal to `tolerance` of the tensor's largest entry (at least 1).

    The reference is float32: measured against float64 it is itself up to 1e-5 of the largest
    entry off, where BatchNorm over a few clips amplifies rounding.
    """
    scale = max(1.0, float(theirs.abs().max())) if theirs.numel() else 1.0
    torch.testing.assert_close(
        ours.detach().to(theirs.dtype),
        theirs,
        rtol=0,
        atol=tolerance * scale,
        msg=lambda m: f"{what}: {m}",
    )


def close_gradients(module: nn.Module, theirs: dict[str, Tensor], tolerance: float = 1e-5) -> None:
    """Every parameter has a gradient, and it equals the reference.

    A bias just before BatchNorm has gradient 0 in truth and rounding noise in the reference.
    """
    ours = dict(module.named_parameters())
    assert set(ours) == set(theirs)
    for name, gradient in theirs.items():
        noise = name.endswith("bias") and bool(gradient.abs().max() < 5e-5)
        close(ours[name].grad, gradient, name, tolerance=5e-5 if noise else tolerance)
