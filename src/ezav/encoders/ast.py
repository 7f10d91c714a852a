"""Audio Spectrogram Transformer (Gong et al., Interspeech 2021)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ezav.encoders.base import EncoderCard, MediaNeeds
from ezav.encoders.labelled import Classifier
from ezav.encoders.loading import load_pretrained, load_processor, read_json
from ezav.encoders.registry import Entry
from ezav.encoders.towers import SoundEncoder

if TYPE_CHECKING:
    from torch import Tensor

AUDIO = EncoderCard(
    name="ast",
    kind="audio",
    dimension=768,
    needs=MediaNeeds(sample_rate=16_000),
    source="MIT/ast-finetuned-audioset-10-10-0.4593",
    revision="f826b80d28226b62986cc218e5cec390b1096902",
    licence="BSD-3-Clause",
    trained_on=("AudioSet", "ImageNet-1k"),
    label_set="AudioSet",
    notes="one token a window of up to 10.24 s",
)
_FRAME = 400
_CLASSIFIER = "ASTForAudioClassification"


class AstAudio(Classifier, SoundEncoder):
    """The mean of the class and distillation tokens, which the classifier reads.

    A window shorter than 10.24 s is padded with silence, as in training.
    """

    longest = 10.24

    def __init__(self, card: EncoderCard, *arguments: Any, **options: Any) -> None:
        super().__init__(card, *arguments, **options)
        classifier = _CLASSIFIER in read_json(self.source, "config.json").get("architectures", [])
        self._head: Any = None
        if classifier:
            model = load_pretrained(_CLASSIFIER, self.source, device=self._device)
            self._model, self._head = model.audio_spectrogram_transformer, model.classifier
        else:
            self._model = load_pretrained(
                "ASTModel", self.source, device=self._device, ignore=("classifier.",)
            )
        self._extractor = load_processor("ASTFeatureExtractor", self.source)
        self._learn_dimension(self._model.config.hidden_size)
        self._learn_labels(self._model.config.id2label if classifier else {})

    def _embed(self, batch: list[Any]) -> Tensor:
        # The filterbank needs one frame of 25 ms.
        sounds = [np.pad(b, (0, max(0, _FRAME - len(b)))) for b in batch]
        inputs = self._extractor(sounds, sampling_rate=self._rate, return_tensors="pt")
        output = self._model(input_values=inputs["input_values"].to(self._device))
        vectors: Tensor = output.pooler_output
        return vectors

    def _classify(self, tokens: Tensor) -> Tensor:
        from torch.nn.functional import logsigmoid

        # AudioSet's labels do not exclude each other: each has a probability of its own.
        scores: Tensor = logsigmoid(self._head(tokens))
        return scores


ENCODERS = (Entry(AUDIO, AstAudio),)
