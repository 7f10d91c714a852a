"""One explicit training loop for every method: features resident, batches by index."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ezav.errors import DamagedError, EzavError
from ezav.features.feature_set import FeatureSet, Ragged
from ezav.features.reason import refuse_clips_beyond_reason
from ezav.features.tokens import Tokens
from ezav.methods.base import Batch, Dims, Loss, Method
from ezav.optimizers import Adam
from ezav.training.ahead import ahead
from ezav.training.config import TrainingConfig
from ezav.training.modality_dropout import drop_modalities
from ezav.training.sampler import Sampler

PLATEAU_FACTOR = 0.1
PLATEAU_THRESHOLD = 1e-4  # relative, as in the peers' schedule


@dataclass(frozen=True, slots=True)
class EpochLog:
    """What an epoch of training did: mean loss and its parts, learning rate, seconds."""

    epoch: int
    loss: float
    parts: dict[str, float]
    learning_rate: float
    seconds: float
    clips: int


class LossSums:
    """Sums of the losses of an epoch's steps; they stay on the device until it ends."""

    def __init__(self) -> None:
        self.total: Tensor | float = 0.0
        self.parts: dict[str, Tensor] = {}

    def add(self, loss: Loss) -> None:
        """Add a step's loss."""
        self.total = self.total + loss.total.detach()
        for name, part in loss.parts.items():
            self.parts[name] = self.parts[name] + part if name in self.parts else part


def build_method(method: type[Method], config: Any, dims: Dims, seed: int) -> Method:
    """A method whose initial weights depend on `seed` alone, not on what ran before."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return method(config, dims)


class Trainer:
    """Trains a method on a feature set, an epoch a call.

    Args:
        method: freshly built; it is trained in place.
        train: the training clips, `labels` being rows of `class_embeddings`.
        class_embeddings: `[C, d]`, the training classes of the stage.
        config: the loop's settings.
        seed: of the batches and of dropout.

    The loop keeps its own random state, so that two trainers in one process, or a trainer that
    was saved and restored, draw what each would have drawn alone.

    Raises:
        EzavError: dimensions that do not fit, a feature or a loss that is not finite.
    """

    def __init__(
        self,
        method: Method,
        train: FeatureSet,
        class_embeddings: Tensor,
        config: TrainingConfig,
        seed: int = 0,
    ) -> None:
        self.method = method
        self.config = config
        self.device = method.device
        self.train = train if train.mapped else train.to(self.device)
        self.class_embeddings = class_embeddings.to(self.device)
        self._check()
        generator = torch.Generator().manual_seed(seed)
        self.sampler = Sampler(
            self.train.labels,
            len(class_embeddings),
            balanced=config.sampling == "class-balanced",
            generator=generator,
        )
        self.epoch = 0
        self.learning_rate = config.learning_rate
        self._best, self._since_best = -math.inf, 0
        self.method.prepare(
            whole(self.train.audio),
            whole(self.train.visual),
            self.train.labels,
            self.class_embeddings,
        )
        self.optimizer: torch.optim.Optimizer | None = None
        if method.trainable:
            self.optimizer = Adam(
                method.parameter_groups(),
                lr=config.learning_rate,
                weight_decay=config.weight_decay,
                fused=True,  # one kernel a step instead of dozens of small ones
            )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.random_state = torch.get_rng_state()

    def _check(self) -> None:
        dims = self.method.dims
        for name, found, expected in (
            ("audio features", self.train.audio.dim, dims.audio),
            ("visual features", self.train.visual.dim, dims.visual),
            ("class embeddings", self.class_embeddings.shape[1], dims.text),
        ):
            if found != expected:
                raise EzavError(f"{name} have {found} dimensions, the method expects {expected}")
        count = torch.bincount(self.train.labels, minlength=len(self.class_embeddings))
        empty = [self.train.classes[row] for row in (count == 0).nonzero()[:, 0].tolist()]
        if empty:
            raise EzavError(
                f"{len(empty)} training classes have no clip, the first is '{empty[0]}'",
                "take them out of the seen classes, or add clips",
            )
        for name, ragged in (("audio", self.train.audio), ("visual", self.train.visual)):
            if name in self.method.modalities and not len(ragged.values):
                raise EzavError(f"no training clip has {name} features", self._without(name))
            refuse_clips_beyond_reason(name, ragged, self.train.clips)

    def _without(self, modality: str) -> str:
        """What to do where no clip has this modality."""
        other = "visual" if modality == "audio" else "audio"
        setting, name = self.method.one_modality, self.method.title
        if setting is not None and len(self.method.modalities) > 1:
            return f'{name} learns from one modality alone: `config.{setting}="{other}"`'
        return f"{name} needs it; ez_avgzl learns from one modality alone"

    def run_epoch(self, learning_rate: float | None = None) -> EpochLog:
        """Train for one epoch, at `learning_rate` if given (stage 2 replays stage 1's)."""
        if self.optimizer is None:
            self.epoch += 1
            return EpochLog(self.epoch, 0.0, {}, 0.0, 0.0, 0)
        sums = LossSums()
        epoch = self.begin_epoch(learning_rate)
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(self.random_state)
            for batch in self.batches(epoch):
                sums.add(self._step(batch))
            self.random_state = torch.get_rng_state()
        return self.end_epoch(epoch, sums)

    def begin_epoch(self, learning_rate: float | None = None) -> Tensor:
        """Set the learning rate and draw the epoch's clips, `[batches, batch_size]`."""
        assert self.optimizer is not None
        self._started = time.perf_counter()
        self.epoch += 1
        self._current_rate = self._rate() if learning_rate is None else learning_rate
        for group in self.optimizer.param_groups:
            group["lr"] = self._current_rate * group.get("rate_factor", 1.0)
        self.method.train()
        return self.sampler.epoch(self._batches_per_epoch(), self.config.batch_size)

    def _batches_per_epoch(self) -> int | None:
        batches, passes = self.config.batches_per_epoch, self.config.max_passes_per_epoch
        if batches is None or passes is None:
            return batches
        return min(batches, math.ceil(passes * len(self.train.labels) / self.config.batch_size))

    def end_epoch(self, epoch: Tensor, sums: LossSums) -> EpochLog:
        """What the epoch did.

        Raises:
            EzavError: the loss is not finite.
        """
        self.method.eval()
        mean, *parts = (float(one) / len(epoch) for one in (sums.total, *sums.parts.values()))
        if not math.isfinite(mean):
            raise EzavError(
                f"the loss became {mean} in epoch {self.epoch}",
                f"lower the learning rate (it is {self._current_rate:g}) or clip the gradient",
            )
        return EpochLog(
            epoch=self.epoch,
            loss=mean,
            parts=dict(zip(sums.parts, parts)),
            learning_rate=self._current_rate,
            seconds=time.perf_counter() - self._started,
            clips=epoch.numel(),
        )

    def batches(self, epoch: Tensor) -> Iterator[Batch]:
        """The batches of an epoch; modality dropout draws from torch's default generator."""
        if self.method.needs_negatives:
            others = [self.sampler.negatives(index) for index in epoch]
            epoch = torch.cat([epoch, torch.stack(others)], dim=1)
        for batch in ahead(self.gather, epoch, self.device, self.train.mapped):
            hidden = self.modality_dropout
            yield drop_modalities(batch, hidden) if hidden else batch

    @property
    def modality_dropout(self) -> float:
        """The config's; none where the method reads one modality, which is a clip's only one."""
        return self.config.modality_dropout if len(self.method.modalities) > 1 else 0.0

    def gather(self, index: Tensor) -> Batch:
        """The clips of `index` as a batch; a second half of them are the negatives."""
        if self.method.needs_negatives:
            index, other = index.chunk(2)
            return replace(self._gather(index), negative=self._gather(other))
        return self._gather(index)

    def _gather(self, index: Tensor) -> Batch:
        pooled = not self.method.uses_time
        return Batch(
            audio=self.train.audio.gather(index, pooled=pooled),
            visual=self.train.visual.gather(index, pooled=pooled),
            labels=self.train.labels[index],
            class_embeddings=self.class_embeddings,
        )

    def autocast(self) -> torch.autocast:
        """Where the forward pass runs: in bfloat16 if the config says so."""
        half = self.config.precision == "bfloat16"
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=half)

    def _step(self, batch: Batch) -> Loss:
        with self.autocast():
            loss = self.method.loss(batch)
        assert self.optimizer is not None
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss.total)
        self.descend()
        return loss

    def descend(self) -> None:
        """One step of the optimiser along the gradients at hand."""
        assert self.optimizer is not None
        if self.config.gradient_clip is not None:
            torch.nn.utils.clip_grad_norm_(self.method.parameters(), self.config.gradient_clip)
        self.optimizer.step()

    def _rate(self) -> float:
        if self.config.schedule == "cosine":
            done = (self.epoch - 1) / self.config.epochs
            return self.config.learning_rate * 0.5 * (1 + math.cos(math.pi * done))
        return self.learning_rate

    def report(self, validation: float) -> None:
        """Tell the schedule the validation HM of the epoch just run."""
        if validation > self._best + abs(self._best) * PLATEAU_THRESHOLD or math.isinf(self._best):
            self._best, self._since_best = validation, 0
            return
        self._since_best += 1
        if self.config.schedule == "plateau" and self._since_best > self.config.plateau_patience:
            self.learning_rate *= PLATEAU_FACTOR
            self._since_best = 0

    def state(self) -> dict[str, Any]:
        """All that the next epoch depends on, for :meth:`restore`: tensors and plain numbers."""
        return {
            "method": self.method.state_dict(),
            "optimizer": None if self.optimizer is None else self.optimizer.state_dict(),
            "sampler": self.sampler.generator.get_state(),
            "dropout": self.random_state,
            "epoch": self.epoch,
            "learning_rate": self.learning_rate,
            "plateau": [self._best, self._since_best],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue exactly where :meth:`state` was taken.

        Raises:
            EzavError: the state is of another architecture.
        """
        try:
            self.method.load_state_dict(state["method"])
        except RuntimeError as error:
            raise DamagedError(
                f"the checkpoint is of another architecture: {str(error).splitlines()[-1].strip()}"
            ) from error
        if self.optimizer is not None:
            self.optimizer.load_state_dict(state["optimizer"])
        self.sampler.generator.set_state(state["sampler"])
        self.random_state = state["dropout"]
        self.epoch = state["epoch"]
        self.learning_rate = state["learning_rate"]
        self._best, self._since_best = state["plateau"]


def whole(features: Ragged) -> Tokens:
    """One mean token for every clip; the features themselves, not a copy, where each has one."""
    values = features.values
    single = len(values) == len(features) and bool((features.lengths == 1).all())
    if single and values.dtype == torch.float32:
        present = torch.ones(len(values), 1, dtype=torch.bool, device=values.device)
        return Tokens(values[:, None], present, features.times[:, None])
    return features.gather(torch.arange(len(features), device=values.device), pooled=True)
