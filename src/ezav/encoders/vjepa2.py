"""V-JEPA 2 (Assran et al. 2025): video, by predicting masked parts in feature space."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ezav.encoders.base import EncoderCard, MediaNeeds
from ezav.encoders.loading import load_pretrained
from ezav.encoders.registry import Entry
from ezav.encoders.towers import VideoEncoder

if TYPE_CHECKING:
    from torch import Tensor

VISUAL = EncoderCard(
    name="vjepa2",
    kind="visual",
    dimension=1024,
    needs=MediaNeeds(fps=8, short_side=256),
    source="facebook/vjepa2-vitl-fpc64-256",
    revision="b3c1679b7c34d3255ef3547f27c7b226aefab26f",
    licence="MIT",
    trained_on=(
        "Something-Something-v2",
        "Kinetics-400",
        "Kinetics-600",
        "Kinetics-700",
        "HowTo100M",
        "YT-Temporal-1B",
        "ImageNet-1k",
    ),
    notes="one token a window of window_frames frames (16 by default: 2 s at 8 a second)",
)


class VJepa2Visual(VideoEncoder):
    """The mean over all patch tokens of the encoder; the predictor is not used.

    Args:
        window_frames: frames a window, even; the checkpoint was trained on up to 64.
    """

    def __init__(
        self, card: EncoderCard, *arguments: Any, window_frames: int = 16, **options: Any
    ) -> None:
        super().__init__(card, *arguments, **options)
        self._model = load_pretrained("VJEPA2Model", self.source, device=self._device)
        tubelet = self._model.config.tubelet_size
        self._length = max(tubelet, self._at_least_one(window_frames) // tubelet * tubelet)
        self._learn_dimension(self._model.config.hidden_size)

    def _embed(self, batch: list[Any]) -> Tensor:
        hidden = self._model.get_vision_features(self._stacked(batch))
        vectors: Tensor = hidden.mean(dim=1)
        return vectors


ENCODERS = (Entry(VISUAL, VJepa2Visual),)
