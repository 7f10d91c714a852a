"""All figures that need a GPU, in one run.

    python perf/gpu.py                      on the first GPU
    python perf/gpu.py --device cpu         the same code on a processor, at sizes that it bears
    python perf/gpu.py --small              tiny sizes, to see that everything runs

Figures of a processor say nothing about a GPU. Times are medians of turns that alternate, by the
clock, each turn ended by a wait for the device.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import class_embeddings
import encoders
import training
from ezav.benchmarks.simulate import plan_simulation, write_store
from ezav.classes import optimize_class_embeddings
from ezav.device import choose_device
from ezav.errors import EzavError
from ezav.features import FeatureStore
from ezav.methods.base import Loss
from ezav.methods.ez_avgzl.config import EzAvgzlConfig
from ezav.recipes import protocol_for
from ezav.training import Trainer
from ezav.training.together import _tensors
from ezav.training.trainer import EpochLog, LossSums
from training import BATCH, STEPS, measure


class Bench:
    """The device, the sizes, and how turns are timed.

    Args:
        device: as torch calls it.
        small: sizes at which everything runs within seconds and no figure means anything.
    """

    def __init__(self, device: str, small: bool) -> None:
        self.device, self.small = torch.device(device), small
        self.cuda = self.device.type == "cuda"
        self.failed = False
        self.rounds = 1 if small else 9 if self.cuda else 3

    def wait(self) -> None:
        if self.cuda:
            torch.cuda.synchronize(self.device)

    def size(self, gpu: int, cpu: int, small: int) -> int:
        return small if self.small else gpu if self.cuda else cpu

    def seconds(self, turns: dict[str, Callable[[], Any]]) -> dict[str, float]:
        """Median seconds of each turn."""

        def waited(turn: Callable[[], Any]) -> Callable[[], None]:
            def run() -> None:
                turn()
                self.wait()

            return run

        ready = {name: waited(turn) for name, turn in turns.items()}
        found = measure(ready, self.rounds, time.perf_counter)
        return {name: statistics.median(times) for name, times in found.items()}

    @contextmanager
    def part(self, title: str) -> Iterator[None]:
        """A part of the output, with the memory it took; a part that fails leaves the others."""
        print(f"\n{title}", flush=True)
        if self.cuda:
            torch.cuda.reset_peak_memory_stats(self.device)
        try:
            yield
        except (EzavError, ImportError, RuntimeError) as error:
            self.failed = True
            print(f"  failed: {told(error)}")
        if self.cuda:
            peak = torch.cuda.max_memory_allocated(self.device) / 2**20
            print(f"  peak memory of the device {peak:,.0f} MiB", flush=True)
        else:
            print(f"  peak memory of the process so far {training.peak_mib():,.0f} MiB", flush=True)


def told(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).split(chr(10))[0]}"


def whole_run(bench: Bench) -> None:
    """Two stages and the test of EZ-AVGZL by its recipe, on simulated UCF-GZSL cls."""
    scale = 1.0 if bench.cuda and not bench.small else 0.02
    shorter = {"epochs": 1, "batches_per_epoch": 2} if bench.small else {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store"
        write_store(plan_simulation("ucf-cls", scale=scale), path)
        store = FeatureStore.open(path)
        run = protocol_for("ez_avgzl", store, device=str(bench.device), training=shorter)
        for attempt in ("first", "second"):  # the first one also loads kernels
            started = time.perf_counter()
            fitted = run.fit(store)
            trained = time.perf_counter() - started
            fitted.test()
            bench.wait()
            whole = time.perf_counter() - started
            print(f"  {attempt}: {whole:.1f} s (wanted 20), of which training {trained:.1f} s")
    print(f"  scale {scale:g} of the data set's clips")


def matmul_rate(bench: Bench) -> float:
    """Operations a second of one large float32 product."""
    side = bench.size(8192, 2048, 128)
    a, b = (torch.randn(side, side, device=bench.device) for _ in range(2))
    taken = bench.seconds({"": lambda: a @ b})[""]
    return 2 * side**3 / taken


def cuda_graph(step: Callable[[], Loss], device: torch.device) -> tuple[Loss, Callable[[], None]]:
    """What `step` gives, in the place where each replay of its graph writes it, and the replay."""
    stream = torch.cuda.Stream(device)
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    torch.cuda.current_stream(device).wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss = step()
    return loss, graph.replay


def captured(
    trainer: Trainer,
    capture: Callable[[Callable[[], Loss], torch.device], tuple[Loss, Callable[[], None]]],
) -> Callable[[], EpochLog]:
    """An epoch of one captured step: batches are copied to where it reads them.

    The learning rate is the one of the capture.
    """
    assert trainer.optimizer is not None
    for group in trainer.optimizer.param_groups:
        group["capturable"] = True
    fixed = next(trainer.batches(trainer.begin_epoch()))
    loss, replay = capture(lambda: trainer._step(fixed), trainer.device)

    def epoch() -> EpochLog:
        drawn, sums = trainer.begin_epoch(), LossSums()
        for batch in trainer.batches(drawn):
            for place, found in zip(_tensors(fixed), _tensors(batch), strict=True):
                place.copy_(found)
            replay()
            # Copies: the next replay writes over them.
            sums.add(Loss(loss.total.clone(), {k: v.clone() for k, v in loss.parts.items()}))
        return trainer.end_epoch(drawn, sums)

    return epoch


def compiled(trainer: Trainer) -> Callable[[], object]:
    """An epoch whose loss is compiled."""
    trainer.method.loss = torch.compile(trainer.method.loss)  # type: ignore[method-assign]
    trainer.run_epoch()
    return trainer.run_epoch


def steps(bench: Bench) -> None:
    """The training step, eager, captured and compiled, beside its products and a large product."""
    clips, text, config = world(bench)

    def fresh() -> Trainer:
        device = str(bench.device)
        return training.trainer_of(config, clips, text, device, batches_per_epoch=STEPS)

    products = training.products_of(fresh())
    operations = STEPS * sum(2 * a.numel() * b.shape[-1] for a, b in products)
    turns: dict[str, Callable[[], object]] = {
        "eager": fresh().run_epoch,
        "products alone": lambda: [a @ b for _ in range(STEPS) for a, b in products],
    }
    if bench.cuda:
        turns["captured"] = captured(fresh(), cuda_graph)
    else:
        print("  captured: needs CUDA")
    if bench.small:
        print("  compiled: not with --small, since compiling takes a minute")
    else:
        try:
            turns["compiled"] = compiled(fresh())
        except Exception as error:  # no compiler, no Triton: torch has many ways to say so
            print(f"  compiled: {told(error)}")
    rate = matmul_rate(bench)
    tf32 = "with" if torch.backends.cuda.matmul.allow_tf32 else "without"
    print(f"  a large float32 product: {rate / 1e9:,.0f} GFLOP/s ({tf32} TF32)")
    taken = bench.seconds(turns)
    for name, seconds in taken.items():
        print(
            f"  {name:<14} {1e3 * seconds / STEPS:8.3f} ms a step, {STEPS * BATCH / seconds:9,.0f} "
            f"clips/s, eager / this {taken['eager'] / seconds:5.2f}, "
            f"of the large product's rate {operations / seconds / rate:6.1%}"
        )


def world(bench: Bench) -> tuple[Any, Tensor, EzAvgzlConfig]:
    """Clips, class embeddings and the network: UCF-GZSL's sizes, L = 1."""
    if bench.small:
        return (
            training.features(96, 8, 16, 6),
            training.class_vectors(6, 12),
            EzAvgzlConfig(width=16, hidden=16, heads=2, head_dim=8, mlp=16),
        )
    clips = training.features(3174, 128, 4096, 30)
    return clips, training.class_vectors(30), training.paper_size(1)


def members(bench: Bench) -> None:
    """Seeds in one batched pass beside the same seeds in turn."""
    clips, text, config = world(bench)
    clips = clips.to(bench.device)
    for seeds in (2,) if bench.small else (5, 16) if bench.cuda else (5,):

        def make(count: int = seeds) -> list[Trainer]:
            device = str(bench.device)
            return [
                training.trainer_of(config, clips, text, device, batches_per_epoch=STEPS)
                for _ in range(count)
            ]

        taken = bench.seconds(training.seeds_both_ways(make))
        ratio = taken["in turn"] / taken["together"]
        print(f"  {seeds} seeds: in turn / together {ratio:.2f} (wanted 3)")


def networks(bench: Bench) -> Iterator[tuple[str, Callable[[], nn.Module], Tensor]]:
    """The extraction networks and a batch for each."""
    n = bench.size(64, 8, 1)
    draw = torch.Generator().manual_seed(0)
    pictures = torch.rand(n, 3, 224, 224, generator=draw) * 2 - 1
    yield "efficientnet, pictures", encoders.pictures, pictures
    yield "aisfx, blocks of sound", encoders.sounds, torch.rand(n, 100, 96, generator=draw)
    import transformers

    one = {"num_hidden_layers": 1} if bench.small else {}
    few = {"patch_embeds_hidden_size": 8, "hidden_size": 64, "num_attention_heads": [1, 1, 2, 2]}
    yield (
        "CLIP ViT-B/32, random weights, pictures",
        lambda: transformers.CLIPVisionModel(transformers.CLIPVisionConfig(**one)),
        pictures,
    )
    yield (
        "CLAP HTSAT, random weights, 10 s of sound",
        lambda: transformers.ClapAudioModel(
            transformers.ClapAudioConfig(**(few if bench.small else {}))
        ),
        torch.randn(n, 1, 1001, 64, generator=draw),
    )


def precisions(bench: Bench) -> None:
    """The extraction networks in mixed precision beside float32: speed and how near they stay."""
    for name, make, batch in networks(bench):
        net = make().eval().requires_grad_(False)
        if hasattr(net, "fold"):
            net.fold()
        net, batch = net.to(bench.device), batch.to(bench.device)
        kinds = (torch.float32, torch.bfloat16, *([torch.float16] if bench.cuda else []))

        def run(dtype: torch.dtype, net: Any = net, batch: Tensor = batch) -> Tensor:
            kind = bench.device.type
            with torch.inference_mode(), torch.autocast(kind, dtype, dtype != torch.float32):
                out = net(batch)
            return getattr(out, "pooler_output", out).float()

        outputs = {dtype: run(dtype) for dtype in kinds}
        taken = bench.seconds({str(dtype): lambda d=dtype: run(d) for dtype in kinds})
        for dtype in kinds:
            seconds = taken[str(dtype)]
            pair = outputs[dtype], outputs[torch.float32]
            near = torch.nn.functional.cosine_similarity(*pair, dim=-1).min()
            print(
                f"  {name}, {str(dtype)[6:]}: {len(batch) / seconds:,.0f} a second, "
                f"{taken['torch.float32'] / seconds:.2f} x float32, least cosine {near:.5f}",
                flush=True,
            )
    if not bench.cuda:
        print("  float16: needs CUDA")


def optimizations(bench: Bench) -> None:
    """The exact ranking loss with its gradient, and whole class embedding optimizations."""
    device = str(bench.device)
    class_embeddings.on_device(device, bench.size(10_000, 1_000, 40))
    for classes, dim in ((12, 8),) if bench.small else ((101, 300), (309, 300), (2_000, 512)):
        text = class_embeddings.stand_in(classes, dim)
        for where in dict.fromkeys((device, "cpu")):
            done = optimize_class_embeddings(text, device=where)
            state = "converged" if done.converged else "NOT CONVERGED"
            print(f"  whole optimization, C {classes}, {where}: {done.seconds:.2f} s, {state}")


PARTS = {
    "A whole run of EZ-AVGZL": whole_run,
    "The training step (UCF-GZSL's sizes, L = 1, batch 64)": steps,
    "Members in one pass": members,
    "Extraction networks in mixed precision": precisions,
    "Ranking loss and class embedding optimization": optimizations,
}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="auto", help="by default a GPU where there is one")
    parser.add_argument("--small", action="store_true", help="tiny sizes: no figure means anything")
    given = parser.parse_args(arguments)
    bench = Bench(choose_device(given.device), given.small)
    if bench.cuda:
        print(f"{torch.cuda.get_device_name(bench.device)}, torch {torch.__version__}")
    else:
        threads = torch.get_num_threads()
        print(f"{platform.machine()} processor, {threads} threads, torch {torch.__version__}")
        print("NO GPU: the same code on the processor, at smaller sizes; not the figures wanted")
    if bench.small:
        print("SMALL: sizes at which no figure means anything")
    for title, part in PARTS.items():
        with bench.part(title):
            part(bench)
    if bench.failed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
