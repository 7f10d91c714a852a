"""Sound at any rate and layout becomes one mono waveform on the clip's clock."""

from __future__ import annotations

from math import gcd, inf
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import resample_poly

from ezav.errors import EzavError
from ezav.media import read_clip
from ezav.media.channels import channels
from ezav.media.decode import Problems, Sound
from ezav.media.sound import Timeline, resample
from tests.media.files import loudest, sine, write_clip, write_wav

RATES = [8_000, 11_025, 16_000, 22_050, 44_100, 48_000]


@settings(deadline=None, max_examples=25)
@given(
    rate=st.sampled_from(RATES),
    wanted=st.sampled_from(RATES),
    pitch=st.floats(0.01, 0.35),
    seconds=st.floats(0.1, 0.5),
)
def test_resampling_matches_scipy(rate: int, wanted: int, pitch: float, seconds: float) -> None:
    samples = sine(pitch * min(rate, wanted), seconds, rate)
    ours = resample(samples, rate, wanted)
    common = gcd(rate, wanted)
    theirs = resample_poly(samples.astype(float), wanted // common, rate // common)
    assert len(ours) == len(theirs)
    edge = 64 * max(1, wanted // rate) + 16
    assert np.abs(ours - theirs)[edge:-edge].max(initial=0.0) < 0.01
    assert ours.dtype == np.float32


def test_resampling_removes_what_the_lower_rate_cannot_hold() -> None:
    found = resample(sine(7_000, 1.0, 44_100), 44_100, 8_000)
    assert np.abs(found)[50:-50].max() < 0.001


@pytest.mark.parametrize("length", [1, 2, 5, 40])
def test_sounds_shorter_than_the_filter(length: int) -> None:
    found = resample(np.full(length, 0.25, np.float32), 8_000, 16_000)
    assert len(found) == 2 * length
    assert np.isfinite(found).all()


@pytest.mark.parametrize("layout", ["7.1", "22.2"])
def test_many_channels_are_those_of_the_recording(layout: str, tmp_path: Path) -> None:
    """PyAV tells of more planes than there are, and they lie anywhere in memory."""
    path, count = tmp_path / "many.wav", av.AudioLayout(layout).nb_channels
    levels = np.linspace(-0.5, 0.5, count, dtype=np.float32)[:, None].repeat(4_000, 1)
    write_wav(path, levels, 8_000, layout)
    planar = av.AudioResampler(format="fltp")
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            for one in planar.resample(frame):
                found = channels(one)
                assert found.shape == (count, one.samples)
                np.testing.assert_allclose(found, levels[:, : one.samples], atol=1e-4)


@pytest.mark.parametrize(
    ("sample_format", "dtype", "scale"),
    [("u8", np.uint8, 128), ("s16", np.int16, 2**15), ("s32", np.int32, 2**31), ("dbl", float, 1)],
)
@pytest.mark.parametrize("planar", [False, True])
def test_mono_is_the_mean_of_the_channels(
    sample_format: str, dtype: type, scale: float, planar: bool
) -> None:
    rng = np.random.default_rng(0)
    values = rng.uniform(-0.9, 0.9, (6, 50))
    stored = (values * scale + (128 if dtype is np.uint8 else 0)).astype(dtype)
    expected = (stored.astype(float) - (128 if dtype is np.uint8 else 0)).mean(axis=0) / scale
    if not planar:
        stored = np.ascontiguousarray(stored.T.reshape(1, -1))
    name = sample_format + ("p" if planar else "")
    frame = av.AudioFrame.from_ndarray(stored, format=name, layout="5.1")
    assert channels(frame).mean(axis=0) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("rate", [8_000, 44_100, 96_000])
def test_any_rate_from_a_file(tmp_path: Path, rate: int) -> None:
    left, right = sine(300, 1.0, rate), sine(500, 1.0, rate)
    path = write_wav(tmp_path / "two.wav", np.stack([left, right]), rate, "stereo")
    clip = read_clip(path, video=None, audio=[16_000, rate])
    exact = clip.audio[rate].samples
    assert exact == pytest.approx((left + right) / 2, abs=1e-4)
    assert len(clip.audio[16_000]) == 16_000
    spectrum = np.abs(np.fft.rfft(clip.audio[16_000].samples))
    assert set(np.argsort(spectrum)[-2:]) == {300, 500}


def test_a_clip_has_the_tone_it_was_given(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", tone=880.0)
    clip = read_clip(path, video=None, audio=22_050)
    assert clip.waveform is not None
    assert abs(loudest(clip.waveform.samples, 22_050) - 880) < 1
    assert clip.duration == pytest.approx(2.0, abs=0.06)


def timeline(*pieces: tuple[float, int], rate: int = 1_000) -> tuple[Timeline, Problems]:
    """Pieces of ones, (time in seconds, samples)."""
    problems = Problems()
    line = Timeline(-inf, inf, problems)
    for time, count in pieces:
        line.add(Sound(np.ones(count, np.float32), rate, time))
    return line, problems


def test_gaps_are_silent_and_told_and_jitter_is_not() -> None:
    line, problems = timeline((5.0, 500), (5.51, 500), (7.0, 100))
    wave = line.waveform(1_000, origin=4.0)
    assert wave is not None
    assert wave.start == 1.0
    gap = np.flatnonzero(wave.samples == 0)
    assert (gap[0], gap[-1] + 1, len(wave)) == (1_000, 2_000, 2_100)
    assert problems.lines() == ["sound has a gap of 1.00 s after 1.00 s"]


def test_a_window_cuts_to_the_sample() -> None:
    ramp = np.arange(1_000, dtype=np.float32)
    line = Timeline(0.25, 0.75, Problems())
    for at in range(0, 1_000, 128):
        line.add(Sound(ramp[at : at + 128], 1_000, at / 1_000))
    wave = line.waveform(1_000, origin=0.25)
    assert wave is not None
    assert wave.samples.tolist() == list(range(250, 750))


def test_a_change_of_rate_within_a_file() -> None:
    line, _ = timeline((0.0, 1_000))
    line.add(Sound(np.ones(500, np.float32), 500, 1.0))
    wave = line.waveform(1_000, origin=0.0)
    assert wave is not None
    assert len(wave) == 2_000


def test_impossible_rates_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EzavError, match="0 samples a second"):
        read_clip(tmp_path / "x.wav", audio=0)
