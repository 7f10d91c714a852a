"""Training speed of AVCA, ClipClap and TCaF against plain steps as the authors' code does them.

    python perf/methods.py [avca clipclap tcaf] [--rounds 5] [--threads 1]
        [--precision bfloat16] [--profile]

Random features of the sizes of UCF-GZSL (3,174 clips, 30 classes), each method with the recipe of
its UCF suite at the published batch size: AVCA on pooled C3D and VGGish, ClipClap on CLIP and CLAP,
TCaF on C3D and VGGish steps of clips of about 7 seconds. Two ways of training take turns, round by
round, in one process:

- loop: `ezav.training.Trainer`, features resident, batches by index;
- plain: `perf/plain_methods.py`, a formulation of the authors' released step.

With one thread the clock is the CPU time of the process, which a busy machine disturbs less. The
ratio is the median over rounds. The authors' own code was timed apart (AVCA about 510 pairs/s,
ClipClap about 640 samples/s, one thread of such a machine): the last column divides by that.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent))
import plain_methods as plain
from ezav.features.feature_set import FeatureSet, Ragged
from ezav.methods import registry
from ezav.methods.base import Dims
from ezav.recipes import load_recipe
from ezav.recipes.settings import typed_settings
from ezav.training import Trainer, build_method

CLIPS, CLASSES = 3174, 30
AUTHORS = {"avca": 510, "clipclap": 640}
STEPS = {"avca": 4, "clipclap": 16, "tcaf": 3}
"""Training steps of one turn."""


def clips(audio: int, visual: int, temporal: bool) -> FeatureSet:
    g = torch.Generator().manual_seed(0)
    seconds = 6.5 * (0.45 * torch.randn(CLIPS, generator=g)).exp()

    def modality(dim: int, step: float, top: float) -> Ragged:
        lengths = (seconds / step).ceil().long() if temporal else torch.ones(CLIPS).long()
        offsets = torch.cat([torch.zeros(1).long(), lengths.cumsum(0)])
        values = torch.rand(int(offsets[-1]), dim, generator=g) * top
        within = torch.arange(int(offsets[-1])) - offsets[:-1].repeat_interleave(lengths)
        return Ragged(values, offsets, (within + 0.5) * step * temporal)

    return FeatureSet(
        audio=modality(audio, 0.96, 255.0 if audio == 128 else 0.1),
        visual=modality(visual, 0.64, 1.0),
        labels=torch.arange(CLIPS) % CLASSES,
        clips=tuple(map(str, range(CLIPS))),
        classes=tuple(map(str, range(CLASSES))),
    )


def contestants(name: str, precision: str) -> tuple[dict[str, Callable[[], object]], int]:
    """The two turns of a method, and the clips of a turn."""
    suite = "ucf-clipclap" if name == "clipclap" else "ucf-cls"
    audio, visual, text_dim = (1024, 512, 1536) if name == "clipclap" else (128, 4096, 300)
    setting = load_recipe(name).setting(suite)
    steps = STEPS[name]
    config, training = typed_settings(
        name,
        setting.config,
        {**setting.training, "batches_per_epoch": steps, "precision": precision},
    )
    data = clips(audio, visual, name == "tcaf")
    g = torch.Generator().manual_seed(1)
    text = torch.nn.functional.normalize(torch.randn(CLASSES, text_dim, generator=g), dim=1)
    dims = Dims(audio=audio, visual=visual, text=text_dim)
    trainer = Trainer(build_method(registry.get(name), config, dims, 0), data, text, training)
    model = plain_model(name, config, dims, text, training.learning_rate)
    collate = plain.padded if name == "tcaf" else None
    turn = plain.turns(model, plain.Pairs(data, text), training.batch_size, steps, collate)
    return {"loop": trainer.run_epoch, "plain": turn}, steps * training.batch_size


def plain_model(name: str, config, dims: Dims, text: Tensor, rate: float) -> torch.nn.Module:
    if name == "avca":
        drops = (config.encoder_dropout, config.decoder_dropout, config.text_dropout)
        return plain.AVCA(dims.audio, dims.visual, dims.text, *drops, config.momentum)
    if name == "clipclap":
        return plain.ClipClap(dims.audio, dims.visual, dims.text, text, rate)
    return plain.TCaF(
        dims.audio,
        dims.visual,
        dims.text,
        text,
        depth=config.depth,
        p_e=config.encoder_dropout,
        p_d=config.decoder_dropout,
        p_x=config.text_dropout,
        p_t=config.transformer_dropout,
        p_m=config.token_dropout,
        lr=rate,
    )


def measure(name: str, rounds: int, clock: Callable[[], float], precision: str) -> None:
    ways, clips_a_turn = contestants(name, precision)
    for way in ways.values():
        way()  # warm up
    rates: dict[str, list[float]] = {way: [] for way in ways}
    for turn in range(rounds):
        for way in ways if turn % 2 else reversed(ways):
            started = clock()
            ways[way]()
            rates[way].append(clips_a_turn / (clock() - started))
    ratio = statistics.median(a / b for a, b in zip(rates["loop"], rates["plain"]))
    loop, simple = (statistics.median(rates[way]) for way in ("loop", "plain"))
    apart = f"{loop / AUTHORS[name]:6.1f}" if name in AUTHORS else "     -"
    print(f"{name:<10}{loop:9.0f}{simple:9.0f}{ratio:13.1f}{apart:>17}", flush=True)


def profile(name: str, precision: str) -> None:
    ways, _ = contestants(name, precision)
    ways["loop"]()
    with torch.profiler.profile() as found:
        ways["loop"]()
    print(found.key_averages().table(sort_by="self_cpu_time_total", row_limit=25))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("methods", nargs="*", default=["avca", "clipclap", "tcaf"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", default="float32", help="of the loop: or bfloat16")
    parser.add_argument("--profile", action="store_true", help="where the loop's time goes")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    clock = time.process_time if options.threads == 1 else time.perf_counter
    if not options.profile:
        print(f"{'method':<10}{'loop/s':>9}{'plain/s':>9}{'loop/plain':>13}{'loop/authors':>17}")
    for name in options.methods:
        if options.profile:
            profile(name, options.precision)
        else:
            measure(name, options.rounds, clock, options.precision)


if __name__ == "__main__":
    main()
