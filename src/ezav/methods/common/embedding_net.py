"""AVCA's small perceptron: Linear - BatchNorm - ReLU - Dropout, once or twice."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ezav.methods.common.batch_norm import BatchNorm
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
            BatchNorm(first_dim),
            nn.ReLU(inplace=True),
            Dropout(dropout),
        ]
        if hidden_dim is not None:
            layers += [
                nn.Linear(hidden_dim, out_dim),
                BatchNorm(out_dim, momentum=momentum),
                nn.ReLU(inplace=True),
                Dropout(dropout),
            ]
        super().__init__(*layers)

    def sides(self, x: Tensor) -> Tensor:
        """S batches at once, `[B, S, in_dim] -> [B, S, out_dim]`: the same as S calls in a row.

        Each batch (side) has BatchNorm's statistics of its own, side 0 moving the running ones
        first; all else is done for all of them together, which is quicker.
        """
        for layer in self:
            x = _side_by_side(layer, x) if isinstance(layer, BatchNorm) else layer(x)
        return x


def _side_by_side(norm: BatchNorm, x: Tensor) -> Tensor:
    """BatchNorm of `[B, S, d]`, each of the S sides normalised for itself."""
    if not norm.training or len(x) < 2:
        return norm.by_running_statistics(x.flatten(0, 1)).view(x.shape)
    mean, variance = norm.running_mean, norm.running_var
    assert mean is not None
    assert variance is not None
    assert norm.num_batches_tracked is not None
    assert norm.momentum is not None
    number = x.shape[1]
    # As S * d channels; from a momentum of 1 the statistics of this batch alone come back.
    means, variances = mean.new_zeros(number * len(mean)), mean.new_zeros(number * len(mean))
    normed = F.batch_norm(
        x.flatten(1),
        means,
        variances,
        norm.weight.repeat(number),
        norm.bias.repeat(number),
        training=True,
        momentum=1.0,
        eps=norm.eps,
    )
    with torch.no_grad():
        for side in means.view(number, -1):
            mean.lerp_(side, norm.momentum)
        for side in variances.view(number, -1):
            variance.lerp_(side, norm.momentum)
        norm.num_batches_tracked += number
    return normed.view(x.shape)
