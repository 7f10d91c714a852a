"""A recipe for class embeddings: what a method's config holds and the protocol carries out."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Literal, get_args

import torch

from ezav.classes.embeddings import ClassEmbeddings
from ezav.classes.settings import CeoSettings
from ezav.errors import EzavError

if TYPE_CHECKING:
    from ezav.classes.forms import Confused, Form

Source = Literal["raw", "ceo", "centred", "linear", "strong", "apart", "together", "auto"]
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

    source: Source = "ceo"
    """Use these class embeddings. `ceo`: optimised ones; `raw`: the text embeddings as they are.
    Between them: `centred`; `linear`, the linear map of the text that comes nearest to the
    optimised; `strong`, optimised inside the strong directions of the text alone; `apart` and
    `together`, a linear map that moves only classes which the training clips confuse. `auto`:
    validation chooses, raw text unless another is better by more than the error of the
    comparison."""
    shuffle: bool = False
    """Give every class the embedding of another class, as a control experiment."""

    def __post_init__(self) -> None:
        super().__post_init__()
        known = get_args(Source)
        if self.source not in known:
            raise EzavError(
                f"no source of class embeddings '{self.source}'", f"use {', '.join(known)}"
            )

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

    @property
    def label(self) -> str:
        """What to call it among its alternatives.

        Example:
            >>> ClassEmbeddingRecipe(source="raw").label, ClassEmbeddingRecipe(alpha=0.2).label
            ('raw', 'ceo 0.2')
        """
        weighed = self.source in ("ceo", "linear", "strong")
        return f"{self.source} {self.alpha:g}" if weighed else self.source

    @property
    def reads_confusions(self) -> bool:
        """It needs to know which classes the training clips confuse."""
        return self.source in ("apart", "together")

    def alternatives(self) -> list[ClassEmbeddingRecipe]:
        """What `auto` chooses among, the raw text first.

        Example:
            >>> [one.label for one in ClassEmbeddingRecipe(source="auto").alternatives()][:3]
            ['raw', 'centred', 'linear 0.05']
        """
        found = [replace(self, source="raw"), replace(self, source="centred")]
        found += [replace(self, source="linear", alpha=alpha) for alpha in (0.05, 0.5)]
        found += [replace(self, source="strong", alpha=0.2)]
        found += [replace(self, source="apart"), replace(self, source="together")]
        return found + [replace(self, source="ceo", alpha=alpha) for alpha in (0.05, 0.2)]

    def prepare(
        self, embeddings: ClassEmbeddings, seed: int = 0, confused: Confused = ()
    ) -> ClassEmbeddings:
        """The class embeddings of a stage from its text embeddings (seen and unseen classes).

        The result is kept in the process, so that several seeds of one run optimise once: only
        sampled triplets and the shuffle depend on `seed`.

        Args:
            embeddings: raw, of the stage's classes.
            seed: of what is random.
            confused: where the recipe :attr:`reads_confusions`, pairs of classes that the training
                clips confuse; the result's settings keep them.

        Raises:
            EzavError: `auto`, which is no recipe yet; a class of whose text a form leaves nothing.
        """
        sampled = self.source in ("ceo", "linear", "strong") and self.ranking == "sampled"
        if not (self.shuffle or sampled):
            seed = 0  # the first to ask must not decide how classes with one text are parted
        key = self._key(embeddings, seed, confused)
        with _lock:
            if key not in _cache:
                _cache[key] = self._prepare(embeddings, seed, confused)
                while len(_cache) > _CACHE_SIZE:
                    _cache.popitem(last=False)
            _cache.move_to_end(key)
            return _cache[key]

    def _key(self, embeddings: ClassEmbeddings, seed: int, confused: Confused) -> str:
        digest = hashlib.sha256(embeddings.vectors.detach().cpu().numpy().tobytes())
        facts = (embeddings.names, embeddings.encoder, embeddings.settings, asdict(self))
        digest.update(repr((facts, seed, confused)).encode())
        return digest.hexdigest()

    def _prepare(
        self, embeddings: ClassEmbeddings, seed: int, confused: Confused
    ) -> ClassEmbeddings:
        made = embeddings
        if self.source == "ceo":
            from ezav.classes.optimize import optimize_class_embeddings

            made = optimize_class_embeddings(embeddings, self.ceo, seed=seed).embeddings
        elif self.source != "raw":
            vectors = self._form(embeddings, confused, seed)(embeddings.vectors, embeddings.names)
            pairs = [list(pair) for pair in confused]
            record = {"source": self.source, "confused": pairs, "seed": seed}
            made = embeddings.with_vectors(vectors, form=record)
        if self.shuffle:
            made = shuffled(made, seed)
        return made

    def _form(self, text: ClassEmbeddings, confused: Confused, seed: int) -> Form:
        from ezav.classes.forms import form_of

        if self.source == "auto" or self.source == "raw" or self.source == "ceo":
            raise EzavError(
                f"the source '{self.source}' of class embeddings is no form of the text",
                "validation chooses one for 'auto': fit a protocol with it",
            )
        return form_of(self.source, text, self.ceo, confused, seed)

    def extend(
        self,
        new: ClassEmbeddings,
        text: ClassEmbeddings,
        made: ClassEmbeddings,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> ClassEmbeddings:
        """Class embeddings of new names; those that were made stay as they are.

        Args:
            new: raw text embeddings of the new names.
            text: those that :meth:`prepare` was given.
            made: what it gave.
            on_progress: called with the number of names done, and of all.

        Example:
            >>> text = ClassEmbeddings(("a", "b", "c"), torch.eye(3))
            >>> recipe = ClassEmbeddingRecipe(source="centred")
            >>> new = ClassEmbeddings(("b again",), torch.eye(3)[1:2])
            >>> found = recipe.extend(new, text, recipe.prepare(text)).vectors
            >>> torch.equal(found[0], recipe.prepare(text).vectors[1])
            True
        """
        if self.source == "raw":
            return new
        if self.source == "ceo":
            from ezav.classes.extend import extend_class_embeddings

            return extend_class_embeddings(new, text, made, on_progress=on_progress)
        record = made.settings.get("form", {})
        confused = tuple((a, b, share) for a, b, share in record.get("confused", ()))
        form = self._form(text, confused, record.get("seed", 0))
        vectors = form(new.vectors, new.names)
        if on_progress is not None:
            on_progress(len(new), len(new))
        return new.with_vectors(vectors, form=record)


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
