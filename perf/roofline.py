"""Where the processor time of extraction goes, and how near its networks are to the machine's rate.

    python perf/roofline.py VIDEOS [--clips 20] [--rounds 3] [--visual efficientnet] [--audio aisfx]
    python perf/roofline.py VIDEOS --random             CLIP (ViT-B/32) and CLAP (HTSAT), of random
                                                        weights: speed needs no others
    python perf/roofline.py VIDEOS --workers            one worker process against two

VIDEOS is a folder of class folders or a manifest. In one process of one thread, clip by clip in
turn: decoding alone (frames and sound as the encoders ask for them), encoding what was decoded, of
that the networks alone, and both as a worker does them. Beside the networks stand their operations
and the rates of a matrix product and of a 3 × 3 convolution here. Processor seconds, medians.
With `--workers` the same clips are extracted by one worker and by two in turn: clips a processor
second of the workers, and by the clock, which says something on a quiet machine alone.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import torch
from torch.utils.flop_counter import FlopCounterMode

from ezav.encoders.registry import load_audio, load_visual
from ezav.encoders.spec import EncoderSpec
from ezav.extraction import WorkerPool, list_videos
from ezav.media import Clip, read_clip


def spent(work: Callable[[], object]) -> float:
    before = time.process_time()
    work()
    return time.process_time() - before


def rate(layer: torch.nn.Module, given: torch.Tensor) -> float:
    """Operations a processor second of one layer."""
    with torch.inference_mode():
        with FlopCounterMode(display=False) as counter:
            layer(given)
        times = [spent(lambda: [layer(given) for _ in range(10)]) / 10 for _ in range(5)]
    return counter.get_total_flops() / statistics.median(times)


class Watched:
    """An encoder whose network's processor time is counted."""

    def __init__(self, encoder: Any) -> None:
        self.encoder, self.seconds, self._embed = encoder, 0.0, encoder._embed
        encoder._embed = self._timed

    def _timed(self, batch: list[Any]) -> Any:
        before = time.process_time()
        found = self._embed(batch)
        self.seconds += time.process_time() - before
        return found


def encode(clip: Clip, visual: Any, audio: Any) -> None:
    if clip.frames is not None:
        visual.encode([clip.frames])
    if clip.waveform is not None:
        audio.encode([clip.waveform])


@contextlib.contextmanager
def random_checkpoints() -> Iterator[tuple[str, str]]:
    """CLIP and CLAP of the published sizes, their weights as they are drawn."""
    import transformers

    with tempfile.TemporaryDirectory() as folder:
        clip, clap = Path(folder, "clip"), Path(folder, "clap")
        transformers.CLIPModel(transformers.CLIPConfig()).save_pretrained(clip)
        transformers.CLIPImageProcessor().save_pretrained(clip)
        transformers.ClapModel(transformers.ClapConfig()).save_pretrained(clap)
        usual = {"truncation": "rand_trunc", "padding": "repeatpad"}
        transformers.ClapFeatureExtractor(**usual).save_pretrained(clap)
        yield f"clip,source={clip}", f"clap,source={clap}"


def scaling(paths: list[Path], visual: EncoderSpec, audio: EncoderSpec, rounds: int) -> None:
    """The rates of one worker and of two, in turn."""
    rows: dict[int, list[tuple[float, float]]] = {1: [], 2: []}
    pools = {count: WorkerPool(visual, audio, workers=count) for count in rows}
    mine = psutil.Process()

    def used() -> float:
        return sum(sum(one.cpu_times()[:2]) for one in (mine, *mine.children()))

    try:
        for pool in pools.values():
            list(pool.encode(paths[:2]))
        for _ in range(rounds):
            for count, pool in pools.items():
                before, begun = used(), time.perf_counter()
                done = len(list(pool.encode(paths)))
                rows[count].append((done / (used() - before), done / (time.perf_counter() - begun)))
    finally:
        for pool in pools.values():
            pool.close()
    rates = {count: [statistics.median(x) for x in zip(*some)] for count, some in rows.items()}
    for count, (each, clock) in rates.items():
        print(f"  {count} worker(s): {each:.2f} clips a processor second, {clock:.2f} a second")
    ratios = [two / one for one, two in zip(*rates.values())]
    print(
        f"  two against one: {ratios[0]:.2f} a processor second, {ratios[1]:.2f} by the clock; "
        f"load {os.getloadavg()[0]:.1f} of {os.cpu_count()} CPUs"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("videos", type=Path)
    parser.add_argument("--clips", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--visual", default="efficientnet", help="encoder,option=value")
    parser.add_argument("--audio", default="aisfx")
    parser.add_argument("--random", action="store_true", help="CLIP and CLAP, random weights")
    parser.add_argument("--workers", action="store_true", help="one worker against two")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with contextlib.ExitStack() as stack:
        if given.random:
            given.visual, given.audio = stack.enter_context(random_checkpoints())
        measure(given)


def measure(given: argparse.Namespace) -> None:
    items = list_videos(given.videos).items
    paths = [item.path for item in items[:: max(1, len(items) // given.clips)]][: given.clips]
    asked = EncoderSpec.parse(given.visual), EncoderSpec.parse(given.audio)
    if given.workers:
        scaling(paths, *asked, given.rounds)
        return
    watched = [
        Watched(load(one.name, **one.options))
        for load, one in zip((load_visual, load_audio), asked)
    ]
    visual, audio = (one.encoder for one in watched)
    needs = visual.card.needs.frame_spec, audio.card.needs.sample_rate

    def decode(path: Path) -> Clip:
        return read_clip(path, video=needs[0], audio=needs[1])

    clips = [decode(path) for path in paths]
    for clip in clips[:1]:
        encode(clip, visual, audio)
    rows: dict[str, list[float]] = {}
    for _ in range(given.rounds):
        for one in watched:
            one.seconds = 0.0
        found = {
            "decoding alone": spent(lambda: [decode(path) for path in paths]),
            "encoding alone": spent(lambda: [encode(clip, visual, audio) for clip in clips]),
            "its visual network": watched[0].seconds,
            "its audio network": watched[1].seconds,
            "both": spent(lambda: [encode(decode(path), visual, audio) for path in paths]),
        }
        for what, seconds in found.items():
            rows.setdefault(what, []).append(seconds)
    with FlopCounterMode(display=False) as counter:
        for clip in clips:
            encode(clip, visual, audio)
    length = sum(clip.duration for clip in clips)
    print(f"{len(paths)} clips, {length:.0f} s; {counter.get_total_flops() / 1e9:.0f} G operations")
    middle = {what: statistics.median(seconds) for what, seconds in rows.items()}
    for what, seconds in middle.items():
        each = 1e3 * seconds / len(paths)
        print(f"  {what}: {each:.0f} ms a clip, {length / seconds:.0f} × real time")
    networks = middle["its visual network"] + middle["its audio network"]
    product = rate(torch.nn.Linear(1024, 1024), torch.randn(1024, 1024))
    convolution = rate(torch.nn.Conv2d(64, 64, 3, padding=1), torch.randn(4, 64, 100, 96))
    own = counter.get_total_flops() / networks
    print(
        f"  networks {own / 1e9:.0f} G operations/s; a product {product / 1e9:.0f}, a convolution "
        f"{convolution / 1e9:.0f}"
    )
    bound = middle["decoding alone"] + networks
    print(f"  decoding and networks alone would take {bound / middle['both']:.0%} of both")
    hours = 1e6 * middle["both"] / len(paths) / 3600
    decoding = 1e6 * middle["decoding alone"] / len(paths) / 3600
    work = 1e6 * counter.get_total_flops() / len(paths)
    print(
        f"  a million such clips: {hours:.0f} hours of one core, {decoding:.0f} of them decoding; "
        f"{work / 1e15:.1f} P operations of the networks"
    )


if __name__ == "__main__":
    main()
