"""Windows of a long recording are the recording, cut; only a few are in memory at a time."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import av
import numpy as np
import pytest

from ezav.errors import EzavError
from ezav.media import FrameSpec, read_clip, read_windows
from tests.media.files import sine, write_clip, write_timed, write_wav
from tests.shared_data import shared

EVERY = FrameSpec.every()


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("long") / "r.mkv", frames=70, fps=10, rate=16_000)


def test_windows_side_by_side_are_the_whole(recording: Path) -> None:
    whole = read_clip(recording, video=EVERY, audio=16_000)
    windows = list(read_windows(recording, 2.0, video=EVERY, audio=16_000))
    assert [w.start for w in windows] == [0.0, 2.0, 4.0, 6.0]
    assert whole.frames is not None
    assert whole.waveform is not None
    images = [w.frames.images for w in windows if w.frames is not None]
    times = [w.frames.times + w.start for w in windows if w.frames is not None]
    assert np.array_equal(np.concatenate(images), whole.frames.images)
    assert np.concatenate(times) == pytest.approx(whole.frames.times)
    sound = np.concatenate([w.waveform.samples for w in windows if w.waveform is not None])
    assert np.array_equal(sound, whole.waveform.samples[: len(sound)])
    # What is behind the end of the packets is the codec's padding.
    assert len(sound) >= len(whole.waveform) - 1_024


def test_overlapping_windows_sample_what_is_shown(recording: Path) -> None:
    spec = FrameSpec.uniform(4)
    every = read_clip(recording, video=EVERY, audio=None).frames
    assert every is not None
    windows = list(read_windows(recording, 2.0, 1.0, video=spec, audio=8_000))
    assert [w.start for w in windows] == [0, 1, 2, 3, 4, 5]
    for window in windows:
        assert window.frames is not None
        assert window.frames.times == pytest.approx([0.25, 0.75, 1.25, 1.75])
        for image, time in zip(window.frames.images, window.frames.times):
            shown = np.flatnonzero(every.times <= window.start + time + 1e-6)[-1]
            assert np.array_equal(image, every.images[shown])
        assert window.waveform is not None
        assert len(window.waveform) == pytest.approx(16_000, abs=1)


def test_a_long_still_is_seen_in_every_window(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "still.mkv", times=[0.0, 0.1, 6.0, 6.1], tone=None)
    windows = list(read_windows(path, 1.0, video=FrameSpec.middle(), audio=None))
    assert [w.frames is not None for w in windows] == [True] * len(windows)
    assert len(windows) == 7


@pytest.mark.parametrize("sounds", [[], [(0, 100)]])
def test_a_still_is_shown_to_the_end_of_a_window(
    sounds: list[tuple[float, float]], tmp_path: Path
) -> None:
    """Also where the next picture is further away than windows wait for it."""
    stills = [(0, 40), (5, 60), (12, 80), (70, 100), (75, 120), (99, 140)]
    path = write_timed(tmp_path / "slides.mkv", pictures=stills, sounds=sounds)
    spec = FrameSpec.at_fps(1)
    whole = read_clip(path, video=spec, audio=None).frames
    assert whole is not None
    windows = list(read_windows(path, 10.0, video=spec, audio=16_000 if sounds else ()))
    found = [w.frames for w in windows if w.frames is not None]
    assert [len(frames) for frames in found] == [10] * 9 + [9]
    assert np.array_equal(np.concatenate([frames.images for frames in found]), whole.images)


def test_a_still_is_shown_to_the_end_of_a_window_though_one_before_was_damaged(
    tmp_path: Path,
) -> None:
    stills = [*((n / 2, 40 + n) for n in range(10)), (5, 60), (12, 80), (70, 100), (99, 140)]
    path = write_timed(tmp_path / "slides.mkv", pictures=stills, sounds=[(0, 100)])
    with av.open(str(path)) as container:
        fourth = bytes([packet for packet in container.demux(video=0) if packet.size][3])
    path.write_bytes(path.read_bytes().replace(fourth, b"\xff" * 4 + fourth[4:]))
    windows = list(read_windows(path, 10.0, video=FrameSpec.at_fps(1)))
    assert "picture damaged" in windows[0].reason
    assert [len(w.frames or ()) for w in windows] == [10] * 9 + [9]


def test_a_window_lasts_no_longer_than_it_is(tmp_path: Path) -> None:
    """Whatever length a picture is given; in MP4 that is the time until the next one."""
    stills = [(0, 40), (5, 60), (12, 80), (40, 100)]
    path = write_timed(tmp_path / "slides.mp4", pictures=stills, sounds=[(0, 45)])
    windows = list(read_windows(path, 10.0))
    assert [w.duration for w in windows[:4]] == pytest.approx([10.0] * 4, abs=1e-3)


def test_a_window_behind_the_sound_says_so() -> None:
    path = shared("data", "odd_media", "audio_shorter_0.5s_of_2s.mp4")
    windows = list(read_windows(path, 1.0))
    assert [w.audio_missing for w in windows] == ["", "no sound between 1 s and 2 s"]
    assert all(w.frames is not None for w in windows)


def test_bad_files_and_bad_windows(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    assert [w.reason for w in read_windows(tmp_path / "empty.mp4", 5.0)] == ["empty file"]
    for name in ("index_only_claims_60s.mp4", "mp4parse__no_timescale.mp4"):
        (only,) = read_windows(shared("data", "odd_media", name), 5.0)
        assert only.status == "failed"
        assert "decoded" in only.reason
    (cut,) = read_windows(shared("data", "odd_media", "corrupt_middle.mp4"), 5.0)
    assert cut.truncated
    assert "picture truncated" in cut.reason
    for length, hop in ((0.0, None), (1.0, 0.0), (-1.0, 1.0)):
        with pytest.raises(EzavError, match="more than 0"):
            list(read_windows(tmp_path / "x.mp4", length, hop))


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_cut_file_is_told_in_windows_too(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (80, 48, 64, 3), dtype=np.uint8)
    path = tmp_path / f"cut{suffix}"
    whole = write_clip(
        path, frames=80, picture=lambda n: noise[n], options={"g": "5"}, faststart=suffix == ".mp4"
    )
    data = whole.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    at_once = read_clip(path)
    told = [line for w in read_windows(path, 1.0) for line in w.warnings]
    assert at_once.truncated
    assert {line for line in at_once.warnings if "truncated" in line} <= set(told)
    assert len([line for line in told if "truncated" in line]) == 2
    *_, last = read_windows(path, 1.0)
    assert (last.status, last.truncated) == ("damaged", True)


def test_a_cut_sound_is_told_in_the_last_window(tmp_path: Path) -> None:
    path = write_timed(tmp_path / "cut.mka", sounds=[(0, 20)])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    windows = list(read_windows(path, 2.0))
    assert [w.truncated for w in windows] == [False] * (len(windows) - 1) + [True]
    assert "sound truncated" in windows[-1].reason


def test_each_warning_is_told_once_in_the_window_where_it_arose(tmp_path: Path) -> None:
    """A gap of the sound first; damage of the picture behind it."""
    pictures = [(n / 5, 40 + n % 150) for n in range(200)]
    path = write_timed(tmp_path / "d.ts", pictures=pictures, sounds=[(0, 5), (7, 40)])
    data = np.frombuffer(path.read_bytes(), np.uint8).reshape(-1, 188).copy()
    rng = np.random.default_rng(1)
    for share in (0.5, 0.8):
        rows = slice(int(len(data) * share), int(len(data) * share) + 40)
        data[rows, 20:] = rng.integers(0, 256, data[rows, 20:].shape)
    path.write_bytes(data.tobytes())
    windows = list(read_windows(path, 10.0, video=EVERY))
    told = [line for window in windows for line in window.warnings]
    assert len(told) == len(set(told))
    assert "sound has a gap of 2.0" in windows[0].reason
    damage = [any("damaged: " in line for line in window.warnings) for window in windows]
    assert damage == [False, False, True, True]


def test_damaged_stamps_do_not_make_windows_without_end(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.avi", codec="mpeg4", frames=4, size=(32, 32))
    data = bytearray(path.read_bytes())
    scale = data.index(b"auds") + 20  # seconds of a unit of time are scale / rate
    data[scale : scale + 4] = (0x7FFFFFFF).to_bytes(4, "little")
    path.write_bytes(data)
    (only,) = read_windows(path, 60.0)
    assert "days, beyond reason" in only.reason


def test_memory_does_not_grow_with_the_recording(tmp_path: Path) -> None:
    rate = 16_000

    def peak(seconds: int) -> int:
        path = write_wav(tmp_path / f"{seconds}.wav", sine(300, seconds, rate)[None], rate)
        tracemalloc.start()
        count = sum(1 for _ in read_windows(path, 2.0, video=None, audio=rate))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert count == seconds // 2
        return most

    assert peak(120) < 1.5 * peak(20) + 500_000
