"""What the neural text encoders share: prompts, tokens on the device, a tower beside another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ezav.encoders.base import EncoderCard
from ezav.encoders.legible import unread_by
from ezav.encoders.loading import load_pretrained, load_tokenizer
from ezav.encoders.prompts import ensemble, templates
from ezav.encoders.towers import Neural, pooled

if TYPE_CHECKING:
    from torch import Tensor

_AT_ONCE = 256
"""Tokens in a batch at most, where a text is shorter: with more products are no faster."""
_TOKENS = 1_000_000
"""More than any encoder reads; tokenizers without a limit name absurd ones."""


class NeuralText(Neural):
    """A text network with an ensemble of prompts.

    A subclass sets `_tokenizer`, and `_longest`: the tokens of a sentence that it reads.

    Args:
        prompts: a set of `prompts.yaml` by name, or templates with `{}` for the class name;
            default the card's.
    """

    def __init__(
        self,
        card: EncoderCard,
        source: str | Path | None = None,
        revision: str | None = None,
        prompts: str | Sequence[str] | None = None,
        batch_size: int = 16,
        **options: Any,
    ) -> None:
        lines = card.templates if prompts is None else templates(prompts)
        super().__init__(card, source, revision, batch_size=batch_size, **options)
        self.card = self.card.but(templates=lines)

    def encode(self, names: Sequence[str]) -> Tensor:
        """Unit rows float32 `[C, d]`, one a name; a row does not depend on the other names.

        Raises:
            EzavError: an empty list or an empty name.
        """
        return ensemble(names, self.card.templates, self._sentences)

    _tokenizer: Any = None
    _longest: int | None = None

    def unread(self, names: Sequence[str]) -> dict[str, str]:
        """Name -> what of it is not read, of the names of which something is not."""
        tokenizer = self._tokenizer
        if tokenizer is None:
            return {}
        longest = self._longest or tokenizer.model_max_length
        template = max(self.card.templates, key=len, default="{}")
        around = len(tokenizer(template.replace("{}", ""), add_special_tokens=False)["input_ids"])
        return unread_by(tokenizer, names, min(longest, _TOKENS) - around)

    def _sentences(self, sentences: list[str]) -> Tensor:
        import torch

        # Only texts of the same length in a batch, which is filled up: the products then have the
        # same shapes and a name the same bits, whatever else is read. Rounding alone would do
        # harm: it turns where an optimised embedding lands (`extend_class_embeddings`).
        alike: dict[int, list[int]] = {}
        for place, length in enumerate(self._lengths(sentences)):
            alike.setdefault(length, []).append(place)
        parts, order = [], []
        for length, places in alike.items():
            size = max(1, min(self._batch, _AT_ONCE // max(length, 1)))
            filled = [*places, *places[-1:] * (-len(places) % size)]
            parts.append(self._run((sentences[place] for place in filled), size)[: len(places)])
            order += places
        return torch.from_numpy(np.concatenate(parts)[np.argsort(order)])

    def _lengths(self, sentences: list[str]) -> list[int]:
        """In tokens, without the marks."""
        tokens = self._tokenizer(sentences, add_special_tokens=False)["input_ids"]
        return [len(one) for one in tokens]


class PairedText(NeuralText):
    """The text tower of a model that pairs text with media, projected into their shared space.

    A subclass names the model's class in transformers.
    """

    _class: str
    _reserved = 0  # positions that hold no token

    def __init__(self, card: EncoderCard, *arguments: Any, **options: Any) -> None:
        super().__init__(card, *arguments, **options)
        self._model = load_pretrained(self._class, self.source, device=self._device)
        self._tokenizer = load_tokenizer(self.source)
        positions = self._model.config.text_config.max_position_embeddings
        self._longest = positions - self._reserved
        self._learn_dimension(self._model.config.projection_dim)

    def _embed(self, batch: list[str]) -> Tensor:
        tokens = tokenized(self._tokenizer, batch, self._device, max_length=self._longest)
        return pooled(
            self._model.get_text_features(
                input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]
            )
        )


def tokenized(tokenizer: Any, sentences: list[str], device: str, **options: Any) -> Any:
    """Token ids of a batch, padded on the right, on the device."""
    options = {"padding": True, "truncation": True, **options}
    tokenizer.padding_side = "right"  # so that padding moves no position
    return tokenizer(sentences, return_tensors="pt", **options).to(device)
