"""Blending: a trained method's scores with the frozen ones, the weight learned on validation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from ezav.errors import EzavError, RefusedError
from ezav.features.tokens import Tokens
from ezav.methods import registry
from ezav.methods.base import Batch, Dims, HeldOut, Loss, Method, learned_inside
from ezav.methods.blending.weight import best_weight, blend
from ezav.methods.common.card import Card
from ezav.methods.common.config_check import parse
from ezav.methods.common.label_words import LabelHead
from ezav.methods.zero_shot.method import ZeroShot, ZeroShotConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class BlendingConfig:
    """What is blended, and how."""

    trained: str = "clipclap"
    """Blend with this trained method; your own class (`package.module:Class`) must have been
    imported."""
    trained_config: dict[str, Any] = field(default_factory=dict)
    """Its hyper-parameters; what is not named has its default."""
    visual_weight: float = 0.5
    """Give the visual score this share within the frozen one."""
    words: bool = False
    """Take as frozen scores what the labels of the store's encoder say (see `zero_shot`)."""
    weight: float | None = None
    """Give the frozen scores this share, in [0, 1]; None learns it on validation."""

    def __post_init__(self) -> None:
        if self.trained == "blending":
            raise EzavError("blending cannot blend itself", "name a trained method")
        if "classes" in self.trained_config:
            raise EzavError(
                "trained_config.classes cannot apply: the frozen part needs the encoders' own text",
                "leave it out; run the method alone to optimise its class embeddings",
            )
        if self.weight is not None and not 0 <= self.weight <= 1:
            raise EzavError(f"weight {self.weight} is outside [0, 1]")


class Blending(Method):
    """`(1 - w) z(trained) + w z(frozen)`, z being standard scores over the candidates of a clip.

    Validation classes or class folds give the weight; the protocol carries the buffers named in
    `from_validation` over to the last training.

    Raises:
        EzavError: an unknown method or field, or a method that is not ezav's;
            class embeddings that share no space with the features; scores asked for before the
            weight is learned.
    """

    Config = BlendingConfig
    config: BlendingConfig
    reads_labels: ClassVar[bool] = True
    weight_: Tensor
    card: ClassVar[Card] = Card(
        title="Blending",
        paper="none of its own; late fusion with the frozen encoders",
        year=2025,
        parity="a naive loop; the weight against brute force",
        text="text of the encoders' own space",
    )

    def __init__(self, config: BlendingConfig, dims: Dims) -> None:
        super().__init__(config, dims)
        if ":" in config.trained:  # a config is data, and data imports nothing
            raise RefusedError(
                f"blending takes the methods of ezav, not '{config.trained}'",
                "name one of them: 'ezav methods' lists them",
            )
        method = registry.get(config.trained)
        inner = parse(method.Config, config.trained_config, "trained_config")
        self.trained = method(inner, dims)
        frozen = ZeroShotConfig(visual_weight=config.visual_weight, words=config.words)
        self.frozen = ZeroShot(frozen, dims)
        unknown = float("nan") if config.weight is None else config.weight
        self.register_buffer("weight_", torch.tensor(unknown))

    # What the loop asks of a method, the trained one answers.

    @property
    def from_validation(self) -> tuple[str, ...]:  # type: ignore[override]
        return ("weight_", *(f"trained.{name}" for name in self.trained.from_validation))

    @property
    def needs_negatives(self) -> bool:  # type: ignore[override]
        return self.trained.needs_negatives

    @property
    def trainable(self) -> bool:  # type: ignore[override]
        return self.trained.trainable

    @property
    def scoring_cost(self) -> int:  # type: ignore[override]
        return self.trained.scoring_cost

    @property
    def uses_time(self) -> bool:
        return self.trained.uses_time

    @property
    def modalities(self) -> tuple[str, ...]:
        return self.trained.modalities

    def parameter_groups(self) -> list[dict[str, Any]]:
        return self.trained.parameter_groups()

    def prepare(self, audio: Tokens, visual: Tokens, labels: Tensor, classes: Tensor) -> None:
        """Prepare both parts."""
        self.trained.prepare(audio, visual, labels, classes)
        self.frozen.prepare(audio, visual, labels, classes)

    def know_labels(self, head: LabelHead) -> None:
        """The frozen part does; the trained one if it has a use for them."""
        self.frozen.know_labels(head)
        self.trained.know_labels(head)

    def loss(self, batch: Batch) -> Loss:
        """The trained method's loss; the weight has no part in it."""
        return self.trained.loss(batch)

    def learn_on_validation(
        self, score: Callable[[Method], Tensor], targets: Tensor, seen: Tensor
    ) -> None:
        """Let the trained method learn, then set the weight of the best HM over gamma.

        A weight that the config fixes stays.

        Args:
            score: gives the scores `[N, C]` that a method has for the validation clips.
            targets: long `[N]`, rows of the C candidates.
            seen: bool `[C]`.
        """
        self.trained.learn_on_validation(score, targets, seen)
        if self.config.weight is None:
            parts = score(self.trained), score(self.frozen), targets, seen
            self.weight_.fill_(best_weight([parts]))

    def learn_on_folds(self, folds: Sequence[HeldOut]) -> None:
        """The same with all class folds: the weight of the best mean HM, each at its best gamma."""
        inner = learned_inside(folds, lambda method: _blending(method).trained)
        if self.config.weight is not None:
            return
        parts = []
        for fold, part in zip(folds, inner, strict=True):
            said = part.score(part.method), fold.score(_blending(fold.method).frozen)
            parts.append((*said, fold.clips.labels.cpu(), fold.seen.cpu()))
        self.weight_.fill_(best_weight(parts))

    def scores(self, audio: Tokens, visual: Tokens, class_embeddings: Tensor) -> Tensor:
        """The blended scores, `[N, C]`."""
        if bool(self.weight_.isnan()):
            raise EzavError(
                "the weight of blending is not learned yet",
                "validation in the two-stage protocol gives it; or fix it: `config.weight=0.5`",
            )
        return blend(
            self.trained.scores(audio, visual, class_embeddings),
            self.frozen.scores(audio, visual, class_embeddings),
            self.weight_,
        )


def _blending(method: Method) -> Blending:
    if not isinstance(method, Blending):
        raise TypeError(f"a fold of {type(method).__name__}")
    return method


METHOD = Blending
