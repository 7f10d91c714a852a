"""What a second of sound is like, in about 300 numbers: spectrum, its movement, its rhythm.

Every block is bounded and scaled to the same size, so that a network needs no tuning. All but
the loudness entry are independent of the recording level.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from ezav.encoders.mel import dct_matrix, mel_filterbank, power_spectrogram
from ezav.encoders.statistics.scaling import root_histogram, scaled_blocks, squash

VERSION = "2"
SAMPLE_RATE = 16_000
_WINDOW, _HOP, _FFT = 400, 160, 1024  # 25 ms every 10 ms; long FFT so that low bands have a bin
_RATE = SAMPLE_RATE / _HOP  # spectrogram frames a second
_BANDS, _LOW, _HIGH = 64, 50.0, 7800.0
_RANGE_DB = 70.0  # below the clip's peak by more is silence
_MASKED = 3.5  # bels below the loudest band and frame
_TOKEN, _STEP = 100, 50  # frames: windows of 1 s every 0.5 s
_MFCC = 20
_GROUPS = 8  # bands of the modulation spectrum
_MODULATION_HZ = (0.8, 2.0, 3.5, 6.0, 10.0, 16.0, 25.0, 50.0)
_PITCH_HZ = np.geomspace(60.0, 4000.0, 25)

BLOCKS = {
    "mel_mean": _BANDS,
    "mel_std": _BANDS,
    "mel_delta": _BANDS,
    "mfcc": 2 * (_MFCC - 1),
    "spectral": 10,
    "onset": 8,
    "modulation": _GROUPS * (len(_MODULATION_HZ) - 1),
    "pitch": len(_PITCH_HZ) - 1 + 2,
}
DIMENSION = sum(BLOCKS.values())


def describe(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Tokens of a mono waveform at 16 kHz.

    Args:
        samples: float `[S]` in [-1, 1].

    Returns:
        values float32 `[T, DIMENSION]` and times float32 `[T]`: windows of 1 s every 0.5 s,
        centred on their times; the last ends with the sound, and a clip under about 1.25 s is one
        window.

    Example:
        >>> values, times = describe(np.zeros(2 * SAMPLE_RATE, np.float32))
        >>> values.shape, times.tolist()
        ((3, 330), [0.5, 1.0, 1.5])
    """
    power = power_spectrogram(samples, _WINDOW, _HOP, _FFT)
    mel = power @ mel_filterbank(SAMPLE_RATE, _FFT, _BANDS, _LOW, _HIGH)
    peak = max(float(mel.max()), 1e-8)  # about -90 dB full scale: digital silence stays flat
    decibel = 10.0 * np.log10(np.maximum(mel / peak, 10 ** (-_RANGE_DB / 10)))
    length = len(decibel)
    seconds = len(samples) / SAMPLE_RATE
    token, step = _TOKEN / _RATE, _STEP / _RATE
    count = max(1, round((seconds - token) / step) + 1)
    tokens, times = [], []
    for i in range(count):
        # The last window takes what is left, so that no sound is dropped.
        end = i * _STEP + _TOKEN if i < count - 1 else length
        part = slice(i * _STEP, end)
        tokens.append(_window(power[part], decibel[part], peak))
        last = seconds if i == count - 1 else i * step + token
        times.append((i * step + last) / 2)
    return np.stack(tokens), np.asarray(times, dtype=np.float32)


def _window(power: np.ndarray, decibel: np.ndarray, peak: float) -> np.ndarray:
    """One token from spectrogram frames `[L, bins]` and log-mel frames `[L, bands]` in dB."""
    log_mel = decibel / 10.0  # bels: a factor 10 in power is 1
    energy = 10.0 ** log_mel.mean(axis=1)  # geometric mean over bands, relative to the peak
    frame_power = np.maximum(power.sum(axis=1), 1e-12)
    loud = frame_power / frame_power.sum()  # silent frames say nothing about timbre
    mean = log_mel.mean(axis=0)
    level = mean.mean()
    delta = np.abs(np.diff(log_mel, axis=0)).mean(axis=0) if len(log_mel) > 1 else 0.0 * mean
    cepstrum = (log_mel @ dct_matrix(_BANDS, _MFCC))[:, 1:]  # without c0, the level
    timbre = (loud[:, None] * cepstrum).sum(axis=0)
    blocks = {
        "mel_mean": squash((loud @ log_mel) - (loud @ log_mel).mean(), 1.5),
        "mel_std": squash(log_mel.std(axis=0), 1.0),
        "mel_delta": squash(delta, 0.5),
        "mfcc": squash(np.concatenate([timbre, cepstrum.std(axis=0)]), 3.0),
        "spectral": _spectral(power, loud, level, peak),
        "onset": _onset(log_mel, energy),
        "modulation": _modulation(log_mel),
        "pitch": _pitch(power, loud),
    }
    return scaled_blocks(blocks, BLOCKS)


def _spectral(power: np.ndarray, loud: np.ndarray, level: float, peak: float) -> np.ndarray:
    """Centroid, spread, roll-off, flatness (weighted mean and deviation), level and loudness."""
    frequency = np.arange(power.shape[1]) * (SAMPLE_RATE / _FFT)
    octave = np.log2(np.maximum(frequency, 31.25) / 1000.0)
    share = power / np.maximum(power.sum(axis=1, keepdims=True), 1e-12)
    centroid = share @ octave
    spread = np.sqrt(np.maximum(share @ octave**2 - centroid**2, 0.0))
    cumulative = np.cumsum(share, axis=1)
    rolloff = octave[np.argmax(cumulative >= 0.85, axis=1)]
    log_power = np.log(np.maximum(power, 1e-10))
    flatness = (log_power.mean(axis=1) - np.log(np.maximum(power.mean(axis=1), 1e-10))) / 5.0
    rows = np.stack([centroid, spread, rolloff, flatness])
    mean = rows @ loud
    deviation = np.sqrt(np.maximum((rows - mean[:, None]) ** 2 @ loud, 0.0))
    loudness = np.log10(peak) / 4.0
    return squash(np.concatenate([mean, deviation, [level / 3.0, loudness]]), 2.0)


def _onset(log_mel: np.ndarray, energy: np.ndarray) -> np.ndarray:
    """Spectral flux: its mean, peaks a second, regularity, and how much of the time is silent."""
    if len(log_mel) < 4:
        return np.zeros(8)
    lag = 2  # 20 ms: an attack spreads over two frames
    audible = np.maximum(log_mel, log_mel.max() - _MASKED)  # hiss below a tone has no onsets
    flux = np.maximum(audible[lag:] - audible[:-lag], 0.0).mean(axis=1)
    inner = flux[1:-1]
    high = flux.mean() + flux.std()
    peaks = (inner > flux[:-2]) & (inner >= flux[2:]) & (inner > max(high, 0.1))
    rate = peaks.sum() / (len(log_mel) / _RATE)
    where = np.flatnonzero(peaks)
    gaps = np.diff(where) / _RATE
    regular = 1.0 / (1.0 + gaps.std() / gaps.mean()) if len(gaps) > 1 else 0.0
    loudness = np.log10(energy)
    third = max(1, len(loudness) // 3)
    return squash(
        np.array(
            [
                flux.mean() * 5,
                flux.std() * 5,
                rate / 5,
                gaps.mean() * 2 if len(gaps) else 0.0,
                regular,
                (loudness < loudness.max() - 2.0).mean() * 2,
                loudness.std(),
                loudness[-third:].mean() - loudness[:third].mean(),
            ]
        ),
        1.0,
    )


def _modulation(log_mel: np.ndarray) -> np.ndarray:
    """Amplitude of the log envelope in bands of modulation frequency, for groups of mel bands."""
    groups = log_mel.reshape(len(log_mel), _GROUPS, -1).mean(axis=2)
    groups = groups - groups.mean(axis=0)
    spectrum = np.abs(np.fft.rfft(groups, n=max(256, len(groups)), axis=0)) / len(groups)
    frequency = np.fft.rfftfreq(max(256, len(groups)), 1 / _RATE)
    found = []
    for low, high in pairwise(_MODULATION_HZ):
        chosen = spectrum[(frequency >= low) & (frequency < high)]
        found.append(np.sqrt((chosen**2).sum(axis=0)))
    return squash(np.stack(found, axis=1).ravel(), 0.5)


def _pitch(power: np.ndarray, loud: np.ndarray) -> np.ndarray:
    """Where the loudest partial lies (histogram over log frequency), how pure and steady it is."""
    hertz = np.arange(power.shape[1]) * (SAMPLE_RATE / _FFT)
    low, high = np.searchsorted(hertz, _PITCH_HZ[[0, -1]])
    band = power[:, low:high]
    best = band.argmax(axis=1)
    frequency = hertz[best + low]
    near = np.clip(best[:, None] + np.arange(-2, 3), 0, band.shape[1] - 1)
    purity = np.take_along_axis(band, near, axis=1).sum(axis=1)
    purity = np.minimum(purity / np.maximum(power.sum(axis=1), 1e-12), 1.0)
    weight = loud * purity
    edges = np.log(_PITCH_HZ)
    place = (np.log(frequency) - edges[0]) / (edges[1] - edges[0]) - 0.5
    lower = np.clip(np.floor(place), 0, len(edges) - 2).astype(int)
    upper = np.minimum(lower + 1, len(edges) - 2)
    part = np.clip(place - lower, 0.0, 1.0)
    histogram = np.bincount(lower, weight * (1 - part), len(edges) - 1)
    histogram += np.bincount(upper, weight * part, len(edges) - 1)
    total = weight.sum()
    steps = np.abs(np.diff(np.log2(frequency)))
    both = np.sqrt(weight[1:] * weight[:-1])
    drift = (steps * both).sum() / max(both.sum(), 1e-9)
    return np.concatenate([root_histogram(histogram), [total, np.tanh(4 * drift)]])
