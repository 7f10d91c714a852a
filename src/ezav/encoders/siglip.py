"""SigLIP 2 (Tschannen et al. 2025): pictures and text in one space, with a sigmoid loss.

The checkpoints of fixed resolution (`…-patch16-224` and the like) have SigLIP's architecture;
the NaFlex ones, of any resolution, are not read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ezav.encoders.base import EncoderCard, MediaNeeds
from ezav.encoders.loading import load_pretrained, load_tokenizer
from ezav.encoders.registry import Entry
from ezav.encoders.text_towers import NeuralText, tokenized
from ezav.encoders.towers import PictureEncoder, pooled

if TYPE_CHECKING:
    from torch import Tensor

VISUAL = EncoderCard(
    name="siglip2",
    kind="visual",
    dimension=768,
    needs=MediaNeeds(fps=1, short_side=224),
    source="google/siglip2-base-patch16-224",
    revision="75de2d55ec2d0b4efc50b3e9ad70dba96a7b2fa2",
    licence="Apache-2.0",
    trained_on=("WebLI (10 billion pictures, not published)",),
    space="siglip2",
    notes="one token a frame",
)
TEXT = VISUAL.but(
    kind="text",
    needs=MediaNeeds(),
    templates=("This is a photo of {}.",),
    notes="109 languages; text is lower-cased and padded to 64 tokens, as in training",
)


class SiglipVisual(PictureEncoder):
    """The picture tower (attention pooling); not normalised."""

    def __init__(self, card: EncoderCard, *arguments: Any, **options: Any) -> None:
        super().__init__(card, *arguments, **options)
        self._model = load_pretrained("SiglipModel", self.source, device=self._device)
        self._learn_dimension(self._model.config.vision_config.hidden_size)

    def _embed(self, batch: list[Any]) -> Tensor:
        return pooled(self._model.get_image_features(pixel_values=self._stacked(batch)))


class SiglipText(NeuralText):
    """The text tower with prompts."""

    def __init__(self, card: EncoderCard, *arguments: Any, **options: Any) -> None:
        super().__init__(card, *arguments, **options)
        self._model = load_pretrained("SiglipModel", self.source, device=self._device)
        self._tokenizer = load_tokenizer(self.source)
        self._longest = self._model.config.text_config.max_position_embeddings
        self._learn_dimension(self._model.config.vision_config.hidden_size)

    def _embed(self, batch: list[str]) -> Tensor:
        # The tower reads the last position and was trained without a mask: every text is padded
        # to the full length, and no mask is given.
        tokens = tokenized(
            self._tokenizer,
            [sentence.lower() for sentence in batch],
            self._device,
            padding="max_length",
            max_length=self._longest,
        )
        return pooled(self._model.get_text_features(input_ids=tokens["input_ids"]))


ENCODERS = (Entry(VISUAL, SiglipVisual), Entry(TEXT, SiglipText))
