"""A recipe for class embeddings: what a method's config holds and the protocol carries out."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Literal

import torch

from ezav.classes.embeddings import ClassEmbeddings
from ezav.classes.settings import CeoSettings
from ezav.errors import EzavError

_CACHE_SIZE = 64
_cache: OrderedDict[str, ClassEmbeddings] = OrderedDict()
_lock = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class ClassEmbeddingRecipe(CeoSettings):
    """How the class embeddings of a stage are made from the text embeddings of its classes.

    Of raw text embeddings only `source` and `shuffle` say anything.

    Example:
        >>> import torch
        >>> t = ClassEmbeddings(("dog", "cat", "car"), torch.eye(3) + 1)
        >>> raw = ClassEmbeddingRecipe(source="raw").prepare(t)
        >>> torch.equal(raw.vectors, t.vectors)
        True
    """

    source: Literal["raw", "ceo"] = "ceo"
    """`ceo`: optimised class embeddings; `raw`: the text embeddings as they are."""
    shuffle: bool = False
    """Control experiment: give every class the embedding of another class."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.source not in ("raw", "ceo"):
            raise EzavError(f"no source of class embeddings '{self.source}'", "use 'raw' or 'ceo'")

    @property
    def ceo(self) -> CeoSettings:
        """The settings of the optimization alone."""
        return CeoSettings(**{one.name: getattr(self, one.name) for one in fields(CeoSettings)})

    def candidates(
        self,
        alphas: Sequence[float] = (0.1, 0.2, 0.35, 0.5, 0.65),
        margins: Sequence[float] | None = None,
        raw: bool = True,
    ) -> list[ClassEmbeddingRecipe]:
        """Recipes to choose among on validation data: this one with other weights and margins.

        Args:
            alphas: weights of separation to try.
            margins: margins to try; default this recipe's own.
            raw: also offer the text embeddings as they are.

        Example:
            >>> [recipe.alpha for recipe in ClassEmbeddingRecipe().candidates(raw=False)]
            [0.1, 0.2, 0.35, 0.5, 0.65]
        """
        found = [replace(self, source="raw")] if raw else []
        for margin in margins or (self.margin,):
            found += [replace(self, source="ceo", alpha=a, margin=margin) for a in alphas]
        return found

    def prepare(self, embeddings: ClassEmbeddings, seed: int = 0) -> ClassEmbeddings:
        """The class embeddings of a stage from its text embeddings (seen and unseen classes).

        The result is kept in the process, so that several seeds of one run optimise once: only
        sampled triplets and the shuffle depend on `seed`.

        Raises:
            EzavError: a setting is out of range.
        """
        sampled = self.source == "ceo" and self.ranking == "sampled"
        if not (self.shuffle or sampled):
            seed = 0  # the first to ask must not decide how classes with one text are parted
        key = self._key(embeddings, seed)
        with _lock:
            if key not in _cache:
                _cache[key] = self._prepare(embeddings, seed)
                while len(_cache) > _CACHE_SIZE:
                    _cache.popitem(last=False)
            _cache.move_to_end(key)
            return _cache[key]

    def _key(self, embeddings: ClassEmbeddings, seed: int) -> str:
        digest = hashlib.sha256(embeddings.vectors.detach().cpu().numpy().tobytes())
        facts = (embeddings.names, embeddings.encoder, embeddings.settings, asdict(self))
        digest.update(repr((facts, seed)).encode())
        return digest.hexdigest()

    def _prepare(self, embeddings: ClassEmbeddings, seed: int) -> ClassEmbeddings:
        made = embeddings
        if self.source == "ceo":
            from ezav.classes.optimize import optimize_class_embeddings

            made = optimize_class_embeddings(embeddings, self.ceo, seed=seed).embeddings
        if self.shuffle:
            made = shuffled(made, seed)
        return made


def shuffled(embeddings: ClassEmbeddings, seed: int = 0) -> ClassEmbeddings:
    """The same vectors with every class given another class's: a random cyclic permutation.

    The geometry is unchanged and the meaning gone: what a method scores with it is what it owes
    to anything but the semantics.

    Raises:
        EzavError: fewer than two classes.

    Example:
        >>> import torch
        >>> classes = ClassEmbeddings(("a", "b", "c"), torch.eye(3))
        >>> (shuffled(classes, seed=1).vectors * torch.eye(3)).sum().item()
        0.0
    """
    if len(embeddings) < 2:
        raise EzavError("one class cannot be shuffled", "give at least two classes")
    generator = torch.Generator().manual_seed(seed)
    cycle = torch.randperm(len(embeddings), generator=generator)
    # One cycle through all classes leaves none in its place, and every such cycle is as likely.
    source = torch.empty_like(cycle)
    source[cycle] = cycle.roll(1)
    return embeddings.with_vectors(embeddings.vectors[source], shuffle_seed=seed)


@dataclass(frozen=True, slots=True)
class RecipeChoice:
    """The recipe that scored best on validation, and how all of them scored.

    Attributes:
        recipe: the best; of equals the first.
        score: its score.
        scores: every recipe tried with its score, in the order tried.
    """

    recipe: ClassEmbeddingRecipe
    score: float
    scores: tuple[tuple[ClassEmbeddingRecipe, float], ...]


def choose_recipe(
    score: Callable[[ClassEmbeddingRecipe], float], grid: Iterable[ClassEmbeddingRecipe]
) -> RecipeChoice:
    """Try recipes and keep the best; `score` must come from validation data only.

    Stage 1 of the protocol has unseen validation classes, so that `score` may train with a
    recipe and return its validation HM: α and m are then chosen without a look at test data.

    Args:
        score: recipe -> number, higher is better.
        grid: the recipes, say `recipe.candidates()`.

    Raises:
        EzavError: the grid is empty, or a score is not a number.

    Example:
        >>> choose_recipe(lambda r: -abs(r.alpha - 0.2), ClassEmbeddingRecipe().candidates()
        ...     ).recipe.alpha
        0.2
    """
    scores = []
    for recipe in grid:
        value = float(score(recipe))
        if value != value:
            raise EzavError(f"the score of {recipe} is not a number", "check the validation run")
        scores.append((recipe, value))
    if not scores:
        raise EzavError("there is no recipe to choose from", "give at least one")
    best, value = max(scores, key=lambda pair: pair[1])
    return RecipeChoice(best, value, tuple(scores))
