"""Frames and spectrogram as small pictures inside the page: no file is written."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray

from ezav.encoders.mel import mel_filterbank, power_spectrogram
from ezav.media import Frames, Waveform

_BANDS, _SIZE, _HEIGHT, _WIDTH = 64, 1024, 96, 640
_RANGE = 70.0
"""Decibels from the loudest point down to black."""


def frame_uris(frames: Frames) -> list[str]:
    """Each frame as a JPEG data URI."""
    return [_uri(image, "JPEG", quality=80) for image in frames.images]


def spectrogram_uri(sound: Waveform, duration: float) -> str:
    """A log-mel spectrogram of the whole clip as a PNG data URI, low tones at the bottom.

    Args:
        sound: any sample rate.
        duration: seconds of the clip; the picture spans all of it, black where there is no sound.
    """
    return _uri(_colours(spectrogram(sound, duration)), "PNG", optimize=True)


def spectrogram(sound: Waveform, duration: float) -> NDArray[np.float64]:
    """Loudness `[96, 640]` in 0 … 1 of decibels, high tones first, over the whole clip.

    Example:
        >>> tone = np.sin(2 * np.pi * 440 * np.arange(16000) / 16000).astype(np.float32)
        >>> picture = spectrogram(Waveform(tone, 16000), 2.0)
        >>> bool(picture[:, :300].max() == 1.0), bool(picture[:, 340:].max() == 0.0)
        (True, True)
    """
    hop = max(1, round(max(duration, 0.05) * sound.sample_rate / _WIDTH))
    window = min(_SIZE, max(hop, 400))
    lead = round(sound.start * sound.sample_rate)
    samples = np.concatenate([np.zeros(lead, np.float32), sound.samples])
    power = power_spectrogram(samples, window, hop, _SIZE)[:_WIDTH]
    filters = mel_filterbank(sound.sample_rate, _SIZE, _BANDS, 50.0, sound.sample_rate / 2)
    decibels = 10 * np.log10(power @ filters + 1e-10)
    loud = np.clip(1 + (decibels - decibels.max()) / _RANGE, 0, 1)
    if decibels.max() <= -99:
        loud = np.zeros_like(loud)
    whole = np.zeros((_WIDTH, _BANDS))
    whole[: len(loud)] = loud
    rows = np.linspace(_BANDS - 1, 0, _HEIGHT).round().astype(int)
    return np.asarray(whole.T[rows])


def _colours(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    from matplotlib import colormaps

    return (colormaps["magma"](values)[..., :3] * 255).astype(np.uint8)


def _uri(image: NDArray[np.uint8], kind: str, **options: int | bool) -> str:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image).save(file, kind, **options)
    data = base64.b64encode(file.getvalue()).decode("ascii")
    return f"data:image/{kind.lower()};base64,{data}"
