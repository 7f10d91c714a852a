"""Frozen zero-shot recognition: class names against encoders that share a space with text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ezav.errors import EzavError
from ezav.features.tokens import Tokens
from ezav.methods.base import Dims, Method
from ezav.methods.common.card import Card
from ezav.methods.common.centring import aligned_scores, centred
from ezav.methods.common.label_words import LabelHead, LabelWords


@dataclass(frozen=True, kw_only=True, slots=True)
class ZeroShotConfig:
    """How the two modalities are put together."""

    visual_weight: float = 0.5
    """Give the visual score this share, in [0, 1]; the rest is audio's. With text of both, a clip
    that lacks one modality is scored by the other."""
    fusion: Literal["cosine", "softmax"] = "cosine"
    """Average cosines; or the probabilities over the candidates, at the scales below."""
    visual_scale: float = 100.0
    """Multiply visual cosines by this before the softmax (CLIP's learned factor is 100)."""
    audio_scale: float = 14.3
    """Multiply audio cosines by this before the softmax (from a contrastive temperature of
    0.07)."""
    words: bool = False
    """Score what the encoder's own labels say of a clip, read by the text encoder (ConSE), instead
    of its features; for stores whose features share no space with the text."""

    def __post_init__(self) -> None:
        if not 0 <= self.visual_weight <= 1:
            raise EzavError(f"visual_weight {self.visual_weight} is outside [0, 1]")


class ZeroShot(Method):
    """Cosine of each modality with its text, late fusion. Nothing is learned.

    The class vectors tell by their size which text they are: CLIP and CLAP text side by side
    (visual first), one text that both modalities share, or the text of one modality. Where all
    are of one size, a `visual_weight` of 1 or 0 says that the text is that of one modality.

    With `words` the clip is what the labels of its encoder say, in the space of the class names,
    the mean of the training clips and of the training classes taken off both sides.

    Raises:
        EzavError: the class vectors fit neither modality.

    Example:
        >>> method = ZeroShot(ZeroShotConfig(), Dims(audio=2, visual=3, text=5))
        >>> clips = Tokens.pooled(torch.ones(4, 2)), Tokens.pooled(torch.ones(4, 3))
        >>> method.scores(*clips, torch.ones(6, 5)).shape
        torch.Size([4, 6])
    """

    Config = ZeroShotConfig
    config: ZeroShotConfig
    trainable = False
    baseline = True
    reads_labels: ClassVar[bool] = True
    words_mean_: Tensor
    text_mean_: Tensor
    card: ClassVar[Card] = Card(
        title="Frozen zero-shot",
        paper="Radford et al., ICML 2021 (CLIP); Mei et al., TASLP 2024 (WavCaps CLAP)",
        year=2021,
        parity="a naive loop over clips and classes",
        modalities="audio + visual, or either",
        text="text of the encoders' own space",
    )

    def __init__(self, config: ZeroShotConfig, dims: Dims) -> None:
        super().__init__(config, dims)
        self.words: LabelWords | None = None
        self.visual_text: slice | None = None
        self.audio_text: slice | None = None
        if config.words:
            self.words = LabelWords(dims.audio, dims.visual, dims.text)
            self.register_buffer("words_mean_", torch.zeros(dims.text))
            self.register_buffer("text_mean_", torch.zeros(dims.text))
            return
        both = dims.text == dims.visual + dims.audio
        sight, sound = dims.text == dims.visual, dims.text == dims.audio
        if sight and sound:
            sight, sound = config.visual_weight > 0, config.visual_weight < 1
        self.visual_text = slice(0, dims.visual) if both or sight else None
        self.audio_text = slice(dims.text - dims.audio, None) if both or sound else None
        if self.visual_text is None and self.audio_text is None:
            raise EzavError(
                f"class embeddings of {dims.text} dimensions share no space with visual features"
                f" of {dims.visual} or audio features of {dims.audio}",
                "zero_shot needs the text of the same encoders (CLIP, CLAP, or both side by side), "
                "or an encoder that knows labels: `config.words=True`",
            )

    def know_labels(self, head: LabelHead) -> None:
        """The words are those of these labels."""
        if self.words is not None:
            self.words.know(head)

    def prepare(self, audio: Tokens, visual: Tokens, labels: Tensor, classes: Tensor) -> None:
        """Learn what all training clips' words share, and what all training classes do."""
        if self.words is None:
            return
        if not self.words.knows:
            raise EzavError(
                "no encoder of the store knows labels that the text encoder could read",
                "extract with one that does (efficientnet), or use the text of its own space",
            )
        found = self.words(audio, visual)
        known = found.abs().amax(dim=1) > 0
        if bool(known.any()):
            self.words_mean_.copy_(F.normalize(found[known], dim=1).mean(dim=0))
        self.text_mean_.copy_(F.normalize(classes, dim=1).mean(dim=0))

    @property
    def modalities(self) -> tuple[str, ...]:
        if self.words is not None:
            return ("visual",) if len(self.words.visual_weight) else ("audio",)
        # Nothing is trained. Of two modalities either will do, as for a clip that lacks one.
        parts = {"audio": self.audio_text, "visual": self.visual_text}
        read = tuple(name for name, part in parts.items() if part is not None)
        return read if len(read) == 1 else ()

    def scores(self, audio: Tokens, visual: Tokens, class_embeddings: Tensor) -> Tensor:
        """Weighted mean of the modalities' scores, `[N, C]`.

        A clip without one modality is scored by the other alone, whatever its weight, so that its
        scores keep their scale; a clip without any gets 0 for every class.
        """
        config = self.config
        if self.words is not None:
            names = centred(class_embeddings, self.text_mean_)
            return aligned_scores(self.words(audio, visual), self.words_mean_, names)
        total = class_embeddings.new_zeros(len(audio), len(class_embeddings))
        weights = class_embeddings.new_zeros(len(audio), 1)
        weightless = torch.zeros_like(total)
        for tokens, part, weight, scale in (
            (visual, self.visual_text, config.visual_weight, config.visual_scale),
            (audio, self.audio_text, 1 - config.visual_weight, config.audio_scale),
        ):
            if part is None:
                continue
            text = F.normalize(class_embeddings[:, part], dim=1)
            score = F.normalize(tokens.mean(), dim=1) @ text.T
            if config.fusion == "softmax":
                score = (score * scale).softmax(dim=1)
            if weight == 0:
                weightless = tokens.present[:, None] * score
            share = weight * tokens.present[:, None]
            total = total + share * score
            weights = weights + share
        return torch.where(weights > 0, total / weights.clamp(min=1e-12), weightless)


METHOD = ZeroShot
