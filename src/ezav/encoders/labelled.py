"""Encoders that are classifiers: scores of labels by name, from their tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from ezav.encoders.base import EncoderCard, Labelled
from ezav.errors import EzavError

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


def knows_labels(encoder: object) -> TypeGuard[Labelled]:
    """Whether an encoder gives scores of labels by name.

    Example:
        >>> from ezav.encoders.registry import load_visual
        >>> knows_labels(load_visual("efficientnet")), knows_labels(load_visual("statistics"))
        (True, False)
    """
    return isinstance(encoder, Labelled) and bool(encoder.labels)
