"""The network of EfficientNet-Lite0 (Tan and Le, ICML 2019, in its variant for small devices).

Parameters have the names of the published PyTorch conversion. Imports torch: only a loaded
encoder imports this file.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from ezav.encoders.folding import fold


class Stage(NamedTuple):
    """`repeats` inverted bottlenecks; the first has the `stride` and changes the channels."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    channels: int


LITE0 = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
_STEM, _HEAD, _LABELS = 32, 1280, 1000
_EPSILON = 1e-3


class _SameConv(nn.Conv2d):
    """Padded as TensorFlow's "same": where the padding is odd, one pixel more right and below."""

    def __init__(self, before: int, after: int, kernel: int, stride: int = 1, groups: int = 1):
        # An odd kernel at stride 1 is padded evenly, which the convolution does by itself.
        even = kernel // 2 if stride == 1 else 0
        super().__init__(before, after, kernel, stride, padding=even, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        if stride > 1:
            height, width = (
                max((-(-size // stride) - 1) * stride + kernel - size, 0) for size in x.shape[2:]
            )
            x = pad(x, (width // 2, width - width // 2, height // 2, height - height // 2))
        return super().forward(x)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=_EPSILON)


class _Bottleneck(nn.Module):
    """Expand, a convolution of each channel, project; added to the input where the shapes agree."""

    def __init__(self, before: int, after: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = before * expansion
        self.expands = expansion > 1
        if self.expands:
            self._expand_conv = _SameConv(before, wide, 1)
            self._bn0 = _norm(wide)
        self._depthwise_conv = _SameConv(wide, wide, kernel, stride, groups=wide)
        self._bn1 = _norm(wide)
        self._project_conv = _SameConv(wide, after, 1)
        self._bn2 = _norm(after)
        self.adds = stride == 1 and before == after

    def forward(self, x: Tensor) -> Tensor:
        y = x
        if self.expands:
            y = self._bn0(self._expand_conv(y)).clamp_(0, 6)
        y = self._bn1(self._depthwise_conv(y)).clamp_(0, 6)
        y = self._bn2(self._project_conv(y))
        out: Tensor = y.add_(x) if self.adds else y
        return out

    def fold(self) -> None:
        """See :func:`ezav.encoders.folding.fold`."""
        if self.expands:
            fold(self, "_expand_conv", "_bn0")
        fold(self, "_depthwise_conv", "_bn1")
        fold(self, "_project_conv", "_bn2")


class EfficientNetLite(nn.Module):
    """Pictures `[B, 3, H, W]` to features `[B, 1280]`, and those to the logits of 1,000 labels.

    Example:
        >>> net = EfficientNetLite().eval()
        >>> features = net(torch.zeros(1, 3, 64, 64))
        >>> features.shape, net.classify(features).shape
        (torch.Size([1, 1280]), torch.Size([1, 1000]))
    """

    def __init__(self, stages: tuple[Stage, ...] = LITE0) -> None:
        super().__init__()
        self._conv_stem = _SameConv(3, _STEM, 3, stride=2)
        self._bn0 = _norm(_STEM)
        blocks: list[nn.Module] = []
        before = _STEM
        for stage in stages:
            for i in range(stage.repeats):
                stride = stage.stride if i == 0 else 1
                blocks.append(
                    _Bottleneck(before, stage.channels, stage.kernel, stride, stage.expansion)
                )
                before = stage.channels
        self._blocks = nn.ModuleList(blocks)
        self._conv_head = _SameConv(before, _HEAD, 1)
        self._bn1 = _norm(_HEAD)
        self._fc = nn.Linear(_HEAD, _LABELS)

    def forward(self, pictures: Tensor) -> Tensor:
        x = self._bn0(self._conv_stem(pictures)).clamp_(0, 6)
        for block in self._blocks:
            x = block(x)
        features: Tensor = self._bn1(self._conv_head(x)).clamp_(0, 6).mean(dim=(2, 3))
        return features

    def classify(self, features: Tensor) -> Tensor:
        """Logits `[B, 1000]` of features `[B, 1280]`."""
        logits: Tensor = self._fc(features)
        return logits

    def fold(self) -> EfficientNetLite:
        """Every batch norm into the convolution before it: the same function, faster."""
        fold(self, "_conv_stem", "_bn0")
        for block in self._blocks:
            assert isinstance(block, _Bottleneck)
            block.fold()
        fold(self, "_conv_head", "_bn1")
        # torch declares no such overload of Module.to.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return self
