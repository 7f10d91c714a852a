"""Inputs of public bug reports, and others of their kinds made on the spot."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.stream import Disposition
from hypothesis import given
from hypothesis import strategies as st

from ezav.media import Clip, FrameSpec, read_clip, read_windows
from ezav.media import hdr as hdr_module
from ezav.media.channels import Mixer
from ezav.media.decode import Problems, Sound
from ezav.media.picture import Converter
from ezav.media.sound import Timeline
from ezav.media.stamps import PictureStamps, Times
from tests.media.files import loudest, sine, write_wav
from tests.shared_data import shared

EVERY = FrameSpec.every()
RATE = 48_000


def white(clip: Clip) -> tuple[float, float]:
    """When the first and the last white picture begin."""
    assert clip.frames is not None
    grey = clip.frames.images.mean(axis=(1, 2, 3))
    times = clip.frames.times[grey > 150]
    return float(times.min()), float(times.max())


def tone(clip: Clip, level: float = 0.2) -> tuple[float, float]:
    """When sound louder than `level` begins and ends."""
    assert clip.waveform is not None
    loud = np.flatnonzero(np.abs(clip.waveform.samples) > level) / clip.waveform.sample_rate
    return float(loud.min() + clip.waveform.start), float(loud.max() + clip.waveform.start)


def reported(*parts: str, audio: int | None = 16_000) -> Clip:
    return read_clip(shared("data", "reported", *parts), video=EVERY, audio=audio)


def test_stamps_of_decoding_alone() -> None:
    clip = reported("01-h264-avi-bframes", "bf_h264.avi")
    assert (clip.status, clip.frames_decoded) == ("ok", 100)
    assert clip.duration == pytest.approx(4.0, abs=0.04)
    assert white(clip) == pytest.approx((1.0, 1.16), abs=0.001)
    assert tone(clip)[0] == pytest.approx(1.0, abs=0.04)


def test_packets_without_bytes_repeat_the_picture() -> None:
    clip = reported("03-theora-repeated-frames", "move.ogv", audio=None)
    assert (clip.status, clip.frames_decoded) == ("ok", 46)
    assert clip.frames is not None
    assert clip.frames.times[-1] == pytest.approx(3.96)
    assert clip.duration == pytest.approx(4.0)


@pytest.mark.parametrize("name", ["seg_v.mp4", "seg_a.m4a"])
def test_a_segment_is_whole(name: str) -> None:
    clip = reported("04-dash-segment", name)
    assert (clip.status, clip.truncated) == ("ok", False)
    assert clip.duration == pytest.approx(1.0, abs=0.05)
    assert clip.claimed == pytest.approx(1.0, abs=0.05)


def test_the_sound_of_the_pictures_own_programme() -> None:
    clip = reported("05-ts-radio-and-tv", "radio_tv.ts")
    assert clip.waveform is not None
    assert abs(loudest(clip.waveform.samples, 16_000) - 1_000) < 5
    assert tone(clip) == pytest.approx((1.02, 1.22), abs=0.02)


def test_a_circle_stays_one_when_the_size_changes() -> None:
    clip = reported("08-size-change-midstream", "lp.ts", audio=None)
    assert clip.frames is not None
    for image in clip.frames.images:
        bright = image.mean(axis=2) > 100
        height, width = np.ptp(np.flatnonzero(bright.any(1))), np.ptp(np.flatnonzero(bright.any(0)))
        assert width == pytest.approx(height, abs=2)


def test_colours_that_nothing_converts_are_a_reason() -> None:
    clip = reported("10-ycgco-one-file-ends-predict", "mat_8.mp4", audio=None)
    assert clip.status == "failed"
    assert clip.video_missing == "pictures cannot be converted (colours in YCgCo)"
    (window,) = read_windows(clip.path, 5.0, video=EVERY, audio=None)
    assert window.video_missing == clip.video_missing


@pytest.mark.parametrize("name", ["pq.mp4", "hlg.mp4"])
def test_reference_white_of_hdr_is_white(name: str) -> None:
    clip = reported("12-hdr-pq", name, audio=None)
    assert clip.frames is not None
    assert clip.frames.images.min() >= 248


def test_segments_whose_sound_is_a_little_longer_stay_in_step() -> None:
    path = shared("data", "reported", "32-hls-joined-overlaps", "hls.ts")
    clip = read_clip(path, video=EVERY, audio=16_000)
    assert white(clip)[0] == pytest.approx(18.0, abs=0.001)
    assert tone(clip, 0.05) == pytest.approx((18.02, 19.0), abs=0.025)
    assert clip.waveform is not None
    assert clip.waveform.duration == pytest.approx(20.0, abs=0.02)
    for window in read_windows(path, 7.0, video=EVERY, audio=16_000):
        if window.start == 14.0:
            assert tone(window, 0.05)[0] == pytest.approx(4.02, abs=0.025)


# Others of these kinds.


def beep(seconds: float, at: float, rate: int = RATE) -> np.ndarray:
    samples = np.zeros(round(seconds * rate), np.float32)
    burst = sine(1_000, 0.2, rate)
    samples[round(at * rate) :][: len(burst)] = burst
    return samples


def write_sound(
    path: Path, samples: np.ndarray, codec: str, rate: int = RATE, stretch: float = 1.0
) -> Path:
    """Mono float samples `[S]` (or `[2, S]`), the stamps of their packets stretched."""
    rows = np.atleast_2d(samples)
    layout = "mono" if len(rows) == 1 else "stereo"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=rate, layout=layout)
        stream.codec_context.time_base = Fraction(1, rate)
        size = 960
        fifo = av.AudioFifo()
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(rows), "fltp", layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        fifo.write(frame)
        pieces: list[Any] = list(fifo.read_many(size, partial=True))
        for piece in [*pieces, None]:
            for packet in stream.encode(piece):
                for name in ("pts", "dts"):
                    stamp = getattr(packet, name)
                    setattr(packet, name, None if stamp is None else round(stamp * stretch))
                container.mux(packet)
    return path


@pytest.mark.parametrize("stretch", [0.96, 1.03, 1.1])
def test_sound_is_resampled_to_its_stamps(tmp_path: Path, stretch: float) -> None:
    path = write_sound(tmp_path / "d.mka", beep(8.0, 6.0), "pcm_s16le", stretch=stretch)
    expected = (6.0 * stretch, 6.2 * stretch)
    clip = read_clip(path, video=None, audio=16_000)
    assert tone(clip) == pytest.approx(expected, abs=0.02)
    found = [
        time + window.start
        for window in read_windows(path, 3.0, video=None, audio=16_000)
        if window.waveform is not None and np.abs(window.waveform.samples).max() > 0.2
        for time in tone(window)
    ]
    assert (min(found), max(found)) == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize(
    ("codec", "ending", "rates"),
    [
        ("flac", ".ogg", (48_000, 44_100)),
        ("libopus", ".ogg", (48_000, 24_000)),
        ("mp2", ".mp2", (48_000, 32_000)),
        ("aac", ".aac", (48_000, 22_050)),
    ],
)
def test_joined_files_of_other_rates_are_used_whole(
    tmp_path: Path, codec: str, ending: str, rates: tuple[int, int]
) -> None:
    parts = []
    for n, rate in enumerate(rates):
        sound = beep(3.0, 1.0, rate)
        two = np.stack([sound, sound]) if n else sound  # the number of channels changes, too
        parts.append(write_sound(tmp_path / f"{n}{ending}", two, codec, rate).read_bytes())
    path = tmp_path / f"both{ending}"
    path.write_bytes(b"".join(parts))
    alone = read_clip(tmp_path / f"0{ending}", video=None, audio=16_000)
    clip = read_clip(path, video=None, audio=16_000)
    assert clip.status == "ok"
    first, last = tone(clip)
    assert first == pytest.approx(1.0, abs=0.06)
    assert last == pytest.approx(alone.duration + 1.2, abs=0.08)
    assert clip.waveform is not None
    second = clip.waveform.samples[round((alone.duration + 0.9) * 16_000) :]
    assert abs(loudest(second, 16_000) - 1_000) < 10
    windows = list(read_windows(path, 2.0, video=None, audio=16_000))
    assert windows[-1].start + windows[-1].duration == pytest.approx(clip.duration, abs=0.3)


def test_one_resampler_for_each_rate_leaves_no_clicks() -> None:
    """A tone that goes on over a change of rate has no steps beyond its own slope."""
    line = Timeline(-np.inf, np.inf, Problems())
    for rate, begin in ((48_000, 0.0), (32_000, 1.0)):
        time = begin + np.arange(rate) / rate
        wave = np.sin(2 * np.pi * 200 * time).astype(np.float32)
        for at in range(0, rate, 1_000):
            line.add(Sound(wave[at : at + 1_000], rate, begin + at / rate))
    found = line.waveform(16_000, 0.0)
    assert found is not None
    assert len(found) == 32_000
    inside = np.r_[np.abs(np.diff(found.samples))[100:15_900], np.diff(found.samples)[16_100:-100]]
    assert np.abs(inside).max() < 1.05 * 2 * np.pi * 200 / 16_000


def test_stamps_that_stand_still_are_not_believed() -> None:
    problems = Problems()
    line = Timeline(-np.inf, np.inf, problems)
    for n in range(300):
        line.add(Sound(np.full(1_000, n, np.float32), 48_000, 0.0))
    found = line.waveform(48_000, 0.0)
    assert found is not None
    assert len(found) == 300_000
    assert problems.lines() == ["sound: time stamps stand still, not used"]


@pytest.mark.parametrize("codec", ["pcm_s64le", "pcm_s32le", "pcm_f64le", "pcm_mulaw"])
def test_any_kind_of_samples(tmp_path: Path, codec: str) -> None:
    path = write_sound(tmp_path / "p.mka", beep(2.0, 1.0), codec)
    clip = read_clip(path, video=None, audio=16_000)
    assert tone(clip) == pytest.approx((1.0, 1.2), abs=0.01)


def test_a_channel_and_its_opposite_are_heard(tmp_path: Path) -> None:
    wave = sine(500, 2.0, 16_000)
    path = write_wav(tmp_path / "a.wav", np.stack([wave, -0.9 * wave]), 16_000, "stereo")
    clip = read_clip(path, video=None, audio=16_000)
    assert clip.waveform is not None
    assert clip.waveform.samples[3_200:] == pytest.approx(wave[3_200:], abs=1e-3)
    assert "cancel each other" in clip.reason


@given(st.integers(2, 6), st.floats(0.0, 1.0), st.integers(0, 1000))
def test_related_and_unrelated_channels_are_averaged(count: int, common: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = common * rng.normal(size=2_000) + (1 - common) * rng.normal(size=(count, 2_000))
    layout = {2: "stereo", 3: "3.0", 4: "quad", 5: "5.0", 6: "5.1"}[count]
    frame = av.AudioFrame.from_ndarray(rows.astype(np.float32), "fltp", layout)
    frame.sample_rate = RATE
    mixer = Mixer()
    assert mixer.mono(frame) == pytest.approx(rows.mean(axis=0), abs=1e-5)
    assert not mixer.cancelled


def test_the_change_to_one_channel_is_a_fade() -> None:
    wave = sine(50, 2.0, RATE)
    rows = np.stack([wave, np.where(np.arange(len(wave)) < RATE, wave, -wave)])
    mixer = Mixer()
    parts = []
    for at in range(0, len(wave), 1_000):
        piece = np.ascontiguousarray(rows[:, at : at + 1_000])
        frame = av.AudioFrame.from_ndarray(piece, "fltp", "stereo")
        frame.sample_rate = RATE
        parts.append(mixer.mono(frame))
    found = np.concatenate(parts)
    assert np.abs(np.diff(found)).max() < 0.02
    assert np.abs(found[-RATE // 2 :]).max() > 0.4


def test_a_commentary_is_not_the_sound(tmp_path: Path) -> None:
    path = tmp_path / "c.mkv"
    with av.open(str(path), "w") as container:
        for hertz, disposition in (
            (3_000, Disposition.default | Disposition.comment),
            (1_000, Disposition(0)),
        ):
            stream: Any = container.add_stream("pcm_s16le", rate=16_000, layout="mono")
            stream.disposition = disposition
            stream.metadata["title"] = str(hertz)
        for stream, hertz in zip(container.streams, (3_000, 1_000)):
            samples = (sine(hertz, 1.0, 16_000) * 32767).astype(np.int16)[None]
            frame = av.AudioFrame.from_ndarray(samples, "s16", "mono")
            frame.sample_rate, frame.pts = 16_000, 0
            container.mux(stream.encode(frame))
    clip = read_clip(path, video=None, audio=16_000)
    assert clip.waveform is not None
    assert abs(loudest(clip.waveform.samples, 16_000) - 1_000) < 5


@pytest.mark.parametrize(
    ("transfer", "code", "expected"),
    # Codes of greys, and what an sRGB screen shows of them with reference white at 203 cd/m².
    [
        (hdr_module.PQ, 0.5806, 255),  # 203 cd/m²
        (hdr_module.PQ, 0.5081, 188),  # 100 cd/m²: 1.055 · (100 / 203)^(1 / 2.4) − 0.055
        (hdr_module.PQ, 0.7518, 255),  # 1,000 cd/m²
        (hdr_module.HLG, 0.75, 255),
        (hdr_module.HLG, 0.38, 100),  # a grey card: 26 cd/m² on a screen of 1,000 (BT.2408)
    ],
)
def test_hdr_codes_of_bt_2408(transfer: int, code: float, expected: int) -> None:
    codes = np.full((1, 1, 3), round(code * 65535), np.uint16)
    found = hdr_module.to_display(codes, transfer, hdr_module.BT2020)
    assert found.ravel().astype(float) == pytest.approx([expected] * 3, abs=3)


@given(
    first=st.tuples(st.integers(16, 200), st.integers(16, 200)),
    second=st.tuples(st.integers(16, 200), st.integers(16, 200)),
)
def test_a_square_stays_square_whatever_the_sizes(
    first: tuple[int, int], second: tuple[int, int]
) -> None:
    converter = Converter(None, None)
    for width, height in (first, second):
        side = min(width, height)
        image = np.zeros((height, width, 3), np.uint8)
        image[:side, :side] = 255
        found = converter(av.VideoFrame.from_ndarray(image, format="rgb24"))
        assert found.shape[:2] == first[::-1]
        bright = found.mean(axis=2)
        area = bright.sum() / 255
        rows = bright.max(axis=1).sum() / 255
        columns = bright.max(axis=0).sum() / 255
        assert rows == pytest.approx(columns, rel=0.12, abs=3)
        assert area == pytest.approx(rows * columns, rel=0.12, abs=4)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=60), st.integers(0, 4))
def test_sorted_stamps_are_those_of_display(steps: list[int], delay: int) -> None:
    """Whatever the order in which packets come, if pictures leave it in the order of display."""
    shown = np.cumsum(steps).tolist()
    # Groups of `delay + 1`, the last of each first, as with B-frames.
    groups = [shown[at : at + delay + 1] for at in range(0, len(shown), delay + 1)]
    coded = [stamp for group in groups for stamp in group[-1:] + group[:-1]]
    stamps = PictureStamps(tick=1.0, step=1.0)
    found = []
    for number, stamp in enumerate(coded):
        packet = av.Packet(1)
        packet.dts = stamp
        stamps.enters(packet)
        if number >= delay:
            found.append(stamps.leaves(av.VideoFrame(16, 16, "rgb24"))[0])
    found += [stamps.leaves(av.VideoFrame(16, 16, "rgb24"))[0] for _ in range(delay)]
    assert found[: len(shown)] == shown


@given(st.lists(st.floats(0, 100), min_size=1), st.booleans())
def test_times_of_pictures_only_go_on(stamps: list[float], overlaps: bool) -> None:
    times = Times(overlaps)
    found = [times.tell(stamp, 0.04)[0] for stamp in stamps]
    least = -1.0 if overlaps else 0.0
    assert all(after - before >= least - 1e-9 for before, after in itertools.pairwise(found))
