"""Names against what frozen encoders say of a clip: cosines in a space they share with text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ezav.encoders.base import Kind
from ezav.encoders.words import WordReader, evidence
from ezav.features.tokens import Tokens
from ezav.methods.base import Dims, Method
from ezav.methods.common.card import Card
from ezav.methods.common.few_shot import FewShot

WORDS_SCALE = 10.0
"""Of cosines of words: fitted on clips of 30 classes, 1 / temperature."""
HEARD_SCALE = 0.2
"""Of what broad labels of sounds make of a name, which is added to what the picture says. Chosen on
two sets of real clips: more of it costs where the picture tells more."""
SHARED_SCALE: dict[Kind, float] = {"visual": 100.0, "audio": 14.3}
"""Of cosines in a learned space: as CLIP and CLAP were trained."""


SHOWN = FewShot(6.0, 0.0, 0.4, 0.0)
"""What a few clips of a class are worth: chosen on two sets of real clips, so that all classes
together lose nothing by one clip of one of them."""


@dataclass(frozen=True)
class Channel:
    """How one modality meets the class names.

    Attributes:
        kind: "visual" or "audio".
        columns: of the class vectors, those of the text encoder that it shares a space with.
        scale: of its cosines.
        words: makes vectors in the text's space of its tokens; None where the tokens lie there.
    """

    kind: Kind
    columns: slice
    scale: float
    words: WordReader | None = None

    @property
    def added(self) -> bool:
        """Whether it is evidence added to the other's cosines: read by broad labels."""
        return self.words is not None and self.words.encoder.card.broad_labels

    def evidence(self, tokens: Tokens, class_embeddings: Tensor) -> Tensor:
        """What the labels make of names, `[N, C]`; a clip without the modality gets 0.

        Every label is as likely as another, since no clips are known.
        """
        assert self.words is not None
        values, mask = tokens.values, tokens.mask
        each = torch.from_numpy(self.words.shares(values[mask].cpu().numpy()))
        spread = torch.zeros(*mask.shape, each.shape[1], dtype=each.dtype)
        spread[mask.cpu()] = each
        count = mask.cpu().sum(dim=1, keepdim=True)
        shares = (spread.sum(dim=1) / count.clamp(min=1)).to(class_embeddings)
        usual = shares.new_full((shares.shape[1],), 1 / shares.shape[1])
        labels = self.centred(torch.from_numpy(self.words.vectors.copy()).to(shares))
        told = evidence(shares, usual, labels, self.names(class_embeddings))
        return told * tokens.present[:, None].to(told)

    @property
    def mean(self) -> Tensor | None:
        """What all words have in common, `[d]`, to be taken off both sides."""
        return None if self.words is None else torch.from_numpy(self.words.mean).float()

    def names(self, class_embeddings: Tensor) -> Tensor:
        """Unit rows `[C, d]` of the class vectors, what all names have in common taken off."""
        vectors = normalize(class_embeddings[:, self.columns], dim=1)
        mean = self.mean
        return vectors if mean is None else normalize(vectors - mean.to(vectors), dim=1)

    def vectors(self, tokens: Tokens) -> Tensor:
        """A vector in the text's space for each clip, `[N, d]`; of a clip without tokens zero."""
        if self.words is None:
            return tokens.mean()
        values, mask = tokens.values, tokens.mask
        found = self.words(values[mask].cpu().numpy())
        spread = values.new_zeros(*mask.shape, found.shape[1])
        spread[mask] = torch.from_numpy(found).to(values)
        return spread.sum(dim=1) / mask.sum(dim=1, keepdim=True).clamp(min=1)

    def centred(self, vectors: Tensor) -> Tensor:
        """Unit rows of :meth:`vectors`, what all words have in common taken off."""
        mean = self.mean
        return normalize(vectors if mean is None else vectors - mean.to(vectors), dim=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class FrozenConfig:
    """Nothing to set: nothing is trained."""


class FrozenMethod(Method):
    """Scaled cosines of each modality with its text, averaged over those that a clip has.

    What is read by broad labels alone is no such modality: what it says is added.

    Args:
        channels: one for each modality that is read.
        dims: of tokens and class vectors; 1 for a modality that is not read.
    """

    Config = FrozenConfig
    trainable = False
    card: ClassVar[Card] = Card(
        title="Frozen recogniser",
        paper="Norouzi et al., ICLR 2014 (ConSE); Radford et al., ICML 2021 (CLIP)",
        year=2014,
        parity="cosines of words computed apart",
        modalities="audio + visual, or either",
        text="text of the encoders' own space, or any that reads label names",
    )

    def __init__(self, channels: tuple[Channel, ...], dims: Dims) -> None:
        super().__init__(FrozenConfig(), dims)
        self.channels = channels

    @property
    def modalities(self) -> tuple[str, ...]:
        kinds = tuple(channel.kind for channel in self.channels)
        return kinds if len(kinds) == 1 else ()

    @property
    def uses_time(self) -> bool:
        # The words of a mean of tokens are not the mean of their words.
        return any(channel.words is not None for channel in self.channels)

    def appearance(self, audio: Tokens, visual: Tokens) -> tuple[Tensor, ...]:
        """Their vectors in the text's space, as the names meet them."""
        found = []
        for channel in self.channels:
            tokens = visual if channel.kind == "visual" else audio
            found.append(channel.centred(channel.vectors(tokens)) * tokens.present[:, None])
        return tuple(found)

    @property
    def few_shot(self) -> FewShot:
        return SHOWN

    def scores(self, audio: Tokens, visual: Tokens, class_embeddings: Tensor) -> Tensor:
        """Mean over modalities of scaled cosines, `[N, C]`; a clip without any gets 0."""
        total = class_embeddings.new_zeros(len(audio), len(class_embeddings))
        count = class_embeddings.new_zeros(len(audio), 1)
        for channel in self.channels:
            if channel.added:
                continue
            tokens = visual if channel.kind == "visual" else audio
            there = tokens.present[:, None].to(total)
            cosines = channel.centred(channel.vectors(tokens)) @ channel.names(class_embeddings).T
            total = total + there * channel.scale * cosines
            count = count + there
        return total / count.clamp(min=1) + self.added(audio, visual, class_embeddings)

    def added(self, audio: Tokens, visual: Tokens, class_embeddings: Tensor) -> Tensor:
        """What broad labels add, `[N, C]`."""
        found = class_embeddings.new_zeros(len(audio), len(class_embeddings))
        for channel in self.channels:
            if channel.added:
                tokens = visual if channel.kind == "visual" else audio
                found = found + channel.scale * channel.evidence(tokens, class_embeddings)
        return found
