"""AVCA's small perceptron: Linear - BatchNorm - ReLU - Dropout, once or twice."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ezav.methods.common.dropout import Dropout


class EmbeddingNet(nn.Sequential):
    """One or two blocks Linear - BatchNorm - ReLU - Dropout, `[N, in_dim] -> [N, out_dim]`.

    The output is non-negative. Layers keep the numbering of the authors' weight files:
    0 Linear, 1 BatchNorm, 2 ReLU, 3 Dropout, then 4 to 7 for the second block.

    Args:
        in_dim, out_dim: sizes of the input and of the output.
        hidden_dim: size between the two blocks; None for a single block.
        dropout: probability after each ReLU.
        momentum: of the second block's BatchNorm; every other BatchNorm keeps torch's 0.1,
            as in the authors' code.

    Example:
        >>> EmbeddingNet(8, 3, hidden_dim=5)(torch.ones(4, 8)).shape
        torch.Size([4, 3])
    """

    def __init__(
        self,
        in_dim: int,
        out_dim: int,
        *,
        hidden_dim: int | None = None,
        dropout: float = 0.0,
        momentum: float = 0.1,
    ) -> None:
        first_dim = out_dim if hidden_dim is None else hidden_dim
        layers: list[nn.Module] = [
            nn.Linear(in_dim, first_dim),
            nn.BatchNorm1d(first_dim),
            nn.ReLU(),
            Dropout(dropout),
        ]
        if hidden_dim is not None:
            layers += [
                nn.Linear(hidden_dim, out_dim),
                nn.BatchNorm1d(out_dim, momentum=momentum),
                nn.ReLU(),
                Dropout(dropout),
            ]
        super().__init__(*layers)

    def pair(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        """Two batches at once, `[N, in_dim]` each: the same as one call after the other.

        Each batch has BatchNorm's statistics of its own, `first` moving the running ones before
        `second`; all else is done for both together, which is quicker.
        """
        both = torch.cat([first, second])
        for layer in self:
            if isinstance(layer, nn.BatchNorm1d):
                both = torch.cat([layer(part) for part in both.split([len(first), len(second)])])
            else:
                both = layer(both)
        return both[: len(first)], both[len(first) :]
