"""BatchNorm that can take a batch of one row."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class BatchNorm(nn.BatchNorm1d):
    """`nn.BatchNorm1d` of `[N, d]`; fewer than two rows are normalised by the running statistics.

    One row has no variance, so torch refuses it in training. But a batch may hold a single token
    of a modality, and the last batch a single clip. Such rows do not move the statistics.

    Example:
        >>> import torch
        >>> BatchNorm(2)(torch.tensor([[3.0, 4.0]])).tolist()
        [[2.99..., 3.99...]]
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `[B, d]`; a batch of one clip passes by the running statistics."""
        if self.training and len(x) < 2:
            return self.by_running_statistics(x)
        normed: Tensor = super().forward(x)
        return normed

    def by_running_statistics(self, x: Tensor) -> Tensor:
        """Normalised as in evaluation, whatever the mode."""
        return F.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
        )
