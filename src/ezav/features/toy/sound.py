"""The toy world's sounds: one kind of sound in noise, with something else now and then."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

Array = np.ndarray

_REFERENCE_RMS = 0.2


def make_sound(sound: str, samples: int, rate: int, draw: Generator) -> Array:
    """A clip's waveform, float32 `[S]` in -1…1.

    Class: the kind of sound. Nuisance: pitch, timbre, tempo, phase, loudness, noise of any tint
    10 dB below to 10 dB above, and another kind of sound for a part of the time.

    Example:
        >>> wave = make_sound("a low hum", 16_000, 16_000, np.random.default_rng(0))
        >>> wave.dtype, bool(abs(wave).max() <= 1)
        (dtype('float32'), True)
    """
    time = np.arange(samples) / rate
    wave = _level(SOUNDS[sound](time, draw))
    other = str(draw.choice([kind for kind in SOUNDS if kind != sound]))
    length = round(samples * draw.uniform(0.4, 1))
    start = draw.integers(0, samples - length + 1)
    piece = _level(SOUNDS[other](time, draw))[start : start + length]
    wave[start : start + length] += 10 ** (-draw.uniform(1, 10) / 20) * piece
    wave += _level(_tinted_noise(samples, draw)) * 10 ** (draw.uniform(-10, 10) / 20)
    loudness = 10 ** (draw.uniform(-22, 0) / 20)
    peak = max(1.0, float(np.abs(wave).max()))
    return (wave * (0.9 * loudness / peak)).astype(np.float32)


def _level(wave: Array) -> Array:
    """Scaled to the same power, whatever the kind of sound."""
    return wave * (_REFERENCE_RMS / max(float(np.sqrt(np.mean(wave**2))), 1e-9))


def _tinted_noise(samples: int, draw: Generator) -> Array:
    """Noise whose power falls with frequency to the power 0 (white) to 1.5 (a rumble)."""
    spectrum = np.fft.rfft(draw.standard_normal(samples))
    frequency = np.maximum(np.arange(len(spectrum)), len(spectrum) / 200)
    return np.fft.irfft(spectrum * frequency ** (-draw.uniform(0, 1.5) / 2), samples)


def _beat(time: Array, hertz: float, draw: Generator) -> Array:
    """Seconds since the last beat of a steady rhythm with a random phase."""
    return ((time + draw.uniform(0, 1 / hertz)) % (1 / hertz)).astype(time.dtype)


def _high_beep(time: Array, draw: Generator) -> Array:
    since = _beat(time, draw.uniform(1.4, 2.6), draw)
    length, pitch = draw.uniform(0.12, 0.25), draw.uniform(1100, 2800)
    envelope = np.clip(np.minimum(since / 0.01, (length - since) / 0.02), 0, 1)
    tone = np.sin(2 * np.pi * pitch * time) + draw.uniform(0, 0.4) * np.sin(
        4 * np.pi * pitch * time
    )
    return envelope * tone


def _low_hum(time: Array, draw: Generator) -> Array:
    pitch = draw.uniform(75, 200)
    tones = [
        draw.uniform(0.2, 1) / k * np.sin(2 * np.pi * (k * pitch * time + draw.uniform()))
        for k in range(1, 6)
    ]
    swell = 1 + 0.3 * np.sin(2 * np.pi * (draw.uniform(0.3, 1.5) * time + draw.uniform()))
    hum: Array = swell * np.sum(tones, axis=0)
    return hum


def _noise_bursts(time: Array, draw: Generator) -> Array:
    since = _beat(time, draw.uniform(1.6, 3.2), draw)
    length = draw.uniform(0.08, 0.18)
    envelope = np.clip(np.minimum(since / 0.005, (length - since) / 0.03), 0, 1)
    return envelope * draw.standard_normal(len(time))


def _rising_chirps(time: Array, draw: Generator) -> Array:
    since = _beat(time, draw.uniform(1.3, 2.4), draw)
    length, low = draw.uniform(0.25, 0.4), draw.uniform(350, 600)
    rise = np.log(draw.uniform(3, 5)) / length
    envelope = np.clip(np.minimum(since / 0.02, (length - since) / 0.03), 0, 1)
    chirps: Array = envelope * np.sin(2 * np.pi * low * np.expm1(rise * since) / rise)
    return chirps


def _fast_clicks(time: Array, draw: Generator) -> Array:
    since = _beat(time, draw.uniform(8, 14), draw)
    ring = draw.uniform(900, 3000)
    return np.exp(-since / draw.uniform(0.001, 0.003)) * np.cos(2 * np.pi * ring * since)


SOUNDS: dict[str, Callable[[Array, Generator], Array]] = {
    "a high beep": _high_beep,
    "a low hum": _low_hum,
    "bursts of noise": _noise_bursts,
    "rising chirps": _rising_chirps,
    "fast clicks": _fast_clicks,
}
"""Kind of sound -> a waveform over `time` `[S]` in seconds, of any level."""
