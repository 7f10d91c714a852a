"""CLIP (Radford et al., ICML 2021): pictures and text in one space."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ezav.encoders.base import EncoderCard, MediaNeeds
from ezav.encoders.loading import load_pretrained
from ezav.encoders.registry import Entry
from ezav.encoders.text_towers import PairedText
from ezav.encoders.towers import PictureEncoder, pooled

if TYPE_CHECKING:
    from torch import Tensor

_BASE = EncoderCard(
    name="clip",
    kind="visual",
    dimension=512,
    needs=MediaNeeds(fps=1, short_side=224),
    source="openai/clip-vit-base-patch32",
    revision="3d74acf9a28c67741b2f4f2ea7635f0aaf6f0268",
    licence="MIT (code; the weights carry no licence of their own)",
    trained_on=("WebImageText (400 million pairs, not published)",),
    space="clip",
    notes="one token a frame; frames=1 is the middle frame, as in ClipClap",
)
_LARGE = _BASE.but(
    name="clip-large",
    dimension=768,
    source="openai/clip-vit-large-patch14",
    revision="32bd64288804d66eefd0ccbe215aa642df71cc41",
)


def _as_text(card: EncoderCard) -> EncoderCard:
    return card.but(kind="text", needs=MediaNeeds(), templates=("a photo of {}",), notes="")


class ClipVisual(PictureEncoder):
    """CLIP's picture tower, projected into the shared space; not normalised."""

    def __init__(self, card: EncoderCard, *arguments: Any, **options: Any) -> None:
        super().__init__(card, *arguments, **options)
        self._model = load_pretrained("CLIPModel", self.source, device=self._device)
        self._learn_dimension(self._model.config.projection_dim)

    def _embed(self, batch: list[Any]) -> Tensor:
        return pooled(self._model.get_image_features(pixel_values=self._stacked(batch)))


class ClipText(PairedText):
    """CLIP's text tower with prompts, projected into the shared space."""

    _class = "CLIPModel"


ENCODERS = (
    Entry(_BASE, ClipVisual),
    Entry(_LARGE, ClipVisual),
    Entry(_as_text(_BASE), ClipText),
    Entry(_as_text(_LARGE), ClipText),
)
