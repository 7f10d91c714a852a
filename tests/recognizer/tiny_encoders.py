"""A user's own encoders, by import path: the mean colour, and how loud each band is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ezav.encoders.base import Encoded, EncoderCard, MediaNeeds
from ezav.media import Frames, Waveform

if TYPE_CHECKING:
    from torch import Tensor

STEP = 0.5
"""Seconds a token."""


class Colour:
    card = EncoderCard(
        name="tests.recognizer.tiny_encoders:Colour",
        kind="visual",
        dimension=3,
        needs=MediaNeeds(fps=4.0, short_side=32),
        source="here",
        revision="1",
        licence="MIT",
    )

    def encode(self, clips: Sequence[Frames]) -> list[Encoded]:
        found = []
        for clip in clips:
            values = clip.images.mean(axis=(1, 2), dtype=np.float32) / 255
            found.append(Encoded(values, clip.times.astype(np.float32)))
        return found


class Bands:
    card = EncoderCard(
        name="tests.recognizer.tiny_encoders:Bands",
        kind="audio",
        dimension=16,
        needs=MediaNeeds(sample_rate=8000),
        source="here",
        revision="1",
        licence="MIT",
    )

    def encode(self, clips: Sequence[Waveform]) -> list[Encoded]:
        found = []
        for clip in clips:
            size = round(STEP * clip.sample_rate)
            count = max(1, len(clip) // size)
            padded = np.zeros(count * size, np.float32)
            padded[: len(clip)] = clip.samples[: count * size]
            power = np.abs(np.fft.rfft(padded.reshape(count, size), axis=1)) ** 2
            # Bands of 100 Hz up to 1600 Hz: one hum in each of every other one.
            width = round(100 * STEP)
            bands = power[:, : 16 * width].reshape(count, 16, width).sum(axis=2)
            times = clip.start + (np.arange(count) + 0.5) * STEP
            found.append(Encoded(np.log10(bands + 1).astype(np.float32), times.astype(np.float32)))
        return found


class PlacedColour(Colour):
    """With a device to run on."""

    def __init__(self, device: str = "cpu") -> None:
        self.device = device


class Fixed:
    """A text encoder with a prompt of its own and no option for others."""

    card = EncoderCard(
        name="fixed",
        kind="text",
        dimension=4,
        source="here",
        revision="1",
        licence="MIT",
        templates=("a sound of {}",),
    )

    def encode(self, names: Sequence[str]) -> Tensor:
        import torch  # not above: workers load this file too, and should start fast

        draws = [torch.Generator().manual_seed(sum(map(ord, name))) for name in names]
        rows = torch.stack([torch.randn(4, generator=draw) for draw in draws])
        return torch.nn.functional.normalize(rows, dim=1)
