"""The lists of names that one recogniser was asked for, remembered with their class embeddings."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property, partial

from torch import Tensor

from ezav.classes.embeddings import ClassEmbeddings
from ezav.classes.recipe import ClassEmbeddingRecipe
from ezav.encoders.descriptions import Descriptions
from ezav.errors import EzavError
from ezav.protocol.evaluation import StageModel
from ezav.recognizer.candidates import (
    Candidates,
    all_classes,
    extend,
    named_classes,
    remarks,
)
from ezav.recognizer.encoders import RunEncoders
from ezav.recognizer.names import Names, asked
from ezav.recognizer.taught import TaughtMethod

_REMEMBERED = 16

OnNames = Callable[[str, int, int], None]
"""Told about new class names: what is done with them, how many are done, how many there are."""


class CandidateLists:
    """From names to :class:`Candidates`; the latest lists are remembered.

    Args:
        model: its classes are known.
        text: raw text embeddings of them.
        encoders: encode new names.
        names: the candidates where none are asked for, instead of the model's.
        base: model and text as they were before anything was taught.
    """

    def __init__(
        self,
        model: StageModel,
        text: ClassEmbeddings,
        encoders: RunEncoders,
        names: Names | None = None,
        base: tuple[StageModel, ClassEmbeddings] | None = None,
    ) -> None:
        self._model, self._text, self._encoders = model, text, encoders
        self._base = base or (model, text)
        self._names = names
        self._lists: OrderedDict[object, Candidates] = OrderedDict()
        method = model.method
        self._taught = method.names if isinstance(method, TaughtMethod) else frozenset()

    def of(self, classes: Names | None = None, on_progress: OnNames | None = None) -> Candidates:
        """As :meth:`ezav.recognizer.Recognizer.candidates`."""
        classes = classes if classes is not None else self._names or None
        if classes is None and not self._model.classes.names:
            raise EzavError(
                "there are no names to choose from: nothing was trained", "give `classes`"
            )
        if classes is None:
            return self._every
        names, behind = asked(classes)
        key = (tuple(names), tuple(behind.items()))
        if key not in self._lists:
            self._lists[key] = self._named(tuple(names), behind, on_progress)
            while len(self._lists) > _REMEMBERED:
                self._lists.popitem(last=False)
        return self._lists[key]

    @cached_property
    def _every(self) -> Candidates:
        found = all_classes(self._model.classes, self._model.seen, self._taught)
        text = self._text.select(found.names)
        return replace(found, remarks=remarks(found, text, text.vectors[:0], {}))

    def _named(
        self, names: tuple[str, ...], behind: Descriptions, on_progress: OnNames | None
    ) -> Candidates:
        own = self._text.select(self._model.classes.names)
        raw, unread = own.vectors[:0], {}

        def extended(new: list[str]) -> Tensor:
            nonlocal raw, unread
            raw = self._encoders.encode_names(new, _step(on_progress, "encoded"), behind)
            unread = self._encoders.unread(new, behind)
            placed = _step(on_progress, "placed among the classes")
            recipe = getattr(self._model.method.config, "classes", None)
            recipe = recipe or ClassEmbeddingRecipe(source="raw")
            if recipe.source in ("raw", "ceo"):
                text, made = self._text, self._model.classes
            else:  # a map of the text is that of the classes it was made of
                text, made = self._base[1], self._base[0].classes
            return extend(new, raw, text, made, recipe, placed)

        model = self._model
        found = named_classes(names, model.classes, model.seen, extended, behind, self._taught)
        return replace(found, remarks=remarks(found, own, raw, unread))


def _step(on_progress: OnNames | None, step: str) -> Callable[[int, int], None] | None:
    return None if on_progress is None else partial(on_progress, step)
