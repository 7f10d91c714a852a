"""A recipe for class embeddings: what a method's config holds and the protocol carries out."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import asdict, dataclass
from typing import Literal

import torch

from ezav.classes.embeddings import ClassEmbeddings
from ezav.errors import EzavError

_CACHE_SIZE = 64
_cache: OrderedDict[str, ClassEmbeddings] = OrderedDict()


@dataclass(frozen=True, kw_only=True)
class ClassEmbeddingRecipe:
    """How the class embeddings of a stage are made from the text embeddings of its classes.

    Example:
        >>> import torch
        >>> t = ClassEmbeddings(("dog", "cat", "car"), torch.eye(3) + 1)
        >>> raw = ClassEmbeddingRecipe(source="raw").prepare(t)
        >>> torch.equal(raw.vectors, t.vectors)
        True
    """

    source: Literal["raw", "ceo"] = "ceo"
    """`ceo`: optimised class embeddings; `raw`: the text embeddings as they are."""
    alpha: float = 0.5
    """The weight of separation against semantics, 0 to 1 (equation 4)."""
    margin: float = 0.1
    """The margin m of the ranking loss (equation 3), in units of distance."""
    semantic: Literal["ranking", "proximity"] = "ranking"
    """The semantic term: keep the order of distances (3), or stay close to the text (2)."""
    ranking: Literal["exact", "sampled"] = "exact"
    """All triplets at every step, or the paper's random sample."""
    reduction: Literal["balanced", "mean", "sum"] = "balanced"
    """How the two terms are scaled: each by its own range (`balanced`), as means, as sums."""
    shuffle: bool = False
    """Control experiment: give every class the embedding of another class."""

    def prepare(self, embeddings: ClassEmbeddings, seed: int = 0) -> ClassEmbeddings:
        """The class embeddings of a stage from its text embeddings (seen and unseen classes).

        The result is kept in the process, so that several seeds of one run optimise once: only
        sampled triplets and the shuffle depend on `seed`.

        Raises:
            EzavError: a setting is out of range.
        """
        key = self._key(embeddings, seed)
        if key not in _cache:
            _cache[key] = self._prepare(embeddings, seed)
            while len(_cache) > _CACHE_SIZE:
                _cache.popitem(last=False)
        _cache.move_to_end(key)
        return _cache[key]

    def _key(self, embeddings: ClassEmbeddings, seed: int) -> str:
        digest = hashlib.sha256(embeddings.vectors.detach().cpu().numpy().tobytes())
        seeded = self.shuffle or (self.source == "ceo" and self.ranking == "sampled")
        facts = (embeddings.names, embeddings.encoder, embeddings.settings, asdict(self))
        digest.update(repr((facts, seed if seeded else 0)).encode())
        return digest.hexdigest()

    def _prepare(self, embeddings: ClassEmbeddings, seed: int) -> ClassEmbeddings:
        made = embeddings
        if self.source == "ceo":
            from ezav.classes.optimize import optimize_class_embeddings

            settings = asdict(self)
            del settings["source"], settings["shuffle"]
            made = optimize_class_embeddings(embeddings, seed=seed, **settings).embeddings
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
