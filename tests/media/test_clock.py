"""Pauses keep their time; what jumps in all streams at once is moved up, everywhere alike."""

from __future__ import annotations

import itertools
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from ezav.media import Clip, FrameSpec, read_clip, read_windows
from ezav.media.clock import Clock
from ezav.media.container import open_source
from ezav.media.scan import scan
from tests.media.files import write_timed

EVERY_SECOND = FrameSpec.at_fps(1)


def in_windows(path: Path) -> list[Clip]:
    return list(read_windows(path, 30.0, video=EVERY_SECOND, audio=16_000))


def test_a_long_pause_of_the_sound_is_a_pause(tmp_path: Path) -> None:
    pictures = [(float(n), 20 + n) for n in range(100)]
    path = write_timed(tmp_path / "p.mkv", pictures=pictures, sounds=[(0, 5), (75, 80)])
    clip = read_clip(path, video=EVERY_SECOND, audio=16_000)
    assert clip.waveform is not None
    assert clip.waveform.duration == pytest.approx(80, abs=0.1)
    loud = np.flatnonzero(np.abs(clip.waveform.samples) > 0.1) / 16_000
    assert loud[loud > 10].min() == pytest.approx(75, abs=0.1)
    (note,) = clip.warnings
    assert "sound has a gap of 70" in note
    heard = [w.start for w in in_windows(path) if w.waveform is not None]
    assert heard == [0.0, 60.0]


@pytest.mark.parametrize("sounds", [[(0, 145)], []])
def test_a_slide_every_seventy_seconds_is_a_slide_show(
    tmp_path: Path, sounds: list[tuple[float, float]]
) -> None:
    slides = [(0.0, 20), (70.0, 120), (140.0, 230)]
    path = write_timed(tmp_path / "s.mkv", pictures=slides, sounds=sounds)
    clip = read_clip(path, video=FrameSpec.uniform(14), audio=16_000 if sounds else None)
    assert (clip.status, clip.warnings) == ("ok", ())
    assert clip.frames is not None
    grey = clip.frames.images.mean(axis=(1, 2, 3))
    expected = [max(g for time, g in slides if time <= t) for t in clip.frames.times]
    assert grey == pytest.approx(expected, abs=8)
    assert clip.duration == pytest.approx(145 if sounds else 140, abs=0.2)


def test_a_pause_of_both_is_moved_up_and_no_loss(tmp_path: Path) -> None:
    """The length that the file gives counts the pause in."""
    pictures = [(n / 5, 90) for n in (*range(100), *range(500, 600))]
    path = write_timed(tmp_path / "p.mkv", pictures=pictures, sounds=[(0, 20), (100, 120)])
    clip = read_clip(path)
    assert (clip.claimed, clip.duration) == pytest.approx((120, 40), abs=0.3)
    assert set(clip.warnings) == {f"{s}: time stamps jump, mended" for s in ("picture", "sound")}
    assert not any(window.truncated for window in in_windows(path))


@pytest.mark.parametrize("begin", [1000.0, 0.0])
def test_recordings_one_behind_the_other_are_moved_up(tmp_path: Path, begin: float) -> None:
    """The clock steps ahead or back; picture and sound stay together."""
    parts = []
    for n, start in enumerate((0.0, begin)):
        pictures = [(start + k / 5, 40 + 160 * n) for k in range(50)]
        part = write_timed(tmp_path / f"{n}.ts", pictures=pictures, sounds=[(start, start + 10)])
        parts.append(part.read_bytes())
    path = tmp_path / "both.ts"
    path.write_bytes(b"".join(parts))
    clip = read_clip(path, video=EVERY_SECOND, audio=16_000)
    assert clip.duration == pytest.approx(20, abs=0.2)
    assert not clip.truncated
    assert set(clip.warnings) == {f"{s}: time stamps jump, mended" for s in ("picture", "sound")}
    assert clip.frames is not None
    grey = clip.frames.images.mean(axis=(1, 2, 3))
    assert (np.flatnonzero(grey > 120) == np.arange(10, 20)).all()
    with open_source(path) as source:
        lengths = [extent.length for extent in scan(source).values()]
    assert lengths == pytest.approx([20, 20], abs=0.2)
    windows = in_windows(path)
    assert [w.start for w in windows] == [0.0]
    assert windows[0].frames is not None
    assert windows[0].frames.times == pytest.approx(clip.frames.times, abs=0.01)


def test_one_stream_alone_is_read_on_the_clock_of_both(tmp_path: Path) -> None:
    """Whoever asks for the picture only sees the same times as who asks for both."""
    parts = []
    for n, start in enumerate((0.0, 1000.0)):
        pictures = [(start + k / 5, 40 + 160 * n) for k in range(50)]
        part = write_timed(tmp_path / f"{n}.ts", pictures=pictures, sounds=[(start, start + 10)])
        parts.append(part.read_bytes())
    path = tmp_path / "both.ts"
    path.write_bytes(b"".join(parts))
    assert read_clip(path, video=EVERY_SECOND, audio=None).duration == pytest.approx(20, abs=0.2)
    assert read_clip(path, video=None, audio=16_000).duration == pytest.approx(20, abs=0.2)


def test_a_stamp_behind_the_end_of_the_file_is_an_error(tmp_path: Path) -> None:
    """One wrong stamp does not put hours of silence into the sound."""
    path = write_timed(tmp_path / "w.mkv", sounds=[(0, 10)])
    wrong = tmp_path / "wrong.mkv"
    with av.open(str(path)) as source, av.open(str(wrong), "w") as out:
        stream = out.add_stream_from_template(source.streams.audio[0])
        for n, packet in enumerate(source.demux(source.streams.audio[0])):
            if packet.size:
                if n == 100:
                    packet.pts += 5_000_000
                    packet.dts += 5_000_000
                elif n > 100:
                    break
                packet.stream = stream
                out.mux(packet)
    data = wrong.read_bytes()
    with open_source(wrong) as claims:
        assert claims.length is not None
    # The muxer counted the stamp in: give the file the length that it has.
    at = data.index(b"\x44\x89\x88") + 3
    wrong.write_bytes(data[:at] + np.array(6500.0, ">f8").tobytes() + data[at + 8 :])
    clip = read_clip(wrong, video=None, audio=16_000)
    assert clip.waveform is not None
    assert clip.waveform.duration < 8


def test_a_track_that_nobody_reads_is_not_held_to_its_end() -> None:
    source = SimpleNamespace(length=None, video=None, audio=None, unread=())
    clock = Clock(source, lambda name, seconds: None)  # type: ignore[arg-type]
    endless = (SimpleNamespace(stream=SimpleNamespace(index=7)) for _ in itertools.count())
    assert not list(clock._coming(endless))  # type: ignore[arg-type]
    assert len(clock._ahead) <= 5_000
