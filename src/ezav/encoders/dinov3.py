"""DINOv3 (Siméoni et al. 2025): pictures, learned without labels or text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ezav.encoders.base import EncoderCard, MediaNeeds
from ezav.encoders.loading import load_pretrained
from ezav.encoders.registry import Entry
from ezav.encoders.towers import PictureEncoder

if TYPE_CHECKING:
    from torch import Tensor

VISUAL = EncoderCard(
    name="dinov3",
    kind="visual",
    dimension=768,
    needs=MediaNeeds(fps=1, short_side=224),
    source="facebook/dinov3-vitb16-pretrain-lvd1689m",
    revision="5931719e67bbdb9737e363e781fb0c67687896bc",
    licence="DINOv3 License (gated: accept it on the hub)",
    trained_on=("LVD-1689M (web pictures, not published)", "ImageNet-1k", "ImageNet-22k"),
    notes="one token a frame: the class token",
)


class DinoVisual(PictureEncoder):
    """The class token of the last layer, after its norm."""

    def __init__(self, card: EncoderCard, *arguments: Any, **options: Any) -> None:
        super().__init__(card, *arguments, **options)
        self._model = load_pretrained(
            "DINOv3ViTModel", self.source, device=self._device, unused=("embeddings.mask_token",)
        )
        self._learn_dimension(self._model.config.hidden_size)

    def _embed(self, batch: list[Any]) -> Tensor:
        output = self._model(pixel_values=self._stacked(batch))
        vectors: Tensor = output.pooler_output
        return vectors


ENCODERS = (Entry(VISUAL, DinoVisual),)
