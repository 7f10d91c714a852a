"""Speed and memory of extraction; what it survives is in extraction_survival.py.

    python perf/extraction.py speed             null encoder against plain decoding; × real time
    python perf/extraction.py speed --videos V  the same with your own class folders or manifest
    python perf/extraction.py few               few frames of a long recording, with both decoders

All figures of a table come from one run on one machine, taken in turn, so that they compare. On a
busy machine compare processor seconds: the clock then measures the others.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # workers import the encoders below

from ezav.encoders.base import Encoded, EncoderCard, MediaNeeds
from ezav.extraction import EncoderSpec, WorkerPool, list_videos
from ezav.media import Frames, FrameSpec, Waveform, read_clip

HERE = "perf.extraction"
DISTINCT = 40
SHORT_SIDES = (128, 240, 360, 480)


class _Null:
    """Takes what a usual encoder takes and does nothing with it."""

    kind: str
    needs: MediaNeeds

    def __init__(self) -> None:
        self.card = EncoderCard(
            name=f"{HERE}:{type(self).__name__}",
            kind=self.kind,  # type: ignore[arg-type]
            dimension=1,
            needs=self.needs,
            source="perf",
            revision="1",
            licence="MIT",
        )

    def encode(self, clips: Sequence[Frames | Waveform]) -> list[Encoded]:
        return [Encoded(np.zeros((1, 1), np.float32), np.zeros(1, np.float32)) for _ in clips]


class NullVisual(_Null):
    kind, needs = "visual", MediaNeeds(frames=8, short_side=224)


class NullAudio(_Null):
    kind, needs = "audio", MediaNeeds(sample_rate=16_000)


NULL = EncoderSpec(f"{HERE}:NullVisual"), EncoderSpec(f"{HERE}:NullAudio")
BUILT_IN = EncoderSpec("statistics"), EncoderSpec("statistics")


def write_clip(path: Path, short_side: int, seconds: float, seed: int) -> None:
    """H.264 at 25 fps and AAC: a textured picture that drifts, with grain, and a noisy tone."""
    rng = np.random.default_rng(seed)
    height, width = short_side, short_side * 4 // 3
    coarse = rng.uniform(0, 255, (height // 8 + 26, width // 8 + 26, 3)).astype(np.float32)
    sheet = coarse.repeat(8, axis=0).repeat(8, axis=1)
    drift = rng.uniform(-3, 3, 2)
    rate = 44_100
    time_axis = np.arange(round(seconds * rate)) / rate
    tone = np.sin(2 * np.pi * rng.uniform(200, 2_000) * time_axis)
    sound = (0.3 * tone + rng.normal(0, 0.05, len(time_axis))).astype(np.float32)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25, options={"preset": "veryfast"})
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        audio = container.add_stream("aac", rate=rate, layout="mono")
        for number in range(round(seconds * 25)):
            top, left = (int(100 + 90 * np.sin(number * d / 100)) for d in drift)
            view = sheet[top : top + height, left : left + width]
            image = view + rng.integers(-12, 13, (height, width, 1))
            frame = av.VideoFrame.from_ndarray(image.clip(0, 255).astype(np.uint8), format="rgb24")
            container.mux(video.encode(frame))
        container.mux(video.encode())
        for at in range(0, len(sound), 1024):
            piece = av.AudioFrame.from_ndarray(
                sound[None, at : at + 1024], format="fltp", layout="mono"
            )
            piece.sample_rate, piece.pts, piece.time_base = rate, at, Fraction(1, rate)
            container.mux(audio.encode(piece))
        container.mux(audio.encode())


def generated(folder: Path, copies: int) -> list[Path]:
    """Clips of 128 to 480 lines and 3 to 10 s; 40 different ones, so many times each."""
    clips = []
    for number in range(DISTINCT):
        side, seconds = SHORT_SIDES[number % 4], 3 + 7 * (number // 4) / (DISTINCT // 4 - 1)
        first = folder / f"{number % 5}" / f"{side}p_{number:02d}_0.mp4"
        first.parent.mkdir(parents=True, exist_ok=True)
        if not first.exists():
            part = first.with_suffix(".part.mp4")
            write_clip(part, side, seconds, number)
            part.rename(first)
        for copy in range(copies):
            path = first.with_name(f"{side}p_{number:02d}_{copy}.mp4")
            if not path.exists():
                shutil.copy(first, path)
            clips.append(path)
    return clips


def decode_plainly(path: Path) -> int:
    """PyAV's own loop over picture and sound, one thread; the number of frames."""
    frames = 0
    with av.open(str(path), metadata_errors="ignore") as container:
        streams = [*container.streams.video[:1], *container.streams.audio[:1]]
        for stream in streams:
            stream.codec_context.thread_count = 1
        for packet in container.demux(streams):
            decoded = packet.decode()
            if packet.stream.type == "video":
                frames += len(decoded)
    return frames


def plain_pyav(paths: Sequence[Path], workers: int) -> float:
    pool = multiprocessing.Pool(workers)
    begun = time.perf_counter()
    for _ in pool.imap_unordered(decode_plainly, paths):
        pass
    wall = time.perf_counter() - begun
    pool.close()
    pool.join()
    return wall


def plain_ffmpeg(paths: Sequence[Path], workers: int) -> float:
    def one(path: Path) -> None:
        command = ["ffmpeg", "-v", "quiet", "-threads", "1", "-i", str(path), "-f", "null", "-"]
        subprocess.run(command, check=True)

    begun = time.perf_counter()
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(one, paths))
    return time.perf_counter() - begun


def through_pool(
    paths: Sequence[Path], workers: int, specs: tuple[EncoderSpec, EncoderSpec]
) -> tuple[float, float, int]:
    """Wall seconds, seconds of recordings, most bytes in use (this process and the workers)."""
    with WorkerPool(*specs, workers=workers) as pool:
        memory = MemoryWatch([os.getpid(), *(worker._process.pid for worker in pool._workers)])
        begun = time.perf_counter()
        length = sum(clip.duration for _, clip in pool.encode(paths))
        return time.perf_counter() - begun, length, memory.stop()


def cpu_seconds() -> float:
    """Of this process and of its children that have ended."""
    return sum(os.times()[:4])


class MemoryWatch:
    """The most memory that some processes had together."""

    def __init__(self, pids: Sequence[int]) -> None:
        self.most = 0
        self._pids = pids
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> int:
        self._done.set()
        self._thread.join()
        return self.most

    def _run(self) -> None:
        page = os.sysconf("SC_PAGE_SIZE")
        while not self._done.wait(0.05):
            pages = 0
            for pid in self._pids:
                try:
                    pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
                except OSError:
                    continue
            self.most = max(self.most, pages * page)


def speed(videos: Path | None, copies: int, workers: int, repeats: int) -> None:
    if videos is None:
        folder = Path(tempfile.gettempdir()) / "ezav-perf-extraction"
        print(f"clips: {folder} (made when absent)", file=sys.stderr)
        paths = generated(folder, copies)
    else:
        paths = [item.path for item in list_videos(videos).items]
    frames = sum(map(decode_plainly, paths))
    plain: dict[str, Callable[[], float]] = {"PyAV": lambda: plain_pyav(paths, workers)}
    if shutil.which("ffmpeg"):
        plain["ffmpeg"] = lambda: plain_ffmpeg(paths, workers)
    length = through_pool(paths, workers, NULL)[1]
    work = {
        **plain,
        "null": lambda: through_pool(paths, workers, NULL)[0],
        "built-in": lambda: through_pool(paths, workers, BUILT_IN)[0],
    }
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in work}
    for _ in range(repeats):
        for name, measure in work.items():
            before = cpu_seconds()
            wall = measure()
            taken[name].append((wall, cpu_seconds() - before))
    print(f"{len(paths)} clips, {length:.0f} s, {frames} frames; {workers} processes of one thread")
    print(f"median of {repeats}, in turn; load of the machine {os.getloadavg()[0]:.1f}\n")
    bases = "".join(f" of {name}, clock / CPU |" for name in plain)
    print(f"| what | s | frames/s | clips/s | × real time | CPU s | frames per CPU s |{bases}")
    print("|---|---|---|---|---|---|---|" + "---|" * len(plain))
    for name, times in taken.items():
        wall, cpu = (statistics.median(column) for column in zip(*times))
        label = f"plain decoding, {name}" if name in plain else f"extraction, {name} encoders"
        line = (
            f"| {label} | {wall:.1f} | {frames / wall:.0f} | {len(paths) / wall:.1f} "
            f"| {length / wall:.0f} | {cpu:.1f} | {frames / cpu:.0f} |"
        )
        for base in plain:
            walls, cpus = (statistics.median(column) for column in zip(*taken[base]))
            line += f" {walls / wall:.0%} / {cpus / cpu:.0%} |"
        print(line)
    lines240 = [path for path in paths if path.name.startswith("240p")]
    if lines240:
        before = cpu_seconds()
        wall, length, _ = through_pool(lines240, workers, BUILT_IN)
        cpu = cpu_seconds() - before
        print(
            f"\n240 lines, built-in encoders: {length / wall:.0f} × real time, "
            f"{length / cpu:.0f} s of video per CPU second"
        )
    order = random.Random(0).sample(paths, len(paths))
    few = through_pool(order[: len(paths) // 4], workers, BUILT_IN)[2]
    all_of_them = through_pool(order, workers, BUILT_IN)[2]
    print(
        f"\nmost memory, all processes together: {few >> 20} MiB for {len(paths) // 4} clips, "
        f"{all_of_them >> 20} MiB for {len(paths)}"
    )


def few(seconds: int) -> None:
    """Eight frames of one long recording, read with PyAV and with torchcodec."""
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "long.mp4"
        write_clip(path, 240, seconds, 0)
        for name in ("pyav", "torchcodec"):
            read_clip(path, video=FrameSpec.middle(), audio=None, decoder=name)  # type: ignore[arg-type]
            before = time.process_time()
            read_clip(path, video=FrameSpec.uniform(8), audio=None, decoder=name)  # type: ignore[arg-type]
            print(f"{name}: {time.process_time() - before:.2f} CPU s for 8 frames of {seconds} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    verbs = parser.add_subparsers(dest="verb", required=True)
    fast = verbs.add_parser("speed")
    fast.add_argument("--videos", type=Path)
    fast.add_argument("--copies", type=int, default=5, help="of 40 clips; 5 make the 200")
    fast.add_argument("--workers", type=int, default=2)
    fast.add_argument("--repeats", type=int, default=3)
    sparse = verbs.add_parser("few")
    sparse.add_argument("--seconds", type=int, default=300)
    arguments = parser.parse_args()
    if arguments.verb == "speed":
        speed(arguments.videos, arguments.copies, arguments.workers, arguments.repeats)
    else:
        few(arguments.seconds)


if __name__ == "__main__":
    main()
