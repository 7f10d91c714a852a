"""Kinds of file that people have, made on the spot: pictures, sound or a reason out of each."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import av
import numpy as np
import pytest

from ezav.media import FrameSpec, read_clip
from tests.media.files import loudest, sine, write_clip

COLOUR = (200, 100, 60)


def write_colour(path: Path, codec: str, pixels: str, frames: int = 10) -> Path:
    """Frames of one colour, blue rising by 10."""
    if codec not in av.codecs_available:
        pytest.skip(f"this PyAV cannot write {codec}")
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pixels
        for n in range(frames):
            image = np.full((48, 64, 3), (*COLOUR[:2], COLOUR[2] + 10 * n), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [
        ("animation.gif", "gif", "rgb8"),
        ("motion.avi", "mjpeg", "yuvj420p"),  # full range
        ("ten bits 4:2:2.mkv", "libx264", "yuv422p10le"),
        ("ten bits.mp4", "libx265", "yuv420p10le"),
        ("av1.mp4", "libsvtav1", "yuv420p10le"),
        ("camera.mov", "prores_ks", "yuv422p10le"),
        ("raw.avi", "rawvideo", "bgr24"),
        ("transparent.mov", "png", "rgba"),
        ("lossless.mkv", "ffv1", "yuv444p16le"),
    ],
)
def test_colours_come_out_of_every_kind(name: str, codec: str, pixels: str, tmp_path: Path) -> None:
    clip = read_clip(write_colour(tmp_path / name, codec, pixels), video=FrameSpec.uniform(2))
    assert (clip.status, clip.frames_decoded, clip.audio_missing) == ("ok", 10, "no audio stream")
    assert clip.duration == pytest.approx(1.0, abs=0.01)
    assert clip.frames is not None
    found = clip.frames.images.mean(axis=(1, 2))
    # Frames 2 and 7; the gif has a palette of 3 + 3 + 2 bits, dithered.
    np.testing.assert_allclose(found, [(200, 100, 80), (200, 100, 130)], atol=4)


def test_a_4k_picture(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "4k.mp4", size=(3840, 2160), frames=2, tone=None)
    clip = read_clip(path, video=[FrameSpec.middle(), FrameSpec.middle(224)])
    assert [f.images.shape[1:3] for f in clip.video.values()] == [(2160, 3840), (224, 398)]


def test_interlaced(tmp_path: Path) -> None:
    path = write_clip(
        tmp_path / "tv.mkv",
        options={"x264-params": "tff=1:bframes=0"},
        fps=25,
        frames=10,
        tone=None,
    )
    clip = read_clip(path, video=FrameSpec.every())
    assert (clip.status, clip.frames_decoded) == ("ok", 10)
    with av.open(str(path)) as container:
        assert next(container.decode(video=0)).interlaced_frame


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.flac", "flac"), ("a.mp3", "libmp3lame"), ("a.ogg", "libopus"), ("a.m4a", "aac")],
)
def test_sound_alone(name: str, codec: str, tmp_path: Path) -> None:
    with av.open(str(tmp_path / name), "w") as container:
        stream = container.add_stream(codec, rate=48_000, layout="stereo")
        resampler = av.AudioResampler(
            format=stream.format, layout="stereo", rate=48_000, frame_size=stream.frame_size or 1024
        )
        samples = np.stack([sine(440, 1.0, 48_000)] * 2)
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="stereo")
        frame.sample_rate = 48_000
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(piece))
        container.mux(stream.encode())
    clip = read_clip(tmp_path / name)
    assert (clip.status, clip.video_missing) == ("ok", "no video stream")
    assert clip.waveform is not None
    assert clip.waveform.duration == pytest.approx(1.0, abs=0.06)
    assert loudest(clip.waveform.samples, 16_000) == pytest.approx(440, abs=3)


def test_a_link_to_itself(tmp_path: Path) -> None:
    (tmp_path / "loop.mp4").symlink_to("loop.mp4")
    assert "symbolic links" in read_clip(tmp_path / "loop.mp4").reason


def test_a_name_that_is_no_utf8(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "plain.mp4", frames=3, tone=None)
    odd = os.path.join(os.fsencode(tmp_path), b"caf\xe9 \n.mp4")
    os.rename(path, odd)
    assert read_clip(os.fsdecode(odd)).status == "ok"


def test_a_picture_that_claims_to_be_huge(tmp_path: Path) -> None:
    """Forty thousand pixels square would be 4.8 GB a frame."""
    path = write_colour(tmp_path / "huge.avi", "rawvideo", "bgr24", frames=3)
    data = bytearray(path.read_bytes())
    at = data.index(b"strf") + 8
    assert struct.unpack_from("<ii", data, at + 4) == (64, -48)  # from the top
    struct.pack_into("<ii", data, at + 4, 40_000, -40_000)
    path.write_bytes(data)
    clip = read_clip(path)
    assert (clip.status, clip.video) == ("failed", {})
    assert clip.reason
