"""What a recogniser was taught after its training: classes by a few clips, other names, fewer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import torch
import torch.nn.functional as F
from torch import Tensor

from ezav.classes.embeddings import ClassEmbeddings
from ezav.features.tokens import Tokens
from ezav.methods.base import Method
from ezav.methods.common.few_shot import FewShot, likeness
from ezav.protocol.appearance import Appearance
from ezav.protocol.evaluation import StageModel

SAME = 1 - 1e-5
"""Cosine from which two class vectors are one class."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Lesson:
    """One class and the clips that show it.

    Attributes:
        name: what it is called now.
        vector: `[d]`, its class embedding.
        text: `[t]`, its raw text embedding.
        clips: what the k clips look like: a tensor `[k, d]` a modality, as of
            :meth:`ezav.methods.base.Method.appearance`.
        known: it is one of the run's own classes.
    """

    name: str
    vector: Tensor
    text: Tensor
    clips: tuple[Tensor, ...]
    known: bool

    @property
    def count(self) -> int:
        """Of its clips."""
        return len(self.clips[0])


@dataclass(frozen=True, kw_only=True, eq=False)
class Taught:
    """All that was taught, over what was trained.

    Attributes:
        lessons: the classes that clips show, each once.
        forgotten: classes of the run that are no candidates any more.
        renamed: class of the run -> what it is called now.
        kept_in: the file of a run folder that it was read from, or written to; else empty.

    Example:
        >>> Taught().empty
        True
    """

    lessons: tuple[Lesson, ...] = ()
    forgotten: tuple[str, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    kept_in: str = ""

    @property
    def empty(self) -> bool:
        """Nothing was taught."""
        return not (self.lessons or self.forgotten or self.renamed)

    @property
    def counts(self) -> dict[str, int]:
        """Class -> clips that show it."""
        return {one.name: one.count for one in self.lessons}


class TaughtMethod(Method):
    """A method, and what a clip's likeness to the clips of a lesson adds to its scores.

    A name gets it by its class embedding. The score of a class that was trained on clips is only
    ever raised: its other clips must not suffer because one of another look was shown.

    Args:
        inner: any method.
        lessons: at least one.
        seen: names of the classes that the method was trained on.
        look: how clips that show a class are met; None: by the method's own
            :meth:`~ezav.methods.base.Method.appearance`.
    """

    vectors: Tensor
    weights: Tensor
    offsets: Tensor
    raised: Tensor

    def __init__(
        self,
        inner: Method,
        lessons: tuple[Lesson, ...],
        seen: frozenset[str],
        look: Appearance | None = None,
    ) -> None:
        super().__init__(inner.config, inner.dims)
        self.inner = inner
        self.look = look
        self.temporal = inner.temporal  # type: ignore[misc]
        self.scoring_cost = inner.scoring_cost
        self.names = frozenset(one.name for one in lessons)
        self.register_buffer("vectors", torch.stack([one.vector for one in lessons]))
        weights, offsets = self.few_shot.of(torch.tensor([one.count for one in lessons]))
        self.register_buffer("weights", weights)
        self.register_buffer("offsets", offsets)
        self.register_buffer("raised", torch.tensor([one.name in seen for one in lessons]))
        self._parts = len(lessons[0].clips)
        for part in range(self._parts):
            means = torch.stack([one.clips[part].mean(dim=0) for one in lessons])
            self.register_buffer(f"means_{part}", means)

    @property
    def title(self) -> str:
        return self.inner.title

    @property
    def modalities(self) -> tuple[str, ...]:
        return self.inner.modalities

    @property
    def uses_time(self) -> bool:
        return self.inner.uses_time

    def appearance(self, audio: Tokens, visual: Tokens) -> tuple[Tensor, ...]:
        look = self.look or self.inner.appearance
        found: tuple[Tensor, ...] = look(audio, visual)
        return found

    @property
    def few_shot(self) -> FewShot:
        return (self.look or self.inner).few_shot

    def scores(self, audio: Tokens, visual: Tokens, class_embeddings: Tensor) -> Tensor:
        found = self.inner.scores(audio, visual, class_embeddings)
        return found + self.added(audio, visual, class_embeddings).to(found)

    def added(self, audio: Tokens, visual: Tokens, class_embeddings: Tensor) -> Tensor:
        """What likeness to the clips of the lessons adds, `[N, C]`."""
        means = [self.get_buffer(f"means_{part}") for part in range(self._parts)]
        cosine, known = likeness(self.appearance(audio, visual), means)
        added = self.weights * (cosine - self.offsets)
        added = torch.where(self.raised & (added < 0), torch.zeros_like(added), added) * known
        unit = F.normalize(class_embeddings, dim=1) @ F.normalize(self.vectors, dim=1).T
        return added @ (unit > SAME).to(added).T


def taught_model(
    model: StageModel, text: ClassEmbeddings, taught: Taught, look: Appearance | None = None
) -> tuple[StageModel, ClassEmbeddings]:
    """A model and its raw text embeddings, with what was taught over them.

    Args:
        model: as it was trained, or frozen.
        text: of its classes.
        taught: anything; nothing gives the same model.
        look: as of :class:`TaughtMethod`.
    """
    if taught.empty:
        return model, text
    rows = [at for at, n in enumerate(model.classes.names) if n not in taught.forgotten]
    old = [model.classes.names[at] for at in rows]
    names = [taught.renamed.get(name, name) for name in old]
    seen = frozenset(name for at, name in zip(rows, names, strict=True) if bool(model.seen[at]))
    new = [one for one in taught.lessons if not one.known]
    every = (*names, *(one.name for one in new))

    def joined(held: ClassEmbeddings, added: list[Tensor]) -> ClassEmbeddings:
        if not every:
            return ClassEmbeddings.none(held.dim, held.encoder, held.settings)
        vectors = torch.cat([held.select(old).vectors[: len(old)], *(v[None] for v in added)])
        return ClassEmbeddings(every, vectors, held.encoder, held.settings)

    classes = joined(model.classes, [one.vector for one in new])
    method = model.method
    if taught.lessons:
        method = TaughtMethod(method, taught.lessons, seen, look)
    flags = torch.tensor([name in seen for name in every], dtype=torch.bool)
    device = model.method.device
    made = StageModel(method.to(device).eval(), classes, flags)
    return made, joined(text, [one.text for one in new])
