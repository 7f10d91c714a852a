"""Features of many clips, resident in memory or on a device, and batches of them by index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ezav.features.tokens import Tokens

_TOKENS_AT_ONCE = 1 << 16
"""Tokens averaged in one go: keeps the float32 copy of half-precision features small."""


@dataclass(frozen=True, eq=False)
class Ragged:
    """One modality of N clips, each with its own number of tokens T_n (0: it is missing).

    Attributes:
        values: float32 or float16 `[ΣT, d]`, the tokens of clip 0, then those of clip 1, …
        offsets: long `[N+1]`; clip n owns rows `offsets[n]` to `offsets[n+1]`.
        times: float32 `[ΣT]`, the middle of each token in seconds; 0 for pooled features.
        mapped: `values` lie in a file on disk, of which only what is used is read.

    Example:
        >>> import torch
        >>> clip = torch.tensor([[1.0, 1.0], [3.0, 3.0]])
        >>> features = Ragged.from_clips([(clip, torch.tensor([0.5, 1.5])), None])
        >>> features.gather(torch.tensor([1, 0])).mask.tolist()
        [[False, False], [True, True]]
        >>> features.gather(torch.tensor([0]), pooled=True).values.tolist()
        [[[2.0, 2.0]]]
    """

    values: Tensor
    offsets: Tensor
    times: Tensor
    mapped: bool = False

    def __post_init__(self) -> None:
        total = len(self.values)
        if self.values.ndim != 2 or self.times.shape != (total,) or self.offsets.ndim != 1:
            raise ValueError(
                f"a ragged modality needs values [T, d], times [T], offsets [N+1], got "
                f"{tuple(self.values.shape)}, {tuple(self.times.shape)}, "
                f"{tuple(self.offsets.shape)}"
            )

    @classmethod
    def pooled(cls, values: Tensor, present: Tensor | None = None) -> Ragged:
        """One token a clip from `values` `[N, d]`; clips False in `present` `[N]` have none.

        Example:
            >>> import torch
            >>> Ragged.pooled(torch.ones(2, 3), torch.tensor([True, False])).lengths.tolist()
            [1, 0]
        """
        count = torch.ones(len(values), dtype=torch.long, device=values.device)
        if present is not None and not bool(present.all()):
            values, count = values[present], present.long()
        times = torch.zeros(len(values), device=values.device)
        return cls(values, _offsets(count), times)

    @classmethod
    def from_clips(
        cls, clips: Sequence[tuple[Tensor, Tensor] | None], dim: int | None = None
    ) -> Ragged:
        """Join clips given as (values `[T, d]`, times `[T]`), or None where it is missing.

        `dim` is needed only when every clip lacks the modality.
        """
        found = [clip for clip in clips if clip is not None]
        count = torch.tensor([0 if clip is None else len(clip[0]) for clip in clips])
        if found:
            values = torch.cat([values for values, _ in found])
            times = torch.cat([times for _, times in found]).float()
        else:
            values, times = torch.zeros(0, dim or 0), torch.zeros(0)
        return cls(values, _offsets(count), times)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def dim(self) -> int:
        """The feature dimension d."""
        return self.values.shape[1]

    @property
    def device(self) -> torch.device:
        """Where the features are."""
        return self.values.device

    @cached_property
    def lengths(self) -> Tensor:
        """Long `[N]`: the number of tokens of each clip; 0 where it lacks the modality."""
        return self.offsets.diff()

    @cached_property
    def _pooled_already(self) -> bool:
        """Every clip has exactly one token, so that gathering is plain indexing."""
        return len(self.values) == len(self) and bool((self.lengths == 1).all())

    @cached_property
    def means(self) -> Tensor:
        """Float32 `[N, d]`: each clip's mean token; zero where it lacks the modality."""
        total = torch.zeros(len(self), self.dim, device=self.device)
        owner = torch.arange(len(self), device=self.device).repeat_interleave(self.lengths)
        for start in range(0, len(self.values), _TOKENS_AT_ONCE):
            rows = slice(start, start + _TOKENS_AT_ONCE)
            total.index_add_(0, owner[rows], self.values[rows].float())
        return total.div_(self.lengths.clamp(min=1)[:, None])

    def gather(self, index: Tensor, pooled: bool = False) -> Tokens:
        """The clips of `index` (long `[B]`) as a batch, padded to the longest of them.

        Args:
            index: rows of this modality, on the same device.
            pooled: one mean token a clip instead of all; the means are computed once and kept.

        Returns:
            float32 tokens `[B, T, d]`, T at least 1.
        """
        if self._pooled_already:
            present = torch.ones(len(index), 1, dtype=torch.bool, device=self.device)
            tokens = self.values[index].float()[:, None]
            return Tokens(tokens, present, self.times[index][:, None])
        lengths = self.lengths[index]
        if pooled:
            return Tokens.pooled(self.means[index], lengths > 0)
        longest = max(1, int(lengths.max())) if len(index) else 1
        position = torch.arange(longest, device=self.device)
        mask = position < lengths[:, None]
        if not len(self.values):
            values = torch.zeros(len(index), longest, self.dim, device=self.device)
            return Tokens(values, mask, torch.zeros(len(index), longest, device=self.device))
        # Padding reads some real row, then becomes zero: cheaper than a scatter, and never out
        # of bounds.
        rows = (self.offsets[index][:, None] + position).where(mask, 0)
        values = self.values[rows].float().masked_fill_(~mask[..., None], 0)
        return Tokens(values, mask, self.times[rows].masked_fill(~mask, 0))

    def subset(self, index: Tensor) -> Ragged:
        """The clips of `index` (long, or bool `[N]`) as a modality of their own."""
        if index.dtype == torch.bool:
            index = index.nonzero()[:, 0]
        count = self.lengths[index]
        offsets = _offsets(count)
        rows = torch.arange(int(offsets[-1]), device=self.device)
        rows += (self.offsets[index] - offsets[:-1]).repeat_interleave(count)
        return Ragged(self.values[rows], offsets, self.times[rows])

    def to(self, device: torch.device | str) -> Ragged:
        """The same features on another device."""
        return Ragged(self.values.to(device), self.offsets.to(device), self.times.to(device))


@dataclass(frozen=True, eq=False)
class FeatureSet:
    """Labelled clips with both modalities, ready for training or scoring.

    Attributes:
        audio, visual: the features of the same N clips.
        labels: long `[N]`, rows of `classes`.
        clips: the N clip names.
        classes: all class names that a label may mean.

    Example:
        >>> import torch
        >>> one = Ragged.pooled(torch.ones(2, 3))
        >>> features = FeatureSet(one, one, torch.tensor([1, 0]), ("a", "b"), ("cat", "dog"))
        >>> features.subset(torch.tensor([0])).clips
        ('a',)
    """

    audio: Ragged
    visual: Ragged
    labels: Tensor
    clips: tuple[str, ...]
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        sizes = {len(self.audio), len(self.visual), len(self.labels), len(self.clips)}
        if len(sizes) != 1:
            raise ValueError(f"audio, visual, labels and clips differ in number: {sorted(sizes)}")

    def __len__(self) -> int:
        return len(self.clips)

    @property
    def device(self) -> torch.device:
        """Where the features are."""
        return self.labels.device

    @property
    def mapped(self) -> bool:
        """Features of some modality lie in a file on disk."""
        return self.audio.mapped or self.visual.mapped

    def subset(self, index: Tensor) -> FeatureSet:
        """The clips of `index` (long, or bool `[N]`); the classes stay the same."""
        if index.dtype == torch.bool:
            index = index.nonzero()[:, 0]
        clips = tuple(self.clips[row] for row in index.tolist())
        audio, visual = self.audio.subset(index), self.visual.subset(index)
        return FeatureSet(audio, visual, self.labels[index], clips, self.classes)

    def to(self, device: torch.device | str) -> FeatureSet:
        """The same clips on another device; this very set if it is there already."""
        if torch.empty(0, device=device).device == self.device:
            return self
        audio, visual = self.audio.to(device), self.visual.to(device)
        return FeatureSet(audio, visual, self.labels.to(device), self.clips, self.classes)


def _offsets(count: Tensor) -> Tensor:
    """`[0, n_0, n_0 + n_1, …]` from the counts `[N]`."""
    return torch.cat([count.new_zeros(1), count.cumsum(0)])
