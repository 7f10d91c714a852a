"""Speech networks whose hidden states follow the sound in time: wav2vec 2.0, WavLM, Whisper.

Each token is the mean of the hidden states of about a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ezav.encoders.base import Encoded, EncoderCard, MediaNeeds, check_sample_rate
from ezav.encoders.loading import load_pretrained, load_processor
from ezav.encoders.registry import Entry
from ezav.encoders.towers import SoundEncoder
from ezav.errors import EzavError
from ezav.media.clip import Waveform

WAV2VEC2 = EncoderCard(
    name="wav2vec2",
    kind="audio",
    dimension=768,
    needs=MediaNeeds(sample_rate=16_000),
    source="facebook/wav2vec2-base-960h",
    revision="22aad52d435eb6dbaf354bdad9b0da84ce7d6156",
    licence="Apache-2.0",
    trained_on=("LibriSpeech",),
    notes="one token a second; made for speech",
)
WAVLM = WAV2VEC2.but(
    name="wavlm",
    source="microsoft/wavlm-base-plus",
    revision="4c66d4806a428f2e922ccfa1a962776e232d487b",
    licence="MIT (code; the weights carry no licence of their own)",
    trained_on=("Libri-Light", "GigaSpeech", "VoxPopuli"),
)
WHISPER = WAV2VEC2.but(
    name="whisper",
    dimension=512,
    source="openai/whisper-base",
    revision="e37978b90ca9030d5170a5c07aadb050351a65bb",
    licence="Apache-2.0",
    trained_on=("680,000 hours of web speech (not published)",),
    notes="one token a second, from the encoder; made for speech",
)


class _HiddenStates(SoundEncoder):
    """Means of hidden states over `token` seconds.

    Args:
        token: seconds of sound a token describes; 1 by default.
    """

    def __init__(
        self,
        card: EncoderCard,
        source: str | Path | None = None,
        revision: str | None = None,
        token: float = 1.0,
        **options: Any,
    ) -> None:
        super().__init__(card, source, revision, **options)
        if not 0 < token <= self._window:
            raise EzavError(f"a token of {token} seconds", f"give up to {self._window} seconds")
        self._token = token

    def encode(self, clips: Sequence[Waveform]) -> list[Encoded]:
        """Tokens `[T, d]` of each clip, T its duration over `token`, at their middles.

        Raises:
            EzavError: a waveform has another sample rate than the card asks for.
        """
        encoded = []
        for clip in clips:
            check_sample_rate(clip, self._rate)
            values, times = [], []
            # Window by window: these networks are not indifferent to padding.
            for samples, middle in self._windows(clip):
                states = self._run([samples])[0]
                seconds = len(samples) / self._rate
                count = min(max(1, round(seconds / self._token)), len(states))
                parts = np.array_split(states, count)
                values += [part.mean(axis=0) for part in parts]
                step = seconds / count
                times += [middle - seconds / 2 + (i + 0.5) * step for i in range(count)]
            encoded.append(Encoded(np.stack(values), np.asarray(times, dtype=np.float32)))
        return encoded


class Wav2Vec2Audio(_HiddenStates):
    """wav2vec 2.0 (Baevski et al., NeurIPS 2020), the last layer."""

    longest = 30.0
    _class = "Wav2Vec2Model"

    def __init__(self, card: EncoderCard, *arguments: Any, **options: Any) -> None:
        super().__init__(card, *arguments, **options)
        self._model = load_pretrained(
            self._class,
            self.source,
            device=self._device,
            ignore=("lm_head.", "quantizer.", "project_q.", "project_hid."),
            unused=("masked_spec_embed",),  # only for training with masks
        )
        self._extractor = load_processor("Wav2Vec2FeatureExtractor", self.source)
        kernels, strides = self._model.config.conv_kernel, self._model.config.conv_stride
        self._fewest = _receptive_field(kernels, strides)
        self._learn_dimension(self._model.config.hidden_size)

    def _embed(self, batch: list[Any]) -> Any:
        # A shorter piece than the first layers see at once is padded with silence.
        padded = [np.pad(b, (0, max(0, self._fewest - len(b)))) for b in batch]
        inputs = self._extractor(padded, sampling_rate=self._rate, return_tensors="pt")
        return self._model(inputs["input_values"].to(self._device)).last_hidden_state


class WavLmAudio(Wav2Vec2Audio):
    """WavLM (Chen et al. 2022), the last layer."""

    _class = "WavLMModel"


class WhisperAudio(_HiddenStates):
    """The encoder of Whisper (Radford et al., ICML 2023), the last layer."""

    longest = 30.0

    def __init__(self, card: EncoderCard, *arguments: Any, **options: Any) -> None:
        super().__init__(card, *arguments, **options)
        model = load_pretrained("WhisperModel", self.source, device=self._device)
        self._model = model.get_encoder()
        self._extractor = load_processor("WhisperFeatureExtractor", self.source)
        self._learn_dimension(model.config.d_model)

    def _embed(self, batch: list[Any]) -> Any:
        (samples,) = batch
        inputs = self._extractor(samples, sampling_rate=self._rate, return_tensors="pt")
        states = self._model(inputs["input_features"].to(self._device)).last_hidden_state
        # The input is padded to 30 s; only states of real sound are kept.
        share = len(samples) / (self._extractor.n_samples)
        return states[:, : max(1, round(share * states.shape[1]))]


def _receptive_field(kernels: Sequence[int], strides: Sequence[int]) -> int:
    """Samples that a stack of convolutions needs for one output."""
    field = 1
    for kernel, stride in zip(reversed(kernels), reversed(strides)):
        field = (field - 1) * stride + kernel
    return field


ENCODERS = (Entry(WAV2VEC2, Wav2Vec2Audio), Entry(WAVLM, WavLmAudio), Entry(WHISPER, WhisperAudio))
