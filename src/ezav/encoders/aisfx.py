"""aiSFX (Ma and Lerch, ISMIR 2022), trained on sound-effects libraries: the default for sound.

The weights come from a pinned package, or from its wheel; none of its code is used.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from ezav.encoders.base import EncoderCard, MediaNeeds
from ezav.encoders.identity import identity
from ezav.encoders.labelled import Classifier
from ezav.encoders.mel import hertz_filterbank, power_spectrogram
from ezav.encoders.overlap import known_labels
from ezav.encoders.packaged import Packaged, read_packaged
from ezav.encoders.registry import Entry
from ezav.encoders.towers import SoundEncoder
from ezav.encoders.weights import fill
from ezav.media.clip import Waveform

if TYPE_CHECKING:
    from torch import Tensor

WEIGHTS = Packaged(
    package="aisfx",
    version="0.1.2",
    wheel_sha256="bfe219950715af179e9a1653e7117cc1852baef267cd6596c42cad74afe1d194",
    file="aisfx/models/checkpoint.pth",
    sha256="499ea75909c932a2f94c35fa722fa4fabc5bcb7e84917209cc5f7402627b7eb5",
    tensors_sha256="b635bc2a31d32984432bf92a1ac0f96febeab0213f30659ae5982f9e5b41df6b",
)
_WINDOW, _HOP, _BANDS = 2048, 1024, 96
_BLOCK, _STEP = 100, 50
"""Frames of a block, and from one to the next."""
_LOUDEST = 9.457798957824707
"""The largest value of the authors' training data: scales the spectrogram to 0…1."""
_CLASSIFIER = "fc.0."
"""Of the nine classifiers that of the first library. Its labels are read (`labels/README.md`)."""
AUDIO = EncoderCard(
    name="aisfx",
    kind="audio",
    dimension=512,
    needs=MediaNeeds(sample_rate=44_100),
    source=WEIGHTS.requirement,
    revision=WEIGHTS.revision,
    licence="CC-BY-4.0",
    attribution=(
        "aiSFX, Alison B. Ma and Alexander Lerch, Representation Learning for the Automatic "
        "Indexing of Sound Effects Libraries (ISMIR 2022)"
    ),
    trained_on=(
        "UCS",
        "nine commercial sound-effects libraries (Pro Sound Effects, Soundly, UCS mix, Soundstorm, "
        "Hollywood Edge and Sound Ideas series)",
    ),
    label_set="UCS",
    broad_labels=True,
    notes="a block of 2.3 s every 1.16 s; knows 78 categories of sound effects",
    identity=identity(
        {"weights": WEIGHTS.sha256},
        {"mel": [_WINDOW, _HOP, _BANDS], "blocks": [_BLOCK, _STEP], "loudest": _LOUDEST},
    ),
)
_AT_ONCE = 1024
"""Frames of the spectrum at a time: long sound would need much memory otherwise."""


def log_mel(samples: np.ndarray, sample_rate: int = 44_100) -> np.ndarray:
    """The network's input, float32 `[L, 96]`: a row every 1,024 samples, centred there.

    Independent of the level: the samples are divided by their peak.

    Example:
        >>> tone = np.sin(2 * np.pi * 441 * np.arange(44_100) / 44_100).astype(np.float32)
        >>> log_mel(tone).shape, bool(np.allclose(log_mel(tone), log_mel(tone / 8), atol=1e-6))
        ((44, 96), True)
    """
    peak = float(np.abs(samples).max(initial=0.0)) or 1.0
    half = _WINDOW // 2
    padded = np.pad(samples.astype(np.float32) / np.float32(peak), half, mode="reflect")
    count = 1 + (len(padded) - _WINDOW) // _HOP
    filters = hertz_filterbank(sample_rate, _WINDOW, _BANDS, 0.0, sample_rate / 2)
    rows = []
    for start in range(0, count, _AT_ONCE):
        stop = min(start + _AT_ONCE, count)
        part = padded[start * _HOP : (stop - 1) * _HOP + _WINDOW]
        power = power_spectrogram(part, _WINDOW, _HOP, _WINDOW) @ filters
        rows.append(np.log10(1.0 + 10_000.0 * power) / np.float32(_LOUDEST))
    return np.concatenate(rows)


class AisfxAudio(Classifier, SoundEncoder):
    """A token for a block of 2.3 s, a block every 1.16 s.

    Shorter sound is padded with silence; at the end, less than half a step is left out.

    Args:
        card: the default card.
        device, precision, batch_size: see :class:`ezav.encoders.towers.Neural`.

    Raises:
        UnavailableError: the weights are not on this machine.
        DamagedError: they are not the pinned ones.
    """

    longest = _BLOCK * _HOP / 44_100

    def __init__(
        self,
        card: EncoderCard = AUDIO,
        device: str = "cpu",
        precision: str = "float32",
        batch_size: int = 4,
    ) -> None:
        super().__init__(card, device=device, precision=precision, batch_size=batch_size)
        from ezav.encoders.aisfx_network import AiSFX, classifier

        weights, source = read_packaged(WEIGHTS), WEIGHTS.requirement
        net = {name: value for name, value in weights.items() if not name.startswith("fc.")}
        self._net = fill(AiSFX, net, source, "aiSFX").fold().to(self._device)
        self.labels = known_labels("UCS", synonyms=True)
        head = {
            name.removeprefix(_CLASSIFIER): value
            for name, value in weights.items()
            if name.startswith(_CLASSIFIER)
        }
        layers = functools.partial(classifier, card.dimension, len(self.labels))
        self._head = fill(layers, head, source, "aiSFX").to(self._device)

    def _open(self, card: EncoderCard, source: Any, revision: Any) -> EncoderCard:
        return card  # the pinned weights and no others

    def _windows(self, clip: Waveform) -> list[tuple[np.ndarray, float]]:
        """Blocks `[100, 96]` of the log-mel spectrogram, and their middles in seconds."""
        rows = log_mel(clip.samples, self._rate)
        count = 1 + max(0, round((len(rows) - _BLOCK) / _STEP))
        blocks = []
        for i in range(count):
            block = rows[i * _STEP : i * _STEP + _BLOCK]
            end = min((i * _STEP + len(block)) * _HOP / self._rate, clip.duration)
            middle = clip.start + (i * _STEP * _HOP / self._rate + end) / 2
            blocks.append((np.pad(block, ((0, _BLOCK - len(block)), (0, 0))), middle))
        return blocks

    def _embed(self, batch: list[Any]) -> Tensor:
        import torch

        embedded: Tensor = self._net(torch.from_numpy(np.stack(batch)).to(self._device))
        return embedded

    def _classify(self, tokens: Tensor) -> Tensor:
        logits: Tensor = self._head(tokens)
        return logits


ENCODERS = (Entry(AUDIO, AisfxAudio, WEIGHTS),)
