"""VideoMAE (Tong et al., NeurIPS 2022): video, by rebuilding masked tubes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ezav.encoders.base import EncoderCard, MediaNeeds
from ezav.encoders.labelled import Classifier
from ezav.encoders.loading import load_pretrained, read_json
from ezav.encoders.registry import Entry
from ezav.encoders.towers import VideoEncoder

if TYPE_CHECKING:
    from torch import Tensor

VISUAL = EncoderCard(
    name="videomae",
    kind="visual",
    dimension=768,
    needs=MediaNeeds(fps=7.5, short_side=224),
    source="MCG-NJU/videomae-base-finetuned-kinetics",
    revision="488eb9a0565f257b32866000305c8178965eb9f6",
    licence="CC-BY-NC-4.0",
    trained_on=("Kinetics-400",),
    label_set="Kinetics-400",
    notes="one token a window of 16 frames (every 4th at 30 a second: 2.1 s)",
)
_CLASSIFIER = "VideoMAEForVideoClassification"


class VideoMaeVisual(Classifier, VideoEncoder):
    """The mean over all patch tokens, after the norm that the classifier reads."""

    def __init__(self, card: EncoderCard, *arguments: Any, **options: Any) -> None:
        super().__init__(card, *arguments, **options)
        classifier = _CLASSIFIER in read_json(self.source, "config.json").get("architectures", [])
        # The norm of a fine-tuned model belongs to its classifier: without it the mean over
        # tokens is on another scale than anything that was trained.
        model = load_pretrained(
            _CLASSIFIER if classifier else "VideoMAEModel",
            self.source,
            device=self._device,
            ignore=("decoder.", "encoder_to_decoder.", "mask_token", "position_embeddings"),
        )
        self._backbone = model.videomae if classifier else model
        self._norm = getattr(model, "fc_norm", None)
        # A checkpoint without that norm classifies something else than this mean.
        classifier = classifier and self._norm is not None
        self._head: Any = model.classifier if classifier else None
        self._length = model.config.num_frames
        self._learn_dimension(model.config.hidden_size)
        self._learn_labels(model.config.id2label if classifier else {})

    def _embed(self, batch: list[Any]) -> Tensor:
        hidden = self._backbone(pixel_values=self._stacked(batch)).last_hidden_state.mean(dim=1)
        vectors: Tensor = hidden if self._norm is None else self._norm(hidden)
        return vectors

    def _classify(self, tokens: Tensor) -> Tensor:
        logits: Tensor = self._head(tokens)
        return logits


ENCODERS = (Entry(VISUAL, VideoMaeVisual),)
