"""Speed and memory of the default networks, and what was tried to make them faster.

    python perf/encoders.py ways                   each way of running a network, taken in turn
    python perf/encoders.py clips FOLDER           extraction of a folder or manifest, × real time
    python perf/encoders.py memory                 peak memory over the length of one clip

All figures of a table come from one run on one machine. On a busy machine compare the ratios, or
processor seconds: the clock then measures the others.
"""

from __future__ import annotations

import argparse
import copy
import logging
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ezav.encoders import aisfx, efficientnet
from ezav.encoders.aisfx_network import AiSFX
from ezav.encoders.efficientnet_network import EfficientNetLite
from ezav.encoders.packaged import read_packaged
from ezav.encoders.registry import load_audio, load_visual
from ezav.encoders.spec import EncoderSpec
from ezav.extraction import WorkerPool, list_videos
from ezav.media.clip import Frames, Waveform

Run = Callable[[Tensor], Tensor]


def pictures() -> nn.Module:
    net = EfficientNetLite().eval().requires_grad_(False)
    net.load_state_dict(read_packaged(efficientnet.WEIGHTS))
    return net


def sounds() -> nn.Module:
    net = AiSFX().eval().requires_grad_(False)
    weights = read_packaged(aisfx.WEIGHTS)
    net.load_state_dict({k: v for k, v in weights.items() if not k.startswith("fc.")})
    return net


def on_onnx(net: nn.Module, batch: Tensor) -> Run | None:
    """ONNX Runtime on one thread; None where it is not installed."""
    try:
        import onnxruntime
    except ImportError:
        return None
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / "net.onnx"
        torch.onnx.export(net, (batch,), path, dynamo=True, verbose=False)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda x: torch.from_numpy(session.run(None, {name: x.numpy()})[0])


def ways_of(make: Callable[[], nn.Module], batch: Tensor) -> dict[str, tuple[Run, Tensor]]:
    plain, folded = make(), make()
    reordered = make().to(memory_format=torch.channels_last)
    folded.fold()  # type: ignore[operator]
    last = batch.contiguous(memory_format=torch.channels_last) if batch.ndim == 4 else batch
    planes = copy.deepcopy(folded).to(memory_format=torch.contiguous_format)
    half = copy.deepcopy(folded).to(torch.bfloat16)

    def autocast(x: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return folded(x)

    found: dict[str, tuple[Run, Tensor]] = {
        "plain": (plain, batch),
        "channels last": (reordered, last),
        "folded": (planes, batch),
        "folded, channels last (what is used)": (folded, last),
        "the same, bfloat16 weights": (half, last.bfloat16()),
        "the same, bfloat16 by autocast": (autocast, last),
    }
    runtime = on_onnx(planes, batch)
    if runtime is not None:
        found["ONNX Runtime, folded"] = (runtime, batch)
    return found


def ways(size: int, repeats: int) -> None:
    torch.set_num_threads(1)
    draw = torch.Generator().manual_seed(0)
    cases = {
        "picture": (pictures, torch.rand(size, 3, 224, 224, generator=draw) * 2 - 1),
        "block of sound": (sounds, torch.rand(size, 100, 96, generator=draw)),
    }
    print(f"batches of {size}, one thread, median of {repeats} in turn\n")
    for what, (make, batch) in cases.items():
        found = ways_of(make, batch)
        taken: dict[str, list[float]] = {name: [] for name in found}
        with torch.inference_mode():
            expected = found["plain"][0](batch)
            for turn in range(repeats + 1):
                for name, (run, given) in found.items():
                    start = time.process_time()
                    run(given)
                    if turn:  # the first one warms up
                        taken[name].append(time.process_time() - start)
            print(f"| way | ms a {what} | faster than plain | largest deviation | cosine |")
            print("|---|---|---|---|---|")
            for name, (run, given) in found.items():
                output = run(given).float()
                cosine = torch.nn.functional.cosine_similarity(output, expected).min()
                ratio = statistics.median(
                    a / b for a, b in zip(taken["plain"], taken[name], strict=True)
                )
                print(
                    f"| {name} | {1e3 * statistics.median(taken[name]) / size:.1f} "
                    f"| {ratio:.2f} × | {(output - expected).abs().max():.1e} | {cosine:.5f} |"
                )
        print()


def clips(videos: Path, workers: int) -> None:
    paths = [item.path for item in list_videos(videos).items]
    kinds = EncoderSpec("efficientnet"), EncoderSpec("aisfx")
    before = _children()
    start = time.perf_counter()
    length = 0.0
    most: list[int] = []
    with WorkerPool(*kinds, workers=workers) as pool:
        for _, clip in pool.encode(paths):
            length += clip.duration
            most.append(_resident())
    wall = time.perf_counter() - start
    cpu = _children() - before
    print(
        f"{len(paths)} clips, {length:.0f} s; {workers} processes of one thread, start included; "
        f"load of the machine {os.getloadavg()[0]:.1f}"
    )
    print(f"{wall:.1f} s by the clock: {length / wall:.1f} × real time")
    print(f"{cpu:.1f} s of processor: {length / cpu:.1f} × real time a core")
    quarter = max(most[: len(most) // 4])
    print(
        f"memory of all processes: {quarter >> 20} MiB after a quarter, {max(most) >> 20} at most"
    )


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    mine = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime + mine.ru_utime + mine.ru_stime


def _resident() -> int:
    import psutil

    me = psutil.Process()
    return sum(p.memory_info().rss for p in (me, *me.children(recursive=True)))


def memory() -> None:
    """Each length in a process of its own: a peak never goes down again."""
    print("| clip | peak of a process |\n|---|---|")
    for seconds in (1, 30, 60, 120, 150):
        command = [sys.executable, __file__, "one", str(seconds)]
        print(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip())


def one(seconds: int) -> None:
    visual, audio = load_visual("efficientnet"), load_audio("aisfx")
    images = np.zeros((2 * seconds, 224, 398, 3), np.uint8)
    visual.encode([Frames(images, np.arange(2.0 * seconds) / 2)])
    audio.encode([Waveform(np.ones(44_100 * seconds, np.float32), 44_100)])
    media = images.nbytes + 4 * 44_100 * seconds
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(f"| {seconds} s ({media >> 20} MiB decoded) | {peak} MiB |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    of_ways = verbs.add_parser("ways")
    of_ways.add_argument("--size", type=int, default=8)
    of_ways.add_argument("--repeats", type=int, default=9)
    of_clips = verbs.add_parser("clips")
    of_clips.add_argument("videos", type=Path)
    of_clips.add_argument("--workers", type=int, default=2)
    verbs.add_parser("memory")
    of_one = verbs.add_parser("one")
    of_one.add_argument("seconds", type=int)
    given = parser.parse_args()
    if given.verb == "ways":
        ways(given.size, given.repeats)
    elif given.verb == "clips":
        clips(given.videos, given.workers)
    elif given.verb == "memory":
        memory()
    else:
        one(given.seconds)
