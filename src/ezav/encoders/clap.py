"""CLAP of LAION (Wu et al., ICASSP 2023): sound and text in one space."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ezav.encoders.base import EncoderCard, MediaNeeds
from ezav.encoders.loading import load_pretrained, load_processor
from ezav.encoders.registry import Entry
from ezav.encoders.text_towers import PairedText
from ezav.encoders.towers import SoundEncoder, pooled

if TYPE_CHECKING:
    from torch import Tensor

AUDIO = EncoderCard(
    name="clap",
    kind="audio",
    dimension=512,
    needs=MediaNeeds(sample_rate=48_000),
    source="laion/clap-htsat-unfused",
    revision="8fa0f1c6d0433df6e97c127f64b2a1d6c0dcda8a",
    licence="Apache-2.0",
    trained_on=("LAION-Audio-630K", "AudioCaps", "Clotho"),
    space="clap",
    notes="one token a window of up to 10 s",
)
TEXT = AUDIO.but(kind="text", needs=MediaNeeds(), templates=("This is a sound of {}.",), notes="")


class ClapAudio(SoundEncoder):
    """The audio tower (HTSAT), projected into the shared space, unit length.

    A window shorter than 10 s is repeated to fill them, as in training. No window is longer: a
    fused checkpoint is asked without its fusion, which is for longer sounds.
    """

    longest = 10.0

    def __init__(self, card: EncoderCard, *arguments: Any, **options: Any) -> None:
        super().__init__(card, *arguments, **options)
        self._model = load_pretrained("ClapModel", self.source, device=self._device)
        self._extractor = load_processor("ClapFeatureExtractor", self.source)
        # Of what is longer the extractor takes a random part.
        self._window = min(self._window, self._extractor.nb_max_samples / self._rate)
        self._learn_dimension(self._model.config.projection_dim)

    def _embed(self, batch: list[Any]) -> Tensor:
        import torch

        inputs = self._extractor(batch, sampling_rate=self._rate, return_tensors="pt")
        return pooled(
            self._model.get_audio_features(
                input_features=inputs["input_features"].to(self._device),
                # The extractor would call one of the batch longer, drawn at random.
                is_longer=torch.zeros(len(batch), 1, dtype=torch.bool, device=self._device),
            )
        )


class ClapText(PairedText):
    """The text tower (RoBERTa) with prompts, projected into the shared space."""

    _class = "ClapModel"
    _reserved = 2  # RoBERTa's positions begin after the padding index


ENCODERS = (Entry(AUDIO, ClapAudio), Entry(TEXT, ClapText))
