"""Frames by time stamp, upright and scaled; reasons for every kind of file that gives nothing."""

from __future__ import annotations

import os
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ezav.errors import EzavError
from ezav.media import Frames, FrameSpec, TooLongError, read_clip, read_windows
from ezav.media.chained import demuxed
from ezav.media.picture import Orientation
from tests.media.files import grey_levels, write_clip, write_timed

EVERY = FrameSpec.every()


def frames_of(path: Path, spec: FrameSpec) -> Frames:
    frames = read_clip(path, video=spec, audio=None).frames
    assert frames is not None
    return frames


def numbers(frames: Frames, levels: list[int]) -> list[int]:
    """Which frame of the file each one is, by its grey."""
    grey = frames.images.mean(axis=(1, 2, 3))
    return [int(np.abs(np.array(levels) - value).argmin()) for value in grey]


def test_frames_are_chosen_by_time_stamp(tmp_path: Path) -> None:
    times = [0.0, 0.1, 0.2, 1.0, 1.1, 3.0, 3.2]
    path = write_clip(tmp_path / "vfr.mp4", times=times, tone=None)
    levels = grey_levels(len(times))
    every = frames_of(path, EVERY)
    assert every.times == pytest.approx(times)
    assert numbers(every, levels) == list(range(7))
    end = read_clip(path, audio=None).duration
    for spec in (FrameSpec.uniform(5), FrameSpec.uniform(40), FrameSpec.at_fps(7.0)):
        frames = frames_of(path, spec)
        instants = spec.times(end)
        # Independent: the last frame that has begun at each instant.
        shown = [max(n for n, time in enumerate(times) if time <= t) for t in instants]
        assert frames.times == pytest.approx(instants)
        assert numbers(frames, levels) == shown


@settings(deadline=None, max_examples=50)
@given(duration=st.floats(0.01, 5000), count=st.integers(1, 64), fps=st.floats(0.1, 60))
def test_instants_are_the_middles_of_equal_intervals(
    duration: float, count: int, fps: float
) -> None:
    times = FrameSpec.uniform(count).times(duration)
    edges = np.linspace(0, duration, count + 1)
    assert times == pytest.approx((edges[1:] + edges[:-1]) / 2)
    at_fps = FrameSpec.at_fps(fps).times(duration)
    assert abs(len(at_fps) - max(1.0, duration * fps)) <= 0.5 + 1e-6
    assert ((at_fps > 0) & (at_fps < duration)).all()


def test_several_specs_and_rates_from_one_decoding(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4")
    specs = [FrameSpec.uniform(3), FrameSpec.at_fps(5, short_side=24), FrameSpec.middle(12)]
    clip = read_clip(path, video=specs, audio=[8_000, 16_000])
    assert list(clip.video) == specs
    assert list(clip.audio) == [8_000, 16_000]
    for spec in specs:
        alone = frames_of(path, spec)
        assert np.array_equal(clip.video[spec].images, alone.images)
        assert np.array_equal(clip.video[spec].times, alone.times)
    with pytest.raises(EzavError, match="3 frame specs"):
        _ = clip.frames


def corner(n: int) -> np.ndarray:
    """A red rectangle at the top left, a little wider than high."""
    image = np.zeros((48, 64, 3), np.uint8)
    image[:16, :32] = [255, 0, 0]
    return image


@pytest.mark.parametrize("angle", [0, 90, 180, -90])
def test_rotation_is_undone(tmp_path: Path, angle: int) -> None:
    path = write_clip(tmp_path / "r.mp4", rotation=angle, frames=3, picture=corner, tone=None)
    image = frames_of(path, FrameSpec.middle()).images[0]
    expected = np.rot90(corner(0), angle // 90)  # counter-clockwise, as display matrices count
    assert image.shape == expected.shape
    assert np.abs(image.astype(int) - expected).mean() < 8


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        ((1, 0, 0, 0, 1), lambda x: x),
        ((-1, 0, 0, 0, 1), lambda x: x[:, ::-1]),
        ((1, 0, 0, 0, -1), lambda x: x[::-1]),
        ((0, 1, 0, 1, 0), lambda x: x.swapaxes(0, 1)),
        ((0, 1, 0, -1, 0), lambda x: np.rot90(x, -1)),
        ((3, 4, 0, -4, 3), lambda x: x),  # no right angle: ignored
        ((0, 0, 0, 0, 0), lambda x: x),
    ],
)
def test_display_matrices(matrix: tuple[int, ...], expected) -> None:  # type: ignore[no-untyped-def]
    image = np.arange(6, dtype=np.uint8).reshape(2, 3)
    scaled = (*(65536 * entry for entry in matrix), 0, 0, 0, 1 << 30)
    assert np.array_equal(Orientation.from_matrix(scaled).apply(image), expected(image))


def test_pixels_are_made_square(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "p.mp4", pixel_aspect=Fraction(2, 1), frames=3, tone=None)
    assert frames_of(path, FrameSpec.middle()).images.shape == (1, 48, 128, 3)
    assert frames_of(path, FrameSpec.middle(24)).images.shape == (1, 24, 64, 3)


def test_frames_are_shrunk_never_enlarged(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "s.mp4", size=(64, 48), frames=3, picture=corner, tone=None)
    assert frames_of(path, FrameSpec.middle(224)).images.shape == (1, 48, 64, 3)
    small = frames_of(path, FrameSpec.middle(12)).images[0]
    assert small.shape == (12, 16, 3)
    # Independent: means over blocks of 4 × 4, away from the edge of the rectangle.
    full = frames_of(path, FrameSpec.middle()).images[0].astype(float)
    blocks = full.reshape(12, 4, 16, 4, 3).mean(axis=(1, 3))
    assert np.abs(blocks[:, [0, 1, 14, 15]] - small[:, [0, 1, 14, 15]]).max() < 30
    assert np.abs(blocks - small).mean() < 4


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [(".mkv", "libx265"), (".webm", "libvpx-vp9"), (".avi", "mpeg4"), (".mp4", "libsvtav1")],
)
def test_containers_and_codecs(tmp_path: Path, suffix: str, codec: str) -> None:
    if codec not in av.codecs_available:
        pytest.skip(f"this PyAV cannot write {codec}")
    path = write_clip(
        tmp_path / f"clip{suffix}", codec=codec, tone=None, options={}, size=(128, 96)
    )
    clip = read_clip(path, video=EVERY)
    assert (clip.status, clip.audio_missing) == ("ok", "no audio stream")
    assert clip.frames is not None
    assert numbers(clip.frames, grey_levels(20)) == list(range(20))


def test_file_kinds_that_are_no_recordings(tmp_path: Path) -> None:
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "broken.mp4").symlink_to(tmp_path / "gone.mp4")
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("no video at all\n" * 200)
    (tmp_path / "text.txt").write_text("FFmpeg would draw this as a picture\n" * 200)
    os.mkfifo(tmp_path / "pipe.mp4")
    av.VideoFrame.from_ndarray(corner(0), format="rgb24").to_image().save(tmp_path / "still.png")
    reasons = {
        "folder.mp4": "a folder, not a file",
        "broken.mp4": "broken link",
        "gone.mp4": "no such file",
        "empty.mp4": "empty file",
        "text.mp4": "not a media file",
        "text.txt": "not a media file",
        "pipe.mp4": "a pipe or device, not a file",
        "still.png": "not a media file",
    }
    found = {name: read_clip(tmp_path / name) for name in reasons}
    assert {name: clip.reason for name, clip in found.items()} == reasons
    assert {clip.status for clip in found.values()} == {"failed"}


def test_a_name_that_no_file_can_have() -> None:
    assert read_clip("a\0b.mp4").reason == "no file can have such a name"


def test_unreadable_file() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        path = write_clip(Path(folder) / "secret.mp4", frames=2, tone=None)
        path.chmod(0)
        root = os.geteuid() == 0
        try:
            if root:  # who may read everything: ask as nobody
                os.seteuid(65534)
            assert read_clip(path).reason == "permission denied"
        finally:
            if root:
                os.seteuid(0)


def test_a_playlist_opens_no_other_file(tmp_path: Path) -> None:
    inside = write_clip(tmp_path / "inside.ts", frames=5, tone=None)
    playlist = tmp_path / "list.m3u8"
    playlist.write_text(
        f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:0.5,\n{inside}\n#EXT-X-ENDLIST\n"
    )
    concat = tmp_path / "list.ffconcat"
    concat.write_text(f"ffconcat version 1.0\nfile '{inside.name}'\n")
    assert read_clip(inside).status == "ok"
    assert read_clip(playlist).reason == "not a media file"
    assert read_clip(concat).reason == "not a media file"


def test_a_cut_file_is_told_and_chosen_from_what_is_there(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 48, 64, 3), dtype=np.uint8)
    path = tmp_path / "whole.mp4"
    write_clip(
        path,
        frames=40,
        tone=None,
        picture=lambda n: noise[n],
        options={"g": "5", "bf": "0"},
        faststart=True,
    )
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(data[: len(data) // 2])
    clip = read_clip(cut, video=[EVERY, FrameSpec.uniform(4)], audio=None)
    kept = len(clip.video[EVERY])
    assert 10 < kept < 30
    assert (clip.status, clip.truncated) == ("damaged", True)
    assert "of 4 s" in clip.reason
    chosen = clip.video[FrameSpec.uniform(4)]
    assert chosen.times == pytest.approx((np.arange(4) + 0.5) * kept / 10 / 4, abs=0.1)


@pytest.mark.parametrize("late", [(8.0, 0.0), (0.0, 8.0)])
@pytest.mark.parametrize(
    ("suffix", "codecs", "rate"),
    [
        (".mkv", ("libx264", "aac"), 16_000),
        (".webm", ("libvpx", "libopus"), 48_000),
        (".avi", ("libx264", "libmp3lame"), 44_100),
        (".mp4", ("libx264", "aac"), 16_000),
    ],
)
def test_a_late_beginning_is_no_loss(
    tmp_path: Path,
    suffix: str,
    codecs: tuple[str, str],
    rate: int,
    late: tuple[float, float],
) -> None:
    if not set(codecs) <= av.codecs_available:
        pytest.skip(f"this PyAV cannot write {codecs}")
    pictures = [(late[0] + n / 10, 90) for n in range(round(10 * (20 - late[0])))]
    path = tmp_path / f"late{suffix}"
    write_timed(path, pictures=pictures, sounds=[(late[1], 20)], codecs=codecs, rate=rate)
    clip = read_clip(path)
    assert (clip.status, clip.warnings) == ("ok", ())
    assert clip.frames is not None
    assert clip.waveform is not None
    # Cut short it is told all the same.
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 7 // 10])
    if suffix != ".mp4":  # its index is at its end
        cut = read_clip(path)
        assert (cut.status, cut.truncated) == ("damaged", True)
        assert "picture truncated" in cut.reason


@pytest.mark.parametrize("seconds", [(20.0, 20.0), (8.0, 20.0), (20.0, 8.0)])
@pytest.mark.parametrize("asked", ["both", "picture", "sound"])
def test_a_cut_is_told_whatever_else_the_file_holds(
    tmp_path: Path, asked: str, seconds: tuple[float, float]
) -> None:
    """Streams that are not read say how far the file goes: its end may lie in them alone."""
    pictures = [(n / 10, 90) for n in range(round(10 * seconds[0]))]
    bare = write_timed(tmp_path / "bare.mkv", pictures=pictures, sounds=[(0, seconds[1])])
    path = with_subtitles(bare, tmp_path / "titled.mkv", lasting=25.0)
    wanted: dict[str, Any] = {"picture": {"audio": None}, "sound": {"video": None}}.get(asked, {})
    cut = tmp_path / "cut.mkv"
    for whole in (bare, path):
        data = whole.read_bytes()
        cut.write_bytes(data[: len(data) // 2])
        clip = read_clip(whole, **wanted)
        assert (clip.status, clip.warnings) == ("ok", ())
        assert [w.warnings for w in read_windows(whole, 100.0, **wanted)] == [()]
        clip = read_clip(cut, **wanted)
        assert (clip.status, clip.truncated) == ("damaged", True)
        assert all(" truncated: " in line for line in clip.warnings)
        assert [w.warnings for w in read_windows(cut, 100.0, **wanted)] == [clip.warnings]


def test_a_pause_that_is_moved_up_is_no_loss_beside_subtitles(tmp_path: Path) -> None:
    pictures = [(n / 5, 90) for n in (*range(100), *range(500, 600))]
    bare = write_timed(tmp_path / "p.mkv", pictures=pictures, sounds=[(0, 20), (100, 120)])
    path = with_subtitles(bare, tmp_path / "t.mkv", lasting=103.0)
    clip = read_clip(path)
    assert clip.duration == pytest.approx(40, abs=0.3)
    assert not clip.truncated
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 7 // 10])
    cut = read_clip(path)
    assert 23 < cut.duration < 35
    assert cut.truncated


def with_subtitles(path: Path, out: Path, lasting: float) -> Path:
    """A copy with two subtitles, at the beginning and until `lasting`."""
    srt = path.with_suffix(".srt")
    last = round(lasting)
    stamps = [f"00:{s // 60:02}:{s % 60:02},000" for s in (1, 2, last - 1, last)]
    srt.write_text("1\n{} --> {}\nhi\n\n2\n{} --> {}\nho\n\n".format(*stamps))
    with av.open(str(path)) as clip, av.open(str(srt)) as text, av.open(str(out), "w") as copy:
        found = []
        for source in (clip, text):
            streams = {s.index: copy.add_stream_from_template(s) for s in source.streams}
            for packet in source.demux():
                if packet.dts is not None:
                    time = float(packet.dts * packet.time_base)
                    packet.stream = streams[packet.stream.index]
                    found.append((time, packet))
        for _, packet in sorted(found, key=lambda pair: pair[0]):
            copy.mux(packet)
    return out


def test_the_length_of_a_live_recording_is_counted(tmp_path: Path) -> None:
    path = write_timed(tmp_path / "live.mkv", sounds=[(0, 200)], options={"live": "1"})
    assert read_clip(path, video=None).claimed is None
    for video in (None, FrameSpec.uniform(2)):
        with pytest.raises(TooLongError, match="200 s, more than 150 s"):
            read_clip(path, video=video, longest=150.0)
    assert read_clip(path, video=None, longest=201.0).status == "ok"


def test_damage_costs_until_the_next_key_frame(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (40, 48, 64, 3), dtype=np.uint8)
    path = tmp_path / "whole.mp4"
    write_clip(path, frames=40, tone=None, picture=lambda n: noise[n], options={"g": "10"})
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 6000] = b"\xff" * 6000
    path.write_bytes(data)
    clip = read_clip(path, video=EVERY, audio=None)
    assert clip.frames is not None
    assert clip.status == "damaged"
    assert 20 <= len(clip.frames) < 40
    assert clip.frames.times[-1] == pytest.approx(3.9)  # it goes on behind the damage
    assert (np.diff(clip.frames.times) > 0).all()


def test_what_is_not_asked_for_is_not_missing(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", tone=None, frames=3)
    clip = read_clip(path, video=None, audio=16_000)
    assert (clip.video_missing, clip.audio_missing) == ("", "no audio stream")
    assert clip.status == "failed"
    with pytest.raises(EzavError, match="neither frames nor sound"):
        read_clip(path, video=None, audio=None)
    with pytest.raises(EzavError, match="not both"):
        FrameSpec(count=2, fps=3.0)


def test_names_are_neither_options_nor_addresses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("-i.mp4", "concat:a|b.mp4", "100%03d.mp4", "http:x.mp4", "猫 'q' \"d\".mp4"):
        write_clip(tmp_path / "plain.mp4", frames=3, tone=None)
        (tmp_path / "plain.mp4").rename(tmp_path / name)
        assert read_clip(name).status == "ok", name


def test_a_stream_that_begins_late_breaks_the_recording_off(tmp_path: Path) -> None:
    """PyAV knows the streams that there were when it was opened: others are an IndexError."""
    path = write_clip(tmp_path / "a.flv", frames=4, size=(32, 32), rate=22_050)
    data, at, tags = path.read_bytes(), 13, {8: b"", 9: b"", 18: b""}
    while at + 11 < len(data):
        size = 15 + int.from_bytes(data[at + 1 : at + 4], "big")
        tags[data[at]] += data[at : at + size]
        at += size
    pictures = tags[9] * (16_000_000 // len(tags[9]))  # beyond what FFmpeg looks at beforehand
    path.write_bytes(b"FLV\1\1\0\0\0\x09\0\0\0\0" + pictures + tags[8])
    with av.open(str(path)) as container:
        packets = demuxed(container)
        next(packets)
        with pytest.raises(ValueError, match="a stream begins that the file did not tell of"):
            list(packets)
