"""Encoders that are classifiers: tokens and label scores from one pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ezav.encoders.base import Encoded, EncoderCard, Labelled, WithScores
from ezav.errors import EzavError

if TYPE_CHECKING:
    from torch import Tensor


class Classifier:
    """Adds :meth:`encode_with_labels` to an encoder of :mod:`ezav.encoders.towers`.

    A subclass sets `labels` and defines :meth:`_embed_both`.
    """

    labels: tuple[str, ...] = ()
    card: EncoderCard
    _encode: Callable[[Sequence[Any], Callable[[list[Any]], Tensor]], list[Encoded]]

    def encode_with_labels(self, clips: Sequence[Any]) -> list[WithScores]:
        """Tokens as `encode` gives them, and scores `[T, L]` of the labels; one pass.

        Raises:
            EzavError: this checkpoint has no classifier.
        """
        if not self.labels:
            raise EzavError(f"this checkpoint of '{self.card.name}' knows no labels")
        size = self.card.dimension
        return [
            WithScores(Encoded(values[:, :size].copy(), times), values[:, size:].copy())
            for values, times in self._encode(clips, self._joined)
        ]

    def _joined(self, batch: list[Any]) -> Tensor:
        import torch

        features, scores = self._embed_both(batch)
        return torch.cat([features.float(), scores.float()], dim=1)

    def _embed_both(self, batch: list[Any]) -> tuple[Tensor, Tensor]:
        """Features `[n, d]` and scores `[n, L]` of n items."""
        raise RuntimeError(f"{type(self).__name__} does not define _embed_both")

    def _learn_labels(self, id2label: Mapping[Any, str]) -> None:
        """Take the names of a checkpoint's config; placeholders ("LABEL_0") are no names."""
        names = tuple(str(id2label[i]) for i in sorted(id2label, key=int))
        if any(name.startswith("LABEL_") for name in names):
            names = ()
        self.labels = names
        known = self.card.label_set if self.card.trained_on else f"labels of {self.card.source}"
        self.card = self.card.but(label_set=known if names else None)


def knows_labels(encoder: object) -> bool:
    """Whether an encoder gives label scores by name beside its tokens.

    Example:
        >>> from ezav.encoders.registry import load_visual
        >>> knows_labels(load_visual("efficientnet")), knows_labels(load_visual("statistics"))
        (True, False)
    """
    return isinstance(encoder, Labelled) and bool(encoder.labels)
