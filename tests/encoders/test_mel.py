"""Spectrograms against independent implementations."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.fft
import scipy.signal
from transformers.audio_utils import mel_filter_bank

from ezav.encoders.mel import dct_matrix, mel_filterbank, power_spectrogram
from ezav.errors import EzavError


def test_power_spectrogram_equals_scipy() -> None:
    samples = np.random.default_rng(0).normal(size=3000).astype(np.float32)
    found = power_spectrogram(samples, 400, 160, 512)
    transform = scipy.signal.ShortTimeFFT(
        scipy.signal.get_window("hann", 400), hop=160, fs=16_000, mfft=512, phase_shift=None
    )
    # scipy counts slices by their centres: the first of ours is centred on sample 200.
    for row in range(3):
        piece = samples[row * 160 : row * 160 + 400]
        expected = np.abs(np.fft.rfft(piece * transform.win, 512)) ** 2
        np.testing.assert_allclose(found[row], expected, rtol=1e-4, atol=1e-3)
    assert len(found) == 1 + int(np.ceil((3000 - 400) / 160))
    assert power_spectrogram(samples[:1], 400, 160, 512).shape == (1, 257)


@pytest.mark.parametrize(("bands", "low", "high"), [(64, 50.0, 7800.0), (20, 0.0, 8000.0)])
def test_mel_filterbank_equals_transformers(bands: int, low: float, high: float) -> None:
    expected = mel_filter_bank(
        513, bands, low, high, 16_000, norm=None, mel_scale="htk", triangularize_in_mel_space=True
    )
    found = mel_filterbank(16_000, 1024, bands, low, high)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_too_many_bands_are_refused() -> None:
    with pytest.raises(EzavError, match="too many"):
        mel_filterbank(16_000, 256, 128, 20.0, 8000.0)


def test_dct_equals_scipy() -> None:
    rows = np.random.default_rng(0).normal(size=(4, 64))
    expected = scipy.fft.dct(rows, norm="ortho", axis=1)[:, :20]
    np.testing.assert_allclose(rows @ dct_matrix(64, 20), expected, atol=1e-4)
