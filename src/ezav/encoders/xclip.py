"""X-CLIP (Ni et al., ECCV 2022): CLIP made for video; video and text in one space."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ezav.encoders.base import EncoderCard, MediaNeeds
from ezav.encoders.loading import load_pretrained
from ezav.encoders.registry import Entry
from ezav.encoders.text_towers import PairedText
from ezav.encoders.towers import VideoEncoder, pooled

if TYPE_CHECKING:
    from torch import Tensor

VISUAL = EncoderCard(
    name="xclip",
    kind="visual",
    dimension=512,
    needs=MediaNeeds(fps=4, short_side=224),
    source="microsoft/xclip-base-patch32",
    revision="a2e27a78a2b5d802e894b8a1ef14f3a8ce490963",
    licence="MIT",
    trained_on=("WebImageText (400 million pairs, not published)", "Kinetics-400"),
    space="xclip",
    notes="one token a window of 8 frames (2 s at 4 a second)",
)
TEXT = VISUAL.but(
    kind="text",
    needs=MediaNeeds(),
    templates=("{}",),
    notes="the text tower alone: the prompts that depend on the video are left out",
)


class XClipVisual(VideoEncoder):
    """The video's vector in the shared space; not normalised."""

    def __init__(self, card: EncoderCard, *arguments: Any, **options: Any) -> None:
        super().__init__(card, *arguments, **options)
        self._model = load_pretrained("XCLIPModel", self.source, device=self._device)
        self._length = self._model.config.vision_config.num_frames
        self._learn_dimension(self._model.config.projection_dim)

    def _embed(self, batch: list[Any]) -> Tensor:
        return pooled(self._model.get_video_features(pixel_values=self._stacked(batch)))


class XClipText(PairedText):
    """The text tower with prompts."""

    _class = "XCLIPModel"


ENCODERS = (Entry(VISUAL, XClipVisual), Entry(TEXT, XClipText))
