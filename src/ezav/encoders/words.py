"""Words: what a classifier says, as a vector in the space of a text encoder (ConSE).

The probabilities of an encoder's labels, times the text vectors of the label names (Norouzi et
al., ICLR 2014). Nothing is trained: the encoder knows its labels, and the text encoder reads them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, cast

import numpy as np

from ezav.encoders.base import Labelled, TextEncoder
from ezav.encoders.labelled import check_labels, checked_scores
from ezav.errors import EzavError
from ezav.safe_io import atomic_path, cache_folder

if TYPE_CHECKING:
    from torch import Tensor

TEMPERATURE = 1.5
"""Logits are divided by this: a classifier is surer of its labels than it should be of others.
Chosen on class folds of training classes (docs/guides/encoders.md)."""
NEARNESS = 12.0
"""How fast a label says less of a name the further it is: `exp(NEARNESS (cosine - 1))`."""
_FLOOR = 1e-6  # a name that no label is near: what is told of it hangs on no rounding
_VERSION = "1"
_AT_ONCE = 4096  # tokens: the scores of a thousand labels each are 16 MB
_KEPT = 8  # label vectors in memory: 1,000 labels of 384 numbers are 1.5 MB


@dataclass(frozen=True)
class WordReader:
    """Tokens of a classifier to words, for one classifier and one text encoder.

    Attributes:
        encoder: knows labels (:func:`ezav.encoders.labelled.knows_labels`).
        text: the text encoder whose space the words lie in.
        temperature: see :func:`words`.

    Example:
        >>> from ezav.encoders.registry import load_text, load_visual
        >>> reader = WordReader(load_visual("efficientnet"), load_text("minilm"))
        >>> reader(np.zeros((2, 1280), np.float32)).shape, reader.mean.shape
        ((2, 384), (384,))
    """

    encoder: Labelled
    text: TextEncoder
    temperature: float = TEMPERATURE

    @cached_property
    def vectors(self) -> np.ndarray:
        """:func:`label_vectors`, `[L, d]`.

        Raises:
            EzavError: as :func:`ezav.encoders.labelled.check_labels`.
        """
        check_labels(self.encoder)
        return label_vectors(self.text, self.encoder.labels)

    @cached_property
    def mean(self) -> np.ndarray:
        """Of the label vectors, `[d]`: what to take off both sides where there are no clips."""
        return np.asarray(self.vectors.mean(axis=0))

    def shares(self, tokens: np.ndarray) -> np.ndarray:
        """The labels' probabilities, float32 `[T, L]`, of the encoder's tokens.

        Raises:
            EzavError: they are not this encoder's.
        """
        import torch

        scores = torch.from_numpy(checked_scores(self.encoder, tokens)) / self.temperature
        return scores.softmax(dim=1).numpy()

    def __call__(self, tokens: np.ndarray) -> np.ndarray:
        """Float32 `[T, d]` of the encoder's tokens.

        Raises:
            EzavError: they are not this encoder's.
        """
        import torch

        vectors = torch.from_numpy(self.vectors.copy())
        parts = [
            words(
                torch.from_numpy(checked_scores(self.encoder, tokens[start : start + _AT_ONCE])),
                vectors,
                self.temperature,
            ).numpy()
            for start in range(0, max(1, len(tokens)), _AT_ONCE)
        ]
        return np.concatenate(parts)


def words(scores: Tensor, vectors: Tensor, temperature: float | Tensor = TEMPERATURE) -> Tensor:
    """Vectors in the text's space, `[T, d]`, of label scores `[T, L]`.

    Args:
        scores: logits, or logarithms of probabilities that need not sum to 1.
        vectors: :func:`label_vectors` `[L, d]`.
        temperature: divides the scores; 1 takes them as they are.

    Raises:
        EzavError: the numbers of labels differ, or the temperature is not positive.

    Example:
        >>> import torch
        >>> words(torch.tensor([[8.0, 0.0]]), torch.eye(2), 4.0).tolist()
        [[0.88..., 0.11...]]
    """
    if scores.ndim != 2 or scores.shape[1] != len(vectors):
        raise EzavError(f"scores of shape {tuple(scores.shape)} do not fit {len(vectors)} labels")
    if isinstance(temperature, float | int) and temperature <= 0:
        raise EzavError(f"a temperature of {temperature} gives no words")
    return (scores / temperature).softmax(dim=1) @ vectors


def evidence(shares: Tensor, usual: Tensor, labels: Tensor, names: Tensor) -> Tensor:
    """How much more likely the labels near a name are in a clip than usually, `[N, C]`.

    `log sum_l p_l k(l, t) - log sum_l q_l k(l, t)`, `k = exp(12 (cos(l, t) - 1))`: near labels
    alone count, and a name is not preferred because labels like it come up in every clip.

    Args:
        shares: p `[N, L]`, the labels' probabilities.
        usual: q `[L]`, what they usually are.
        labels, names: unit rows `[L, d]` and `[C, d]`, the mean of the labels taken off both.

    Example:
        >>> import torch
        >>> same = torch.eye(2)
        >>> told = evidence(same[:1], torch.tensor([0.5, 0.5]), same, same)
        >>> [round(one, 1) for one in told[0].tolist()]
        [0.7, -11.2]
    """
    near = (NEARNESS * (labels @ names.T - 1)).exp()
    return (shares @ near + _FLOOR).log() - (usual @ near + _FLOOR).log()


def similarity(found: np.ndarray, names: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Cosines `[N, C]` of words `[N, d]` and class vectors `[C, d]`, `mean` taken off both.

    Without it everything resembles everything: vectors of names share a large part. `mean` is
    that of the label vectors where there are no clips, else that of the training clips' words.

    Example:
        >>> away = np.array([1.0, 1.0])
        >>> similarity(np.array([[2.0, 1.0]]), np.array([[3.0, 1.0], [1.0, 3.0]]), away).round(6)
        array([[1., 0.]])
    """
    return np.asarray(_unit(found - mean) @ _unit(names - mean).T)


def _unit(rows: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(rows, axis=-1, keepdims=True)
    return cast(np.ndarray, rows / np.maximum(length, 1e-12))


def label_vectors(text: TextEncoder, labels: Sequence[str]) -> np.ndarray:
    """Unit rows float32 `[L, d]`, one a label: the mean direction of its synonyms.

    Synonyms are separated by a comma and a space, as ImageNet's and AudioSet's lists have them
    ("tench, Tinca tinca"). What was computed once is kept in the cache folder.

    Raises:
        EzavError: there are no labels, or an empty one.
    """
    if not labels:
        raise EzavError("an encoder without labels gives no words")
    return _label_vectors(_Reader(text), tuple(labels))


class _Reader:
    """A text encoder, equal to another that gives the same vectors."""

    def __init__(self, text: TextEncoder) -> None:
        self.text = text
        card = text.card
        self.key = (card.label, card.source, card.templates, card.dimension)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Reader) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


@lru_cache(_KEPT)
def _label_vectors(reader: _Reader, labels: tuple[str, ...]) -> np.ndarray:
    key = hashlib.sha256(repr((_VERSION, reader.key, labels)).encode()).hexdigest()[:24]
    path = cache_folder() / "encoders" / f"labels-{key}.npy"
    shape = (len(labels), reader.text.card.dimension)
    try:
        kept = np.load(path, allow_pickle=False)
        if kept.shape == shape and kept.dtype == np.float32 and np.isfinite(kept).all():
            kept.flags.writeable = False
            return cast(np.ndarray, kept)
    except (OSError, ValueError, EOFError):
        pass  # not there, or damaged: it can be made again
    synonyms = [[one.strip() for one in label.split(", ") if one.strip()] for label in labels]
    if not all(synonyms):
        raise EzavError("a label without a name gives no words")
    distinct = sorted({one for several in synonyms for one in several})
    rows = dict(zip(distinct, np.asarray(reader.text.encode(distinct), dtype=np.float32)))
    found = _unit(np.stack([np.mean([rows[s] for s in several], axis=0) for several in synonyms]))
    found = found.astype(np.float32)
    try:
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.save(file, found)
    except EzavError:
        pass  # a cache that cannot be written costs time, nothing else
    found.flags.writeable = False
    return found
