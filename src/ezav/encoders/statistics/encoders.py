"""The built-in statistics encoders: no download, numpy only, deterministic, safe after a fork."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ezav.encoders.base import (
    Encoded,
    EncoderCard,
    MediaNeeds,
    check_sample_rate,
)
from ezav.encoders.identity import identity
from ezav.encoders.registry import Entry
from ezav.encoders.statistics import audio, visual
from ezav.media.clip import Frames, Waveform

_SOURCE = "ezav (computed, nothing is learned)"

VISUAL = EncoderCard(
    name="statistics",
    kind="visual",
    dimension=visual.DIMENSION,
    needs=MediaNeeds(fps=12.0, short_side=visual.CANVAS),
    source=_SOURCE,
    revision=visual.VERSION,
    licence="MIT",
    notes="colour, gradient, shape and motion statistics, a token every half second",
    identity=identity({}, {"statistics": ["visual", visual.VERSION]}),
)
AUDIO = EncoderCard(
    name="statistics",
    kind="audio",
    dimension=audio.DIMENSION,
    needs=MediaNeeds(sample_rate=audio.SAMPLE_RATE),
    source=_SOURCE,
    revision=audio.VERSION,
    licence="MIT",
    notes="log-mel, MFCC, spectral and modulation statistics, a token every half second",
    identity=identity({}, {"statistics": ["audio", audio.VERSION]}),
)


class StatisticsVisual:
    """Colour, gradient, shape and motion statistics of half-second windows.

    See :mod:`ezav.encoders.statistics.visual`.

    Example:
        >>> clip = Frames(np.zeros((12, 64, 64, 3), np.uint8), np.arange(12) / 12)
        >>> values, times = StatisticsVisual().encode([clip])[0]
        >>> values.shape == (2, VISUAL.dimension), [f"{t:.2f}" for t in times]
        (True, ['0.21', '0.71'])
    """

    def __init__(self, card: EncoderCard = VISUAL) -> None:
        self.card = card

    def encode(self, clips: Sequence[Frames]) -> list[Encoded]:
        """Tokens `[T, d]` of each clip, T about two a second."""
        return [Encoded(*visual.describe(c.images, c.times)) for c in clips]


class StatisticsAudio:
    """Log-mel, MFCC, spectral and modulation statistics of one-second windows.

    See :mod:`ezav.encoders.statistics.audio`.

    Example:
        >>> clip = Waveform(np.zeros(32000, np.float32), 16000)
        >>> values, times = StatisticsAudio().encode([clip])[0]
        >>> values.shape == (3, AUDIO.dimension), times.tolist()
        (True, [0.5, 1.0, 1.5])
    """

    def __init__(self, card: EncoderCard = AUDIO) -> None:
        self.card = card

    def encode(self, clips: Sequence[Waveform]) -> list[Encoded]:
        """Tokens `[T, d]` of each clip, T about two a second.

        Raises:
            EzavError: a waveform has another sample rate than the card asks for.
        """
        encoded = []
        for clip in clips:
            check_sample_rate(clip, audio.SAMPLE_RATE)
            values, times = audio.describe(clip.samples)
            encoded.append(Encoded(values, (times + clip.start).astype(np.float32)))
        return encoded


ENCODERS = (Entry(VISUAL, StatisticsVisual), Entry(AUDIO, StatisticsAudio))
