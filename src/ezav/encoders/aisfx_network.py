"""The network of aiSFX (Ma and Lerch, ISMIR 2022): eight convolutions over log-mel blocks.

Parameters have the names of the authors' checkpoint. Imports torch: only a loaded encoder
imports this file.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from ezav.encoders.folding import fold

CHANNELS = (64, 128, 256, 512)
HIDDEN = (256, 128)
"""Of a classifier."""


class _ConvBlock(nn.Module):
    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.bn2 = nn.BatchNorm2d(after)

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn1(self.conv1(x)).relu_()
        out: Tensor = self.bn2(self.conv2(x)).relu_()
        return out

    def fold(self) -> None:
        """See :func:`ezav.encoders.folding.fold`."""
        fold(self, "conv1", "bn1")
        fold(self, "conv2", "bn2")


class _Embedding(nn.Module):
    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__()
        for i, (before, after) in enumerate(zip((1, *channels), channels), start=1):
            self.add_module(f"conv_block{i}", _ConvBlock(before, after))

    def forward(self, blocks: Tensor) -> Tensor:
        *pooled, last = self.children()
        x = blocks[:, None]
        for block in pooled:
            x = max_pool2d(block(x), 2)
        maps: Tensor = last(x)
        return maps.mean(dim=3).amax(dim=2)  # mean over frequency, the loudest moment of each


def classifier(dim: int, labels: int, hidden: tuple[int, ...] = HIDDEN) -> nn.Sequential:
    """One of the classifiers behind the network: embeddings `[B, dim]` to logits `[B, labels]`.

    Example:
        >>> classifier(4, 3, hidden=(8, 8))(torch.zeros(2, 4)).shape
        torch.Size([2, 3])
    """
    layers: list[nn.Module] = []
    for before, after in zip((dim, *hidden), (*hidden, labels)):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class AiSFX(nn.Module):
    """Scaled log-mel blocks `[B, 100, 96]` (time, band) to embeddings `[B, 512]`.

    Example:
        >>> AiSFX((1, 2, 3, 4)).eval()(torch.zeros(2, 100, 96)).shape
        torch.Size([2, 4])
    """

    def __init__(self, channels: tuple[int, ...] = CHANNELS) -> None:
        super().__init__()
        self.embedding_net = _Embedding(channels)

    def forward(self, blocks: Tensor) -> Tensor:
        embedded: Tensor = self.embedding_net(blocks)
        return embedded

    def fold(self) -> AiSFX:
        """Every batch norm into the convolution before it: the same function, faster."""
        for block in self.embedding_net.children():
            assert isinstance(block, _ConvBlock)
            block.fold()
        # torch declares no such overload of Module.to.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return self
