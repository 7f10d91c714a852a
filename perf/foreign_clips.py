"""Clips that belong to no class: a blank frame, noise, music; made, written, and encoded.

    python perf/foreign_clips.py OUT.npz [--more FOLDER]

`--more` adds the media of a folder that can be read. OUT.npz holds the mean token of each clip by
the default encoders: `clip`, `kind`, `visual`, `audio`, `has_visual`, `has_audio`.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from ezav.encoders.defaults import DEFAULTS
from ezav.encoders.registry import card
from ezav.extraction.listing import recordings
from ezav.features.header import EncoderInfo, Header
from ezav.recognizer.encoders import RunEncoders
from ezav.recognizer.reading import ClipReader

Picture = Callable[[int], NDArray[np.uint8]]
"""Frame number to `[120, 160, 3]`."""
RATE, FPS, SECONDS = 16000, 10, 2
EACH = 12
"""Clips of each kind."""


def write(path: Path, picture: Picture, sound: NDArray[np.float32]) -> None:
    """A clip of `SECONDS`; the sound is `[SECONDS * RATE]` in -1 .. 1."""
    with av.open(str(path), "w") as file:
        video = file.add_stream("libx264", rate=FPS)
        video.width, video.height, video.pix_fmt = 160, 120, "yuv420p"
        audio = file.add_stream("aac", rate=RATE, layout="mono")
        for number in range(FPS * SECONDS):
            file.mux(video.encode(av.VideoFrame.from_ndarray(picture(number), format="rgb24")))
        file.mux(video.encode())
        frame = av.AudioFrame.from_ndarray(sound[None].astype(np.float32), "flt", "mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
        file.mux(audio.encode(frame))
        file.mux(audio.encode())


def made(folder: Path) -> Iterator[tuple[str, Path]]:
    """Kind and file of `EACH` clips of every kind."""
    random = np.random.default_rng(0)
    time = np.arange(SECONDS * RATE) / RATE
    for number in range(EACH):
        shade = (255, 0, 128)[number % 3] if number < 6 else random.integers(0, 256, 3)
        flat = np.broadcast_to(np.asarray(shade, np.uint8), (120, 160, 3)).copy()
        size = (15, 20) if number % 2 else (120, 160)
        loud = 0.3 * random.standard_normal(len(time))
        white = np.full((120, 160, 3), 255, np.uint8)
        yield "blank", _file(folder, "blank", number, lambda _, f=flat: f, 0 * time)
        yield (
            "noise",
            _file(folder, "noise", number, lambda _, s=size: _noise(random, s), loud),
        )
        music = _music(random, time)
        picture = white if number % 2 else _noise(np.random.default_rng(number), (3, 4))
        yield "music", _file(folder, "music", number, lambda _, p=picture: p, music)


def _file(
    folder: Path, kind: str, number: int, picture: Picture, sound: NDArray[np.floating]
) -> Path:
    path = folder / f"{kind}_{number:02}.mp4"
    write(path, picture, sound.astype(np.float32))
    return path


def _noise(random: np.random.Generator, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Random colours, in blocks where `size` is less than the frame's."""
    small = random.integers(0, 256, (*size, 3), dtype=np.uint8)
    return small.repeat(120 // size[0], 0).repeat(160 // size[1], 1)


def _music(random: np.random.Generator, time: NDArray[np.float64]) -> NDArray[np.float64]:
    """Four chords of three decaying notes with four partials each."""
    out = np.zeros(len(time))
    for start in np.arange(4) / 2:
        since = np.maximum(time - start, 0)
        for step in (0, 4, 7):
            pitch = 110 * 2 ** ((random.integers(0, 24) + step) / 12)
            for partial in range(1, 5):
                tone = np.sin(2 * np.pi * pitch * partial * since) / partial
                out += (time >= start) * tone * np.exp(-3 * since)
    return 0.5 * out / np.abs(out).max()


def encoded(files: list[tuple[str, Path]]) -> dict[str, NDArray[np.generic]]:
    """Mean tokens of those that can be read."""
    info = tuple(
        EncoderInfo(modality=kind, name=name, dimension=one.dimension, revision=one.revision)
        for kind in ("visual", "audio")
        for name in [DEFAULTS[kind]]
        for one in [card(kind, name)]
    )
    width = {one.modality: one.dimension for one in info}
    rows: dict[str, list[object]] = {}
    with ClipReader(RunEncoders(Header(dataset="foreign", encoders=info), None)) as reader:
        for (kind, _), clip in zip(files, reader.encode([path for _, path in files]), strict=True):
            if clip.error:
                continue
            rows.setdefault("clip", []).append(Path(clip.path).name)
            rows.setdefault("kind", []).append(kind)
            for modality, tokens in (("visual", clip.visual), ("audio", clip.audio)):
                mean = np.zeros(width[modality]) if tokens is None else tokens.values.mean(axis=0)
                rows.setdefault(modality, []).append(mean.astype(np.float32))
                rows.setdefault(f"has_{modality}", []).append(tokens is not None)
    return {name: np.asarray(values) for name, values in rows.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--more", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files = list(made(Path(folder)))
        if given.more:
            files += [("odd", path) for path in recordings(given.more)]
        found = encoded(files)
    np.savez(given.out, **found)  # type: ignore[arg-type]
    kinds, counts = np.unique(found["kind"], return_counts=True)
    print(", ".join(f"{count} {kind}" for kind, count in zip(kinds, counts)))


if __name__ == "__main__":
    main()
