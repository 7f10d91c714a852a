"""Small media files made on the spot, each with a known content."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

RATE = 16_000


def grey_levels(count: int) -> list[int]:
    """A grey level for each frame number, so that a decoded frame says which one it is."""
    return [16 + (200 * n) // max(1, count - 1) for n in range(count)]


def write_clip(
    path: Path,
    *,
    times: Sequence[float] | None = None,
    frames: int = 20,
    fps: int = 10,
    size: tuple[int, int] = (64, 48),
    tone: float | None = 440.0,
    sound_seconds: float | None = None,
    rate: int = RATE,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    rotation: int = 0,
    pixel_aspect: Fraction | None = None,
    picture: Any = None,
    faststart: bool = False,
) -> Path:
    """Frames of rising grey at `fps` (or at `times`), and a tone (`tone=None`: no sound).

    `picture(n)` gives frame n as uint8 `[H, W, 3]` instead of a grey one.
    """
    count = len(times) if times is not None else frames
    stamps = times if times is not None else [n / fps for n in range(count)]
    width, height = size
    flags = {"movflags": "faststart"} if faststart else {}
    with av.open(str(path), "w", container_options=flags) as container:
        video = container.add_stream(codec, rate=fps, options=options or {"g": "250"})
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        video.codec_context.time_base = Fraction(1, 1000)
        if pixel_aspect is not None:
            video.codec_context.sample_aspect_ratio = pixel_aspect
        if rotation:
            video.set_display_rotation(rotation)
        if tone is not None:
            sound = container.add_stream("aac", rate=rate, layout="mono")
        for n, (level, stamp) in enumerate(zip(grey_levels(count), stamps)):
            image = np.full((height, width, 3), level, np.uint8) if picture is None else picture(n)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = round(stamp * 1000), Fraction(1, 1000)
            container.mux(video.encode(frame))
        container.mux(video.encode())
        if tone is not None:
            length = sound_seconds if sound_seconds is not None else count / fps
            samples = sine(tone, length, rate)
            for at in range(0, len(samples), 1024):
                piece = samples[None, at : at + 1024]
                frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout="mono")
                frame.sample_rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
                container.mux(sound.encode(frame))
            container.mux(sound.encode())
    return path


def write_wav(path: Path, samples: np.ndarray, rate: int, layout: str = "mono") -> Path:
    """16-bit PCM of float samples `[channels, S]`."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=rate, layout=layout)
        whole = np.round(np.clip(samples, -1, 1) * 32767).astype(np.int16)
        packed = np.ascontiguousarray(whole.T.reshape(1, -1))
        frame = av.AudioFrame.from_ndarray(packed, format="s16", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def sine(frequency: float, seconds: float, rate: int, amplitude: float = 0.5) -> np.ndarray:
    """Float32 samples of a tone."""
    time = np.arange(round(seconds * rate)) / rate
    return (amplitude * np.sin(2 * np.pi * frequency * time)).astype(np.float32)


def loudest(samples: np.ndarray, rate: int) -> float:
    """The strongest frequency in Hz."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(spectrum.argmax() * rate / len(samples))


def write_timed(
    path: Path,
    *,
    pictures: Sequence[tuple[float, int]] = (),
    sounds: Sequence[tuple[float, float]] = (),
    codecs: tuple[str, str] = ("libx264", "aac"),
    rate: int = RATE,
    options: dict[str, str] | None = None,
) -> Path:
    """Grey pictures at given times, and a tone from each beginning to each end."""
    events: list[tuple[float, int, Any]] = [(time, 0, grey) for time, grey in pictures]
    for begin, end in sounds:
        tone = sine(300.0, end - begin, rate)
        events += [(begin + n / rate, 1, tone[n : n + 1024]) for n in range(0, len(tone), 1024)]
    events.sort(key=lambda event: event[:2])
    with av.open(str(path), "w", container_options=options or {}) as container:
        video = sound = None
        if pictures:
            video = container.add_stream(codecs[0], rate=25)
            video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
            video.codec_context.time_base = Fraction(1, 1000)
            video.codec_context.gop_size = 5
            if codecs[0] == "libx264":
                video.options = {"preset": "ultrafast", "tune": "zerolatency"}
        if sounds:
            sound = container.add_stream(codecs[1], rate=rate, layout="mono")
        for time, kind, what in events:
            if kind == 0:
                image = np.full((48, 64, 3), what, np.uint8)
                picture = av.VideoFrame.from_ndarray(image, format="rgb24")
                picture.pts, picture.time_base = round(time * 1000), Fraction(1, 1000)
                container.mux(video.encode(picture))
            elif len(what) == 1024:
                piece = av.AudioFrame.from_ndarray(what[None], format="fltp", layout="mono")
                piece.sample_rate, piece.time_base = rate, Fraction(1, rate)
                piece.pts = round(time * rate)
                container.mux(sound.encode(piece))
        for stream in (video, sound):
            if stream is not None:
                container.mux(stream.encode())
    return path
