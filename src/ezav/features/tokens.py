"""One modality of a batch of clips, as tokens in time; pooled features are one token."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Tokens:
    """One modality of B clips, padded to the longest.

    Attributes:
        values: float `[B, T, d]`; zero where padded.
        mask: bool `[B, T]`, True where a token is real. A clip whose row has no True lacks this
            modality (a video without sound).
        times: float `[B, T]`, the middle of each token in seconds; 0 for pooled features.

    Example:
        >>> import torch
        >>> audio = Tokens.pooled(torch.ones(2, 3), present=torch.tensor([True, False]))
        >>> audio.values.shape, audio.mask.tolist()
        (torch.Size([2, 1, 3]), [[True], [False]])
    """

    values: Tensor
    mask: Tensor
    times: Tensor

    @classmethod
    def pooled(cls, values: Tensor, present: Tensor | None = None) -> Tokens:
        """One token a clip from `values` `[B, d]`; `present` `[B]` False where it is missing."""
        if present is None:
            present = torch.ones(len(values), dtype=torch.bool, device=values.device)
        tokens = torch.where(present[:, None], values, torch.zeros_like(values))
        times = torch.zeros(len(values), 1, device=values.device)
        return cls(tokens[:, None], present[:, None], times)

    def __len__(self) -> int:
        return len(self.values)

    @property
    def dim(self) -> int:
        """The feature dimension d."""
        return self.values.shape[-1]

    @property
    def present(self) -> Tensor:
        """Bool `[B]`: the clip has this modality at all."""
        return self.mask.any(dim=1)

    def mean(self) -> Tensor:
        """The mean over real tokens `[B, d]`; zero for a clip that lacks the modality.

        Example:
            >>> import torch
            >>> values = torch.tensor([[[1.0], [3.0]], [[5.0], [0.0]]])
            >>> mask = torch.tensor([[True, True], [True, False]])
            >>> Tokens(values, mask, torch.zeros(2, 2)).mean().tolist()
            [[2.0], [5.0]]
        """
        if self.values.shape[1] == 1:
            return self.values[:, 0] * self.mask
        count = self.mask.sum(dim=1, keepdim=True).clamp(min=1)
        return (self.values * self.mask[..., None]).sum(dim=1) / count

    def __getitem__(self, index: Tensor | slice) -> Tokens:
        return Tokens(self.values[index], self.mask[index], self.times[index])

    def to(self, device: torch.device | str) -> Tokens:
        """The same tokens on another device."""
        return Tokens(self.values.to(device), self.mask.to(device), self.times.to(device))

    def without(self) -> Tokens:
        """The same clips with this modality missing: all masked, values zero."""
        return Tokens(
            torch.zeros_like(self.values), torch.zeros_like(self.mask), torch.zeros_like(self.times)
        )
