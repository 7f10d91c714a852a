"""What a method is: a config, a loss, and scores. Training and the protocol are shared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from ezav.errors import EzavError
from ezav.features.feature_set import FeatureSet
from ezav.features.tokens import Tokens
from ezav.methods.common.card import Card
from ezav.methods.common.config_check import Settings, check_config
from ezav.methods.common.few_shot import USUAL, FewShot
from ezav.methods.common.label_words import LabelHead


@dataclass(frozen=True, kw_only=True, slots=True)
class Dims:
    """The dimensions of the inputs: audio and visual features, class embeddings."""

    audio: int
    visual: int
    text: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """B training clips and the class embeddings of the stage's training classes.

    Attributes:
        audio, visual: the clips' tokens, B each.
        labels: long `[B]`, rows of `class_embeddings`.
        class_embeddings: `[C, d]`, the training (seen) classes of the stage.
        negative: for methods that ask for it (`needs_negatives`), one clip of another class for
            each clip, as a batch with its own labels.
    """

    audio: Tokens
    visual: Tokens
    labels: Tensor
    class_embeddings: Tensor
    negative: Batch | None = None

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True)
class Loss:
    """The scalar to descend on, and its named parts (detached) for the log."""

    total: Tensor
    parts: dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class HeldOut:
    """One class fold: a method that was trained on some classes, and clips that it has not seen.

    Attributes:
        method: trained.
        clips: held-out clips of trained and of other classes, `labels` being rows of the classes.
        class_embeddings: `[C, d]`, all known classes.
        seen: bool `[C]`, those that the method was trained on.
        score: the scores `[N, C]` that a method, or a part of one, has for the clips.
    """

    method: Method
    clips: FeatureSet
    class_embeddings: Tensor
    seen: Tensor
    score: Callable[[Method], Tensor]


def learned_inside(folds: Sequence[HeldOut], part: Callable[[Method], Method]) -> list[HeldOut]:
    """Let the methods inside those of some folds learn what only validation can tell.

    Args:
        folds: at least one.
        part: the method inside a fold's.

    Returns:
        The folds as those inside see them, all with what was learned.
    """
    inner = [replace(fold, method=part(fold.method)) for fold in folds]
    first = inner[0].method
    first.learn_on_folds(inner)
    learned = {name: first.get_buffer(name).clone() for name in first.from_validation}
    for fold in inner:
        fold.method.take_over(learned)
    return inner


class Worth(NamedTuple):
    """What a member of a stack is worth on the class folds.

    Attributes:
        weight: in the stack.
        alone: the folds' mean HM of its scores alone.
        lost: by how much the stack's falls when it is left out and the rest is learned anew.
    """

    weight: float
    alone: float
    lost: float


class Method(nn.Module):
    """Base class of every method.

    A subclass lives in `ezav/methods/<name>/method.py`, sets the class attributes and defines
    `loss` and `scores`; its network is a plain `nn.Module` in `network.py`.

    Class attributes:
        Config: a keyword-only frozen dataclass of hyper-parameters, each with a docstring.
        card: its row in the table of methods.
        from_validation: buffers that `learn_on_validation` sets and stage 2 takes over.
        needs_negatives: the shared loop adds `batch.negative`.
        temporal: True uses all tokens, False gets one mean token a modality.
        one_modality: the config's field that says which modality is read, if one alone can be.
        trainable: False for frozen methods; the loop then only calls `prepare`.
        baseline: nothing is learned from labels: tables call its row a frozen baseline.
        scoring_cost: about how many floats `scores` holds for one clip and one class.
        reads_labels: it is told of the labels that the store's encoder knows by name, unless its
            config has `words` off.
        folds: class folds that choose for it where nobody says how; 0: the store's validation part.
    """

    Config: ClassVar[type[Settings]]
    card: ClassVar[Card]
    from_validation: ClassVar[tuple[str, ...]] = ()
    needs_negatives: ClassVar[bool] = False
    one_modality: ClassVar[str | None] = None
    temporal: ClassVar[bool] = False
    trainable: ClassVar[bool] = True
    baseline: ClassVar[bool] = False
    folds: ClassVar[int] = 0
    reads_labels: ClassVar[bool] = False
    scoring_cost: int = 64

    def __init__(self, config: Settings, dims: Dims) -> None:
        super().__init__()
        check_config(config)
        self.config: Settings = config
        self.dims = dims

    def prepare(self, audio: Tokens, visual: Tokens, labels: Tensor, classes: Tensor) -> None:
        """See the whole training set once before training (statistics, closed-form solutions).

        `audio` and `visual` hold one token a clip (the mean over time); `labels` `[N]` are rows of
        `classes` `[C, d]`, the training classes. The default does nothing.
        """

    @classmethod
    def wants_labels(cls, config: Settings) -> bool:
        """Whether a method of this config has a use for the labels."""
        return cls.reads_labels and bool(getattr(config, "words", False))

    def know_labels(self, head: LabelHead) -> None:
        """Take over the labels that an encoder of the store knows, before `prepare`.

        The default does nothing.
        """

    def learn_on_validation(
        self, score: Callable[[Method], Tensor], targets: Tensor, seen: Tensor
    ) -> None:
        """Learn what only validation can tell (a blending weight), before each of its evaluations.

        `score(part)` gives the scores `[N, C]` of a method for the validation clips, `targets`
        `[N]` are rows of the C candidates, `seen` is bool `[C]`. The default does nothing.
        """

    def learn_on_folds(self, folds: Sequence[HeldOut]) -> None:
        """Learn what only validation can tell from all class folds at once.

        It sets the buffers of `from_validation` of this method, which is that of the first fold;
        the others, and the one that is trained on everything, take them over.

        Raises:
            EzavError: the method learns something on validation, but not on folds.
        """
        if self.from_validation:
            raise EzavError(
                f"{self.title} learns {', '.join(self.from_validation)} on validation classes only",
                "leave `folds` out, or fix it in the config where there is a field",
            )

    def take_over(self, learned: dict[str, Tensor]) -> None:
        """Set the buffers of `from_validation` to what stage 1 learned.

        A method inside this one takes over its own, `part.name`, as it does alone.
        """
        inside: dict[str, dict[str, Tensor]] = {}
        for name, value in learned.items():
            part, _, rest = name.partition(".")
            if rest and isinstance(getattr(self, part), Method):
                inside.setdefault(part, {})[rest] = value
            else:
                self.get_buffer(name).copy_(value)
        for part, own in inside.items():
            getattr(self, part).take_over(own)

    def appearance(self, audio: Tokens, visual: Tokens) -> tuple[Tensor, ...]:
        """Clips where those of one class lie near each other: a tensor `[N, d]` a modality, zeros
        where it is missing, in which a few clips can show a class
        (:mod:`ezav.methods.common.few_shot`). The default has none, and its runs use the features
        (:mod:`ezav.protocol.appearance`).
        """
        del audio, visual
        return ()

    @property
    def few_shot(self) -> FewShot:
        """What likeness to a few clips of a class is worth in the scores."""
        return USUAL

    def worth(self) -> dict[str, Worth]:
        """What its members are worth, by name; empty: it has none, or was not asked on folds."""
        return {}

    def loss(self, batch: Batch) -> Loss:
        """The training loss of a batch."""
        raise RuntimeError(f"{type(self).__name__} does not define a loss")

    def scores(self, audio: Tokens, visual: Tokens, class_embeddings: Tensor) -> Tensor:
        """Scores `[N, C]` of N clips for C classes; higher is better; C is free."""
        raise RuntimeError(f"{type(self).__name__} does not define scores")

    @property
    def title(self) -> str:
        """What messages call it."""
        card: Card | None = getattr(self, "card", None)  # a method of one's own may have none
        return type(self).__name__ if card is None else card.title

    @property
    def uses_time(self) -> bool:
        """Batches hold all tokens of a clip; else their mean."""
        return self.temporal

    @property
    def modalities(self) -> tuple[str, ...]:
        """What is read: of each, some training clip must have tokens, and a recogniser gives a
        clip without any of them no answer. Empty: one modality will do, whichever it is."""
        return ("audio", "visual")

    @property
    def stackable(self) -> bool:
        """`loss` is a pure function of weights and batch that `torch.func.vmap` can take.

        Several seeds may then train in one batched pass. All randomness in `loss` must come from
        `ezav.methods.common.dropout`.
        """
        return False

    def parameter_groups(self) -> list[dict[str, Any]]:
        """What the optimiser sees; override to leave parameters out or to decay them apart."""
        return [{"params": [p for p in self.parameters() if p.requires_grad]}]

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        held = (*self.parameters(), *self.buffers())
        return held[0].device if held else torch.device("cpu")
