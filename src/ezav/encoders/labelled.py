"""Encoders that are classifiers: scores of labels by name, from their tokens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from ezav.encoders.base import EncoderCard, Labelled
from ezav.encoders.overlap import known_labels
from ezav.errors import EzavError
from ezav.naming import same, shown

if TYPE_CHECKING:
    from torch import Tensor

_AT_ONCE = 4096
"""Tokens that the classifier reads at a time."""


class Classifier:
    """Adds :meth:`label_scores` to an encoder of :mod:`ezav.encoders.towers`.

    A subclass sets `labels` and defines :meth:`_classify`.
    """

    labels: tuple[str, ...] = ()
    card: EncoderCard
    _device: str

    def label_scores(self, tokens: np.ndarray) -> np.ndarray:
        """The labels' scores, float32 `[T, L]`, of this encoder's tokens `[T, d]`.

        Raises:
            EzavError: this checkpoint has no classifier, or the tokens are of another dimension.
        """
        import torch

        if not self.labels:
            raise EzavError(f"this checkpoint of '{self.card.name}' knows no labels")
        if tokens.ndim != 2 or tokens.shape[1] != self.card.dimension:
            raise EzavError(
                f"tokens of shape {tokens.shape} are not of '{self.card.name}', whose dimension is "
                f"{self.card.dimension}"
            )
        rows = [np.zeros((0, len(self.labels)), np.float32)]
        with torch.inference_mode():
            for start in range(0, len(tokens), _AT_ONCE):
                part = torch.from_numpy(np.array(tokens[start : start + _AT_ONCE], np.float32))
                rows.append(self._classify(part.to(self._device)).float().cpu().numpy())
        return np.concatenate(rows)

    def _classify(self, tokens: Tensor) -> Tensor:
        """Scores `[T, L]` of tokens `[T, d]`."""
        raise RuntimeError(f"{type(self).__name__} does not define _classify")

    def _learn_labels(self, id2label: Mapping[Any, str]) -> None:
        """Take the names of a checkpoint's config; placeholders ("LABEL_0") are no names."""
        names = tuple(str(id2label[i]) for i in sorted(id2label, key=int))
        if any(name.startswith("LABEL_") for name in names):
            names = ()
        self.labels = names
        known = self.card.label_set if self.card.trained_on else f"labels of {self.card.source}"
        self.card = self.card.but(label_set=known if names else None)


def check_labels(encoder: Labelled) -> None:
    """Refuse labels that nothing can be read of, or of which two cannot be told apart.

    The built-in lists are taken as they are: ImageNet calls two of its labels "crane".

    Raises:
        EzavError: they are no list of texts, one is empty, or one of one's own stands there twice.
    """
    name, labels = encoder.card.name, encoder.labels
    if isinstance(labels, str) or not all(isinstance(one, str) for one in labels):
        raise EzavError(f"the labels of '{name}' are no list of texts")
    if empty := [row for row, one in enumerate(labels, 1) if not one.replace(", ", "").strip()]:
        raise EzavError(f"label {empty[0]} of the {len(labels)} of '{name}' is empty")
    counts = Counter(map(same, labels))
    twice = next((one for one in labels if counts[same(one)] > 1), None)
    if twice is not None and not known_labels(encoder.card.label_set or ""):
        raise EzavError(f"'{name}' has the label '{shown(twice)}' twice", "name each label once")


def checked_scores(encoder: Labelled, tokens: np.ndarray) -> np.ndarray:
    """The scores `[T, L]` of an encoder's labels.

    Raises:
        EzavError: there are more or fewer than labels, or some are no numbers.
    """
    scores = np.asarray(encoder.label_scores(tokens), np.float32)
    name, wanted = encoder.card.name, (len(tokens), len(encoder.labels))
    if scores.shape != wanted:
        raise EzavError(
            f"'{name}' has {wanted[1]} labels, but scores of shape {scores.shape} for {wanted[0]} "
            "tokens",
            "its list of labels is of another network",
        )
    if np.isnan(scores).any() or np.isposinf(scores).any():
        raise EzavError(f"'{name}' gives scores that are no numbers")
    return scores


def knows_labels(encoder: object) -> TypeGuard[Labelled]:
    """Whether an encoder gives scores of labels by name.

    Example:
        >>> from ezav.encoders.registry import load_visual
        >>> knows_labels(load_visual("efficientnet")), knows_labels(load_visual("statistics"))
        (True, False)
    """
    return isinstance(encoder, Labelled) and bool(encoder.labels)
