"""Which clips make a batch: drawn a whole epoch at a time, on the device."""

from __future__ import annotations

import torch
from torch import Tensor

from ezav.errors import EzavError


class Sampler:
    """Draws the clips of an epoch, and for each a clip of another class (a negative).

    Args:
        labels: long `[N]`, class of each training clip.
        num_classes: C; every class must have a clip.
        balanced: draw a class uniformly, then a clip of it, with replacement; else a permutation.
        generator: the only source of randomness.

    Raises:
        EzavError: a class has no training clip.
    """

    def __init__(
        self, labels: Tensor, num_classes: int, *, balanced: bool, generator: torch.Generator
    ) -> None:
        self.labels = labels
        self.balanced = balanced
        self.generator = generator
        self.by_class = labels.argsort(stable=True)
        self.count = torch.bincount(labels, minlength=num_classes)
        self.start = self.count.cumsum(0) - self.count
        empty = (self.count == 0).nonzero().flatten().tolist()
        if empty:
            raise EzavError(f"{len(empty)} training classes have no clip (rows {empty[:5]})")

    def _uniform(self, shape: torch.Size | tuple[int, ...]) -> Tensor:
        # float64: float32 has too few values to reach every clip of a large class evenly.
        draw = torch.rand(shape, generator=self.generator, dtype=torch.float64)
        return draw.to(self.labels.device)

    def _clip_of(self, classes: Tensor) -> Tensor:
        count = self.count[classes]
        offset = (self._uniform(classes.shape) * count).long().clamp(max=count - 1)
        return self.by_class[self.start[classes] + offset]

    def epoch(self, batches: int | None, batch_size: int) -> Tensor:
        """Indices of an epoch's clips `[batches, batch_size]`.

        Uniform sampling without `batches` gives every clip once, the last batch cut from a second
        permutation; class-balanced sampling draws with replacement.
        """
        number = len(self.labels)
        if batches is None:
            batches = -(-number // batch_size)
        if self.balanced:
            draw = self._uniform((batches, batch_size)) * len(self.count)
            return self._clip_of(draw.long().clamp(max=len(self.count) - 1))
        rounds = -(-batches * batch_size // number)
        order = torch.cat([torch.randperm(number, generator=self.generator) for _ in range(rounds)])
        return order[: batches * batch_size].view(batches, batch_size).to(self.labels.device)

    def negatives(self, index: Tensor) -> Tensor:
        """For each clip one of another class: the class uniform among the others, then the clip.

        Raises:
            EzavError: there is only one class.
        """
        classes = len(self.count)
        if classes < 2:
            raise EzavError("negatives need at least two training classes")
        shift = (self._uniform(index.shape) * (classes - 1)).long().clamp(max=classes - 2) + 1
        return self._clip_of((self.labels[index] + shift) % classes)
