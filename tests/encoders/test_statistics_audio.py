"""The audio statistics: what they are indifferent to, and what they tell apart."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ezav.encoders.statistics import audio
from ezav.encoders.statistics.encoders import StatisticsAudio
from ezav.encoders.statistics.scaling import root_histogram, scaled_blocks, squash
from ezav.errors import EzavError
from ezav.media.clip import Waveform

RATE = audio.SAMPLE_RATE


def sound(kind: str, seconds: float = 2.0, seed: int = 0) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    noise = np.random.default_rng(seed).normal(size=len(time))
    made = {
        "low": np.sin(2 * np.pi * 120 * time),
        "high": np.sin(2 * np.pi * 2000 * time),
        "noise": noise,
        "beats": noise * ((time * 4 % 1) < 0.2),
        "chirp": np.sin(2 * np.pi * 400 * (np.exp2(time % 0.5 * 4) / np.log(2) / 4)),
    }[kind]
    return (0.3 * made / np.abs(made).max() + 1e-3 * noise).astype(np.float32)


def blocks(samples: np.ndarray) -> dict[str, np.ndarray]:
    values, _ = audio.describe(samples)
    ends = np.cumsum(list(audio.BLOCKS.values()))
    return dict(zip(audio.BLOCKS, np.split(values.mean(axis=0), ends[:-1])))


def test_the_level_of_a_recording_does_not_matter() -> None:
    loud = blocks(sound("beats"))
    quiet = blocks(sound("beats") * np.float32(0.05))
    for name, found in quiet.items():
        expected = loud[name]
        if name == "spectral":  # its last entry is the loudness
            assert found[-1] < expected[-1] - 0.1
            found, expected = found[:-1], expected[:-1]
        np.testing.assert_allclose(found, expected, atol=2e-3)


def test_the_loudest_band_follows_the_pitch() -> None:
    peaks = []
    for hertz in (200, 500, 1000, 3000):
        time = np.arange(2 * RATE) / RATE
        found = blocks((0.5 * np.sin(2 * np.pi * hertz * time)).astype(np.float32))
        pitch = found["pitch"][:-2]
        low, high = np.log(60.0), np.log(4000.0)
        place = (np.log(hertz) - low) / (high - low) * len(pitch)
        assert abs(pitch.argmax() + 0.5 - place) <= 1
        peaks.append(int(found["mel_mean"].argmax()))
    assert peaks == sorted(set(peaks))


def test_purity_and_drift_tell_a_tone_from_noise_and_a_chirp() -> None:
    tone, noise, chirp = (blocks(sound(k))["pitch"] for k in ("high", "noise", "chirp"))
    assert tone[-2] > 0.9 > 0.5 > noise[-2]
    assert chirp[-1] > 2 * tone[-1]


def test_onsets_are_counted() -> None:
    beats, tone = blocks(sound("beats"))["onset"], blocks(sound("low"))["onset"]
    # Four a second, in units of five a second, squashed.
    assert np.arctanh(beats[2]) * 5 == pytest.approx(4, abs=1.1)
    assert np.arctanh(tone[2]) * 5 < 1.5
    assert beats[5] > tone[5]  # silence between the beats


def test_modulation_finds_the_beat() -> None:
    time = np.arange(2 * RATE) / RATE
    noise = np.random.default_rng(0).normal(0, 0.2, len(time))
    for hertz, band in ((2.5, 1), (8.0, 3), (20.0, 5)):
        wave = noise * (1 + 0.9 * np.sin(2 * np.pi * hertz * time))
        rows = blocks(wave.astype(np.float32))["modulation"].reshape(8, -1)
        assert rows.mean(axis=0).argmax() == band


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 60_000), st.sampled_from(["noise", "silence", "constant", "clipped"]))
def test_any_sound_gives_finite_bounded_tokens(length: int, kind: str) -> None:
    noise = np.random.default_rng(length).normal(size=length)
    samples = {
        "noise": noise * 0.1,
        "silence": np.zeros(length),
        "constant": np.full(length, 0.7),
        "clipped": np.sign(noise),
    }[kind].astype(np.float32)
    ((values, times),) = StatisticsAudio().encode([Waveform(samples, RATE, start=3.0)])
    assert values.shape == (len(times), audio.DIMENSION)
    assert np.isfinite(values).all()
    assert np.abs(values).max() < 4
    assert times[0] > 3.0 - 1e-6
    assert times[-1] < 3.0 + length / RATE
    assert len(times) == max(1, round((length / RATE - 1) / 0.5) + 1)


def test_alone_in_a_list_and_twice() -> None:
    clips = [Waveform(sound(kind), RATE) for kind in ("low", "beats")]
    together = StatisticsAudio().encode(clips)
    for clip, expected in zip(clips, together):
        np.testing.assert_array_equal(StatisticsAudio().encode([clip])[0].values, expected.values)


def test_scaling() -> None:
    counts = np.array([[4.0, 0.0, 0.0, 12.0], [0.0, 0.0, 0.0, 0.0]])
    found = root_histogram(counts)
    np.testing.assert_allclose(found[0], [0.5, 0, 0, np.sqrt(0.75)])
    assert not found[1].any()
    assert np.sqrt((found[0] ** 2).mean()) == pytest.approx(0.5)
    assert np.abs(squash(np.array([-1e30, 1e30]), 1.0)).max() <= 1
    with pytest.raises(EzavError, match="block 'a' has 2 entries, not 3"):
        scaled_blocks({"a": np.zeros(2)}, {"a": 3})
    with pytest.raises(EzavError, match="NaN"):
        scaled_blocks({"a": np.array([np.nan])}, {"a": 1})
