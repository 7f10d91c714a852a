"""VGGish (Hershey et al., ICASSP 2017): a VGG over log-mel patches of 0.96 s.

The network is written out here; the weights are a local file with the names of the PyTorch
conversion of the authors' checkpoint (`features.0.weight` … `embeddings.4.bias`). No weights are
distributed with this package. The PCA and 8-bit quantisation of AudioSet's release are not
applied: the features are the 128 activations.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ezav.encoders.base import EncoderCard, MediaNeeds
from ezav.encoders.loading import UNPINNED
from ezav.encoders.mel import mel_filterbank, power_spectrogram
from ezav.encoders.registry import Entry
from ezav.encoders.towers import SoundEncoder
from ezav.encoders.weights import FromFile, fill, read_weights
from ezav.media.clip import Waveform

if TYPE_CHECKING:
    from torch import Tensor, nn

AUDIO = EncoderCard(
    name="vggish",
    kind="audio",
    dimension=128,
    needs=MediaNeeds(sample_rate=16_000),
    source="https://github.com/tensorflow/models/tree/master/research/audioset/vggish",
    revision=UNPINNED,
    licence="Apache-2.0",
    trained_on=("YouTube-100M (not published)",),
    notes="one token every 0.96 s; source= a local weight file",
)
_BANDS, _FRAMES = 64, 96
_WINDOW, _HOP, _FFT = 400, 160, 512  # 25 ms every 10 ms
_LOW, _HIGH, _OFFSET = 125.0, 7500.0, 0.01
_UNITS = (64, 128, 256, 256, 512, 512)
_POOLED_AFTER = (0, 1, 3, 5)  # convolutions that a pooling follows


def log_mel_patch(samples: np.ndarray) -> np.ndarray:
    """`log(mel + 0.01)` of magnitudes, float32 `[96, 64]`, of up to 0.98 s at 16 kHz.

    Shorter sound is padded with silence.

    Example:
        >>> log_mel_patch(np.zeros(8000, dtype=np.float32)).max().round(3)
        np.float32(-4.605)
    """
    size = (_FRAMES - 1) * _HOP + _WINDOW
    padded = np.zeros(size, dtype=np.float32)
    padded[: len(samples)] = samples[:size]
    magnitude = np.sqrt(power_spectrogram(padded, _WINDOW, _HOP, _FFT))
    mel = magnitude @ mel_filterbank(16_000, _FFT, _BANDS, _LOW, _HIGH)
    patch: np.ndarray = np.log(mel + np.float32(_OFFSET))
    return patch


def vggish_network(
    units: tuple[int, ...] = _UNITS, hidden: int = 4096, dimension: int = 128
) -> nn.Module:
    """The network, with the parameter names of the published conversion.

    Args:
        units: channels of the six convolutions; the published ones by default.
        hidden: units of the first two linear layers.
        dimension: units of the last.
    """
    from torch import nn

    layers: list[nn.Module] = []
    before = 1
    for i, after in enumerate(units):
        layers += [nn.Conv2d(before, after, kernel_size=3, padding=1), nn.ReLU()]
        if i in _POOLED_AFTER:
            layers.append(nn.MaxPool2d(2))
        before = after
    net = nn.Module()
    net.add_module("features", nn.Sequential(*layers))
    sizes = (before * (_FRAMES // 16) * (_BANDS // 16), hidden, hidden, dimension)
    linear: list[nn.Module] = []
    for size, after in pairwise(sizes):
        linear += [nn.Linear(size, after), nn.ReLU()]
    net.add_module("embeddings", nn.Sequential(*linear))
    return net


def vggish_features(net: Any, patches: Tensor) -> Tensor:
    """Embeddings `[B, dimension]` of log-mel patches `[B, 96, 64]`, after the last ReLU.

    Example:
        >>> import torch
        >>> vggish_features(vggish_network((1,) * 6, 4, 3), torch.zeros(2, 96, 64)).shape
        torch.Size([2, 3])
    """
    maps = net.features(patches[:, None])
    # The authors' network keeps channels last: flattened in the order time, band, channel.
    embedded: Tensor = net.embeddings(maps.permute(0, 2, 3, 1).flatten(1))
    return embedded


class VggishAudio(FromFile, SoundEncoder):
    """One embedding for every 0.96 s of sound; less than half of that at the end is left out.

    Args:
        card: the default card.
        source: a local weight file (`.safetensors`, or a torch file of plain tensors).

    Raises:
        EzavError: no such file, or weights that do not fit.
    """

    longest = 0.96

    def __init__(
        self,
        card: EncoderCard,
        source: str | Path | None = None,
        revision: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(card, source, revision, **options)
        weights = read_weights(self.path)
        # Some files carry the PCA of AudioSet's release as well.
        weights = {k: v for k, v in weights.items() if not k.startswith("pproc.")}
        biases = sorted((int(k.split(".")[1]), len(v)) for k, v in weights.items() if _is_bias(k))
        sizes = tuple(size for _, size in biases)
        linear = [len(weights.get(f"embeddings.{i}.bias", ())) for i in (0, 4)]
        fits = len(sizes) == len(_UNITS) and all(linear)
        make = partial(vggish_network, sizes, *linear) if fits else vggish_network
        self._net = fill(make, weights, self.path, "VGGish").to(self._device)
        self._learn_dimension(self._net.embeddings[4].out_features)

    def _prepared(self) -> Mapping[str, Any]:
        mel = [_BANDS, _FRAMES, _WINDOW, _HOP, _FFT]
        return {"mel": mel, "range": [_LOW, _HIGH], "offset": _OFFSET}

    def _windows(self, clip: Waveform) -> list[tuple[np.ndarray, float]]:
        hop = round(self._window * self._rate)
        count = max(1, round(len(clip.samples) / hop))
        pieces = []
        for i in range(count):
            # 15 ms of the next window complete the last frame, as in the authors' framing.
            piece = clip.samples[i * hop : i * hop + hop + _WINDOW - _HOP]
            heard = min(len(clip.samples) - i * hop, hop)
            pieces.append((piece, clip.start + (i * hop + heard / 2) / self._rate))
        return pieces

    def _embed(self, batch: list[np.ndarray]) -> Tensor:
        import torch

        patches = torch.from_numpy(np.stack([log_mel_patch(piece) for piece in batch]))
        return vggish_features(self._net, patches.to(self._device))


def _is_bias(key: str) -> bool:
    return key.startswith("features.") and key.endswith(".bias")


ENCODERS = (Entry(AUDIO, VggishAudio),)
