"""Spectrograms in plain numpy: power STFT, mel filterbank, DCT. No state, safe after a fork."""

from __future__ import annotations

from functools import cache

import numpy as np

from ezav.errors import EzavError


def power_spectrogram(samples: np.ndarray, window: int, hop: int, size: int) -> np.ndarray:
    """Squared STFT magnitude `[L, size // 2 + 1]` of mono `samples` `[S]`, Hann windows.

    Frames start every `hop` samples; the signal is padded with zeros on the right so that every
    sample is in a frame and there is at least one frame.

    Example:
        >>> tone = np.sin(2 * np.pi * 1000 * np.arange(1600) / 16000).astype(np.float32)
        >>> int(power_spectrogram(tone, 400, 160, 512)[2].argmax() * 16000 / 512)
        1000
    """
    count = max(1, 1 + -(-(len(samples) - window) // hop))
    padded = np.zeros((count - 1) * hop + window, dtype=np.float32)
    padded[: len(samples)] = samples[: len(padded)]
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop]
    spectrum = np.fft.rfft(frames * _hann(window), n=size, axis=1)
    return (spectrum.real**2 + spectrum.imag**2).astype(np.float32)


@cache
def _hann(window: int) -> np.ndarray:
    # The periodic Hann window: its shifted copies add up to a constant.
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)).astype(np.float32)


def hertz_to_mel(frequency: np.ndarray | float) -> np.ndarray:
    """The HTK mel scale, `2595 log10(1 + f / 700)`.

    Example:
        >>> hertz_to_mel(np.array([0.0, 700.0, 1000.0])).round(1).tolist()
        [0.0, 781.2, 1000.0]
    """
    return np.asarray(2595.0 * np.log10(1.0 + np.asarray(frequency) / 700.0))


def mel_to_hertz(mel: np.ndarray | float) -> np.ndarray:
    """The inverse of :func:`hertz_to_mel`.

    Example:
        >>> float(mel_to_hertz(hertz_to_mel(440.0)).round(6))
        440.0
    """
    return np.asarray(700.0 * (10.0 ** (np.asarray(mel) / 2595.0) - 1.0))


@cache
def mel_filterbank(sample_rate: int, size: int, bands: int, low: float, high: float) -> np.ndarray:
    """Triangular filters `[size // 2 + 1, bands]`, evenly spaced in mel between `low` and `high`.

    Each filter has peak height 1 (HTK). Triangles are drawn on the mel axis.

    Raises:
        EzavError: a band falls between two bins of the spectrum.

    Example:
        >>> filters = mel_filterbank(16000, 512, 40, 60.0, 7800.0)
        >>> filters.shape, bool((filters[:2] == 0).all())  # nothing is heard below 60 Hz
        ((257, 40), True)
        >>> mel_filterbank(16000, 512, 400, 60.0, 7800.0)
        Traceback (most recent call last):
        ezav.errors.EzavError: 400 mel bands are too many for 512-point spectra
    """
    bins = hertz_to_mel(np.arange(size // 2 + 1) * sample_rate / size)
    edges = np.linspace(hertz_to_mel(low), hertz_to_mel(high), bands + 2)
    step = edges[1] - edges[0]
    filters = np.maximum(0.0, 1.0 - np.abs(bins[:, None] - edges[None, 1:-1]) / step)
    if not filters.any(axis=0).all():
        raise EzavError(f"{bands} mel bands are too many for {size}-point spectra")
    weights: np.ndarray = filters.astype(np.float32)
    return weights


@cache
def hertz_filterbank(
    sample_rate: int, size: int, bands: int, low: float, high: float
) -> np.ndarray:
    """As :func:`mel_filterbank`, triangles drawn on the axis of frequency, each of sum 1.

    Raises:
        EzavError: a band falls between two bins of the spectrum.

    Example:
        >>> filters = hertz_filterbank(44_100, 2048, 96, 0.0, 22_050.0)
        >>> filters.shape, bool(np.allclose(filters.sum(axis=0), 1))
        ((1025, 96), True)
    """
    bins = np.arange(size // 2 + 1)[:, None] * sample_rate / size
    edges = mel_to_hertz(np.linspace(hertz_to_mel(low), hertz_to_mel(high), bands + 2))
    below, middle, above = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (bins - below) / (middle - below), (above - bins) / (above - middle)
    filters = np.maximum(0.0, np.minimum(rising, falling))
    if not filters.any(axis=0).all():
        raise EzavError(f"{bands} mel bands are too many for {size}-point spectra")
    return np.asarray(filters / filters.sum(axis=0), dtype=np.float32)


@cache
def dct_matrix(size: int, count: int) -> np.ndarray:
    """The first `count` rows of the orthonormal DCT-II of length `size`, as `[size, count]`.

    Example:
        >>> basis = dct_matrix(8, 8)
        >>> bool(np.allclose(basis.T @ basis, np.eye(8), atol=1e-6))
        True
    """
    angle = np.pi * (np.arange(size)[:, None] + 0.5) * np.arange(count)[None, :] / size
    basis = np.cos(angle) * np.sqrt(2.0 / size)
    basis[:, 0] /= np.sqrt(2.0)
    narrow: np.ndarray = basis.astype(np.float32)
    return narrow
