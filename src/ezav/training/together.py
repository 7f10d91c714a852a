"""Several seeds in one batched pass: their weights stacked, their steps one `torch.func.vmap`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from ezav.errors import EzavError
from ezav.features.tokens import Tokens
from ezav.methods.base import Batch, Loss, Method
from ezav.methods.common.dropout import seeds_apart
from ezav.training.ahead import ahead
from ezav.training.modality_dropout import drop_modalities
from ezav.training.trainer import EpochLog, LossSums, Trainer


class Together:
    """Trains K trainers that differ in their seed only, all with one pass a step.

    The weights of a method become views of the stacked weights `[K, ...]`, and each trainer keeps
    its optimiser, sampler, random stream and schedule. So a seed ends, up to float noise, where
    it ends alone; its state can be saved and restored as ever, and it may leave at any epoch.
    One exception: tokens in time are padded to the longest clip of all K batches, which shifts
    what dropout draws.

    Args:
        trainers: of the same method, config and training clips.

    Raises:
        EzavError: a method whose loss cannot be batched over seeds.

    Example:
        >>> from ezav.features import FeatureSet, Ragged
        >>> from ezav.methods.base import Dims
        >>> from ezav.methods.ez_avgzl.config import EzAvgzlConfig
        >>> from ezav.methods.ez_avgzl.method import EzAvgzl
        >>> from ezav.training import TrainingConfig, build_method
        >>> pooled, labels = Ragged.pooled(torch.eye(4)), torch.tensor([0, 0, 1, 1])
        >>> clips = FeatureSet(pooled, pooled, labels, tuple("abcd"), ("x", "y"))
        >>> text, dims = torch.eye(2), Dims(audio=4, visual=4, text=2)
        >>> config = EzAvgzlConfig(width=8, hidden=8)
        >>> seeds = [
        ...     Trainer(build_method(EzAvgzl, config, dims, k), clips, text, TrainingConfig(), k)
        ...     for k in (0, 1)
        ... ]
        >>> [log.epoch for log in Together(seeds).run_epoch()]
        [1, 1]
    """

    def __init__(self, trainers: Sequence[Trainer]) -> None:
        self.trainers = tuple(trainers)
        first = self.trainers[0]
        if not first.method.stackable or first.method.needs_negatives:
            raise EzavError(
                f"seeds of {type(first.method).__name__} with this config cannot share a pass",
                "run them in turn",
            )
        if any(trainer.train is not first.train for trainer in self.trainers):
            raise ValueError("seeds that train together share one feature set")
        self.loss = _LossOf(first.method)
        self.weights = _stack([dict(t.method.named_parameters()) for t in self.trainers])
        self.buffers = _stack([dict(t.method.named_buffers()) for t in self.trainers])
        self.class_embeddings = torch.stack([t.class_embeddings for t in self.trainers])

    def run_epoch(self, learning_rates: Sequence[float | None] | None = None) -> list[EpochLog]:
        """An epoch of every seed; see :meth:`Trainer.run_epoch`."""
        rates = learning_rates or [None] * len(self.trainers)
        epochs = [trainer.begin_epoch(rate) for trainer, rate in zip(self.trainers, rates)]
        streams = [torch.Generator() for _ in self.trainers]
        for stream, trainer in zip(streams, self.trainers):
            stream.set_state(trainer.random_state)
        sums = [LossSums() for _ in self.trainers]
        for tensors in self._batches(torch.stack(epochs, dim=1), streams):
            with seeds_apart(streams):
                losses = self._step(tensors)
            for row, (one, trainer) in enumerate(zip(sums, self.trainers)):
                parts = {name: part[row] for name, part in losses.parts.items()}
                one.add(Loss(losses.total[row], parts))
                trainer.descend()
        for stream, trainer in zip(streams, self.trainers):
            trainer.random_state = stream.get_state()
        return [t.end_epoch(e, one) for t, e, one in zip(self.trainers, epochs, sums)]

    def _batches(
        self, epochs: Tensor, streams: Sequence[torch.Generator]
    ) -> Iterator[tuple[Tensor, ...]]:
        """The seeds' batches, stacked, of clips `[batches, K, B]`: gathered in one go."""
        first = self.trainers[0]
        hidden = first.modality_dropout
        size = epochs.shape[2]
        for batch in ahead(first.gather, epochs.flatten(1), first.device, first.train.mapped):
            if hidden:
                rows = [slice(start, start + size) for start in range(0, len(batch), size)]
                each = [drop_modalities(_part(batch, r), hidden, s) for r, s in zip(rows, streams)]
                yield tuple(torch.stack(parts) for parts in zip(*map(_tensors, each)))
            else:
                yield tuple(torch.unflatten(one, 0, (-1, size)) for one in _tensors(batch))

    def _step(self, tensors: tuple[Tensor, ...]) -> Loss:
        """Forward and backward of all seeds; the gradients go to each method's own weights."""
        first = self.trainers[0]
        # The other kernels of attention have no rule for vmap: they would go seed by seed.
        with first.autocast(), sdpa_kernel(SDPBackend.MATH):
            total, parts = vmap(self._loss, randomness="error")(
                self.weights, self.buffers, tensors, self.class_embeddings
            )
        gradients = torch.autograd.grad(
            total.sum(), [w for w in self.weights.values() if w.requires_grad]
        )
        found = iter(gradients)
        for name, weight in self.weights.items():
            if weight.requires_grad:
                # Contiguous, like the weights: the fused optimiser goes through memory in order.
                for trainer, gradient in zip(self.trainers, next(found).contiguous()):
                    trainer.method.get_parameter(name).grad = gradient
        return Loss(total, parts)

    def _loss(
        self,
        weights: dict[str, Tensor],
        buffers: dict[str, Tensor],
        tensors: tuple[Tensor, ...],
        class_embeddings: Tensor,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        state = {f"method.{name}": value for name, value in (weights | buffers).items()}
        loss = functional_call(self.loss, state, (tensors, class_embeddings))
        return loss.total, loss.parts

    def part(self) -> None:
        """Give every method weights of its own again."""
        for trainer in self.trainers:
            for weight in trainer.method.parameters():
                weight.data = weight.data.clone()


class _LossOf(nn.Module):
    """A method's loss as the forward pass of a module, which `functional_call` needs."""

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method

    def forward(self, tensors: tuple[Tensor, ...], class_embeddings: Tensor) -> Loss:
        labels = tensors[6]
        audio, visual = Tokens(*tensors[:3]), Tokens(*tensors[3:6])
        batch = Batch(audio=audio, visual=visual, labels=labels, class_embeddings=class_embeddings)
        return self.method.loss(batch)


def _tensors(batch: Batch) -> tuple[Tensor, ...]:
    audio, visual = batch.audio, batch.visual
    sound = (audio.values, audio.mask, audio.times)
    return (*sound, visual.values, visual.mask, visual.times, batch.labels)


def _part(batch: Batch, rows: slice) -> Batch:
    return replace(
        batch, audio=batch.audio[rows], visual=batch.visual[rows], labels=batch.labels[rows]
    )


def _stack(states: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The K tensors of each name as one `[K, ...]`, of which they become views."""
    stacked = {}
    for name, example in states[0].items():
        joined = torch.stack([state[name].detach() for state in states])
        for state, view in zip(states, joined):
            state[name].data = view
        stacked[name] = joined.requires_grad_(example.requires_grad)
    return stacked
