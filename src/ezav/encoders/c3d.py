"""C3D (Tran et al., ICCV 2015): 3-D convolutions over 16 frames, trained on Sports-1M.

The network is written out here; the weights are a local file with the authors' layer names
(`conv1a` … `fc6-1`, `fc7-1`, as in their Caffe model) or those of the PyTorch conversions
(`conv1`, `conv2`, `conv3a` …, `fc6`, `fc7`). No weights are distributed with this package.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ezav.encoders.base import EncoderCard, MediaNeeds
from ezav.encoders.loading import UNPINNED
from ezav.encoders.pictures import Preprocessing
from ezav.encoders.registry import Entry
from ezav.encoders.towers import VideoEncoder
from ezav.encoders.weights import FromFile, fill, read_weights
from ezav.errors import EzavError

if TYPE_CHECKING:
    from torch import Tensor, nn

VISUAL = EncoderCard(
    name="c3d",
    kind="visual",
    dimension=4096,
    needs=MediaNeeds(fps=16, short_side=128),
    source="https://vlg.cs.dartmouth.edu/c3d",
    revision=UNPINNED,
    licence="BSD (code; the weights carry no licence of their own)",
    trained_on=("Sports-1M",),
    notes="one token a window of 16 frames (1 s at 16 a second); source= a local weight file",
)
_LAYERS = ("fc6", "fc7")
_CONVOLUTIONS = ("conv1", "conv2", "conv3a", "conv3b", "conv4a", "conv4b", "conv5a", "conv5b")
# The authors' names: the conversions'.
_CAFFE = {"conv1a": "conv1", "conv2a": "conv2", "fc6-1": "fc6", "fc7-1": "fc7", "fc8-1": "fc8"}
_UNITS = (64, 128, 256, 256, 512, 512, 512, 512)
_SIZE, _CROP = (128, 171), (112, 112)
_MEAN_BGR = (90.0, 98.0, 102.0)


def c3d_network(units: tuple[int, ...] = _UNITS, hidden: int = 4096) -> nn.Module:
    """The network up to `fc7`, with the parameter names of the published weights.

    Args:
        units: channels of the eight convolutions; the published ones by default.
        hidden: units of `fc6` and `fc7`.
    """
    from torch import nn

    net = nn.Module()
    before = 3
    for name, after in zip(_CONVOLUTIONS, units):
        net.add_module(name, nn.Conv3d(before, after, kernel_size=3, padding=1))
        before = after
    net.add_module("fc6", nn.Linear(before * 4 * 4, hidden))  # 1 × 4 × 4 after the last pooling
    net.add_module("fc7", nn.Linear(hidden, hidden))
    return net


def c3d_features(net: Any, clips: Tensor, layer: str) -> Tensor:
    """Activations `[B, hidden]` after the ReLU of `fc6` or `fc7`, of clips `[B, 3, 16, 112, 112]`.

    Example:
        >>> import torch
        >>> net = c3d_network((1,) * 8, hidden=5)
        >>> c3d_features(net, torch.zeros(2, 3, 16, 112, 112), "fc6").shape
        torch.Size([2, 5])
    """
    from torch.nn.functional import max_pool3d, relu

    x = max_pool3d(relu(net.conv1(clips)), (1, 2, 2))  # the first pooling keeps all frames
    x = max_pool3d(relu(net.conv2(x)), 2)
    x = max_pool3d(relu(net.conv3b(relu(net.conv3a(x)))), 2)
    x = max_pool3d(relu(net.conv4b(relu(net.conv4a(x)))), 2)
    # 7 × 7 becomes 4 × 4: Caffe rounds up, so the last row and column are pooled alone. (Some
    # conversions pad on both sides instead, which shifts every window by a pixel.)
    x = max_pool3d(relu(net.conv5b(relu(net.conv5a(x)))), 2, ceil_mode=True)
    x = relu(net.fc6(x.flatten(1)))
    return x if layer == "fc6" else relu(net.fc7(x))


class C3dVisual(FromFile, VideoEncoder):
    """C3D's activations; frames are resized to 128 × 171 and the centre 112 × 112 is read.

    Args:
        card: the default card.
        source: a local weight file (`.safetensors`, or a torch file of plain tensors).
        layer: "fc6" (the authors' feature) or "fc7".
        bgr: channel order of the weights: True as in the authors' Caffe model.
        mean: subtracted from the channels, in that order: the average of the authors' mean cube.

    Raises:
        EzavError: no such file, weights that do not fit, or an unknown layer.
    """

    _length = 16

    def __init__(
        self,
        card: EncoderCard,
        source: str | Path | None = None,
        revision: str | None = None,
        layer: str = "fc6",
        bgr: bool = True,
        mean: tuple[float, float, float] = _MEAN_BGR,
        **options: Any,
    ) -> None:
        if layer not in _LAYERS:
            raise EzavError(f"C3D has no layer '{layer}'", f"there are {', '.join(_LAYERS)}")
        self._layer, self._bgr, self._mean = layer, bgr, mean
        super().__init__(card, source, revision, **options)
        weights = {_name(k): v for k, v in read_weights(self.path).items()}
        # The classifier of 487 sports is not used.
        weights = {k: v for k, v in weights.items() if not k.startswith("fc8.")}
        biases = [weights.get(f"{name}.bias", ()) for name in (*_CONVOLUTIONS, "fc6")]
        sizes = [len(bias) for bias in biases]
        known = all(sizes)
        make = partial(c3d_network, tuple(sizes[:-1]), sizes[-1]) if known else c3d_network
        self._net = fill(make, weights, self.path, "C3D").to(self._device)
        self._learn_dimension(self._net.fc6.out_features)

    def _prescribed(self) -> Preprocessing:
        mean = self._mean[::-1] if self._bgr else self._mean
        return Preprocessing(exact=_SIZE, crop=_CROP, factor=1.0, mean=mean)

    def _prepared(self) -> Mapping[str, Any]:
        return {**asdict(self._preprocessing), "layer": self._layer, "bgr": self._bgr}

    def _embed(self, batch: list[Tensor]) -> Tensor:
        clips = self._stacked(batch).transpose(1, 2)  # [B, 16, 3, …] -> [B, 3, 16, …]
        if self._bgr:
            clips = clips.flip(1)
        return c3d_features(self._net, clips, self._layer)


def _name(key: str) -> str:
    layer, _, rest = key.partition(".")
    return f"{_CAFFE.get(layer, layer)}.{rest}"


ENCODERS = (Entry(VISUAL, C3dVisual),)
