"""Speed and scale of class embedding optimization, against the plain and the sampled forms.

    python perf/class_embeddings.py             the loss, whole optimizations, extension (1 minute)
    python perf/class_embeddings.py --scale     also the growth up to 10,000 classes (3 minutes)
    python perf/class_embeddings.py --converge  also whole optimizations, 20 to 5,000 classes (long)

Everything that is compared runs alternately in one process, and the fastest of several runs
counts, so that whatever else the machine does disturbs least. The real text embeddings are read
from the folder of `--text` (three subfolders, word2vec, clip and clap); without it they are left
out and embeddings of the same shape stand in.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ezav.classes import (
    ClassEmbeddings,
    TripletOrder,
    diagnose,
    extend_class_embeddings,
    optimize_class_embeddings,
    ranking_loss,
)
from ezav.classes.objective import Objective, ObjectiveSettings

MARGIN, SAMPLES = 0.1, 10_000
SIZES = (1_000, 2_000, 5_000, 10_000)
GRID = ((20, 300), (20, 4096), (100, 300), (100, 4096), (500, 300), (500, 4096))
GRID += ((1_000, 300), (1_000, 4096), (2_000, 300), (2_000, 1024), (5_000, 300))
FILES = {
    "UCF word2vec": "word2vec/word_embeddings_ucf_normed.npy",
    "ActivityNet word2vec": "word2vec/word_embeddings_activity_normed.npy",
    "VGGSound word2vec": "word2vec/word_embeddings_vggsound_normed.npy",
    "ActivityNet CLIP": "clip/word_embeddings_activitynet_normed.npy",
    "VGGSound CLIP": "clip/word_embeddings_vggsound_normed.npy",
    "ActivityNet CLAP": "clap/wavcaps_word_embeddings_activitynet_normed.npy",
    "VGGSound CLAP": "clap/wavcaps_word_embeddings_vggsound_normed.npy",
}


def main() -> None:
    parser = argparse.ArgumentParser(description="speed of class embedding optimization")
    parser.add_argument("--text", type=Path, default=_default_text())
    parser.add_argument("--scale", action="store_true")
    parser.add_argument("--converge", action="store_true")
    parser.add_argument("--one-size", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    if arguments.one_size:
        one_size(arguments.one_size)
        return
    cpu = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    print(
        f"{cpu}, {os.cpu_count()} cores, torch {torch.__version__} on "
        f"{torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f}\n"
    )
    texts = {name: arguments.text / file for name, file in FILES.items()}
    real = {name: ClassEmbeddings.load(p) for name, p in texts.items() if p.exists()}
    vggsound = real.get("VGGSound word2vec") or stand_in(309, 300)
    compare_losses(vggsound.vectors)
    whole_optimizations(real or {"stand-in for UCF": stand_in(101, 300)})
    extension(vggsound)
    if arguments.scale:
        growth()
    if arguments.converge:
        convergence(real)
    if torch.cuda.is_available():
        print(torch.cuda.get_device_name())
        on_device("cuda", 10_000)


def _default_text() -> Path:
    beside = Path(__file__).resolve().parents[2] / "shared"
    return Path(os.environ.get("EZAV_SHARED", beside)) / "data" / "text"


def stand_in(classes: int, dim: int, crowding: float = 1.5) -> ClassEmbeddings:
    """Clusters round a common direction, as text encoders give them."""
    generator = torch.Generator().manual_seed(0)
    groups = torch.randn(max(2, classes // 8), dim, generator=generator)
    group = torch.randint(len(groups), (classes,), generator=generator)
    own = torch.randn(classes, dim, generator=generator)
    vectors = crowding * torch.randn(dim, generator=generator) + 0.7 * groups[group] + own
    return ClassEmbeddings(tuple(map(str, range(classes))), normalize(vectors, dim=1))


def fastest(
    runs: dict[str, Callable[[], object]],
    repeats: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """The least seconds of each, taken in turn."""
    best = dict.fromkeys(runs, math.inf)
    for _ in range(repeats):
        for name, run in runs.items():
            start = clock()
            run()
            best[name] = min(best[name], clock() - start)
    return best


def compare_losses(t: Tensor) -> None:
    """One value and gradient of equation (3): exact, cubic, 10,000 sampled triplets.

    By the distances alone, where everything that stays the same over an optimization (orders,
    signs) is prepared for all; and by the embeddings, as a step of an optimization needs it.
    """
    classes = len(t)
    w = normalize(t + 0.02 * torch.randn_like(t), dim=1)
    d_t, d_w = torch.cdist(t, t), torch.cdist(w, w)
    order = TripletOrder.of(d_t)
    same = torch.eye(classes, dtype=torch.bool)
    valid = ~(same[:, :, None] | same[:, None, :] | same[None])
    sign = torch.sign(d_t[:, :, None] - d_t[:, None, :]) * valid
    objective = Objective(t.double(), ObjectiveSettings(alpha=0.0, margin=MARGIN))

    def gradient(loss: Callable[[Tensor], Tensor], by: Tensor) -> Callable[[], object]:
        def run() -> object:
            x = by.clone().requires_grad_()
            return torch.autograd.grad(loss(x), x)

        return run

    def cubic(d: Tensor) -> Tensor:
        return (torch.relu(MARGIN - sign * (d[:, :, None] - d[:, None, :])) * valid).sum()

    def draw() -> tuple[Tensor, Tensor, Tensor]:
        c = torch.randint(classes, (SAMPLES,))
        i = (c + torch.randint(1, classes, (SAMPLES,))) % classes
        return c, i, (c + torch.randint(1, classes, (SAMPLES,))) % classes

    def hinge(c: Tensor, i: Tensor, j: Tensor, difference: Tensor) -> Tensor:
        return torch.relu(MARGIN - torch.sign(d_t[c, i] - d_t[c, j]) * difference).mean()

    def sampled(d: Tensor) -> Tensor:
        c, i, j = draw()
        return hinge(c, i, j, d[c, i] - d[c, j])

    def sampled_rows(x: Tensor) -> Tensor:
        c, i, j = draw()
        anchor = x[c]
        difference = (anchor - x[i]).norm(dim=1) - (anchor - x[j]).norm(dim=1)
        return hinge(c, i, j, difference)

    def distances(x: Tensor) -> Tensor:
        return (2 - 2 * x @ x.T + 2 * torch.eye(classes)).sqrt()

    by_distance = {
        "exact": gradient(lambda d: ranking_loss(d, order, MARGIN), d_w),
        "exact, sorting included": gradient(lambda d: ranking_loss(d, d_t, MARGIN), d_w),
        "sampled": gradient(sampled, d_w),
    }
    by_embedding = {
        "exact": lambda: objective(w),
        "sampled, all distances": gradient(lambda x: sampled(distances(x)), w),
        "sampled, rows gathered": gradient(sampled_rows, w),
    }
    plain = {"cubic": gradient(cubic, d_w)}
    plain_w = {"cubic": gradient(lambda x: cubic(distances(x)), w)}
    many = torch.get_num_threads()
    print(f"ranking loss, value and gradient, C = {classes}, {SAMPLES:,} triplets where sampled")
    for threads in dict.fromkeys((1, many)):
        torch.set_num_threads(threads)
        for label, slow, runs in (
            ("distances", plain, by_distance),
            ("embeddings", plain_w, by_embedding),
        ):
            # On one thread processor time is what a quiet machine would take.
            clock = time.process_time if threads == 1 else time.perf_counter
            best = fastest(slow, 3, clock) | fastest(runs, 300, clock)
            samples = min(value for name, value in best.items() if "sampled" in name)
            print(f"  by the {label}, {threads} thread(s)")
            for name, seconds in best.items():
                print(
                    f"    {name:25} {seconds * 1e3:9.3f} ms  {best['cubic'] / seconds:8.1f} x cubic"
                    f"  {samples / seconds:6.2f} x sampled"
                )
    torch.set_num_threads(many)
    print("  wanted: exact 100 x cubic, and at least 1 x sampled\n")


def whole_optimizations(real: dict[str, ClassEmbeddings]) -> None:
    print("whole optimization to convergence, default settings (wanted: 309 <= 10 s, 101 <= 2 s)")
    for name, t in real.items():
        start = time.process_time()
        done = optimize_class_embeddings(t)
        cpu = time.process_time() - start
        print(
            f"  {name:22} C {len(t):4} d {t.dim:5}  {done.seconds:6.2f} s ({cpu:5.2f} of processor)"
            f"  {done.steps:4} steps  {'converged' if done.converged else 'NOT CONVERGED'}",
            flush=True,
        )
    print()


def extension(classes: ClassEmbeddings) -> None:
    old, new = classes.select(classes.names[10:]), classes.select(classes.names[:10])
    w = optimize_class_embeddings(old).embeddings
    many = torch.get_num_threads()
    for threads in dict.fromkeys((1, many)):
        torch.set_num_threads(threads)
        clock = time.process_time if threads == 1 else time.perf_counter
        best = fastest({"": lambda: extend_class_embeddings(new, old, w)}, 15, clock)[""]
        print(f"ten names among {len(old)}, {threads} thread(s): {best * 1e3:.0f} ms", flush=True)
    torch.set_num_threads(many)
    print()


def growth() -> None:
    """Each size in a process of its own, so that its peak memory is its own."""
    print("exact objective (both terms, value and gradient by w), d = 512")
    print("seconds: as passed, and of processor time on all threads, in all and per C² log2 C")
    print(
        "       C   step s    cpu s   per C² log2 C   ranking s    cpu s   per C² log2 C  peak GB"
    )
    for classes in SIZES:
        command = [sys.executable, __file__, "--one-size", str(classes)]
        print(subprocess.run(command, capture_output=True, text=True, check=True).stdout, end="")
    print("  wanted: C = 10,000 <= 10 s and <= 4 GB; the cubic form would need 4 TB a tensor\n")


def one_size(classes: int) -> None:
    t = stand_in(classes, 512).vectors
    objective = Objective(t.double(), ObjectiveSettings())
    d_w = torch.addmm(t.new_full((), 2.0), t, t.T, alpha=-2).clamp_(min=0).sqrt_()
    unit = classes**2 * math.log2(classes) / 1e9
    print(f"  {classes:6,}", end="")
    for run in (
        lambda: objective(t),
        lambda: ranking_loss(d_w.requires_grad_(), objective.target, MARGIN).backward(),
    ):
        seconds = cpu = math.inf
        for _ in range(2 if classes > 5_000 else 4):
            start, cpu_start = time.perf_counter(), time.process_time()
            run()
            seconds = min(seconds, time.perf_counter() - start)
            cpu = min(cpu, time.process_time() - cpu_start)
        print(f"  {seconds:7.3f}  {cpu:7.3f}   {cpu / unit:10.2f} ns", end="   ")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{peak:7.2f}")


def convergence(real: dict[str, ClassEmbeddings]) -> None:
    """The default settings on other sizes: generated clusters, and parts of the real files."""
    generator = torch.Generator().manual_seed(0)
    print("whole optimization to convergence: every size, crowded as CLIP and spread as word2vec")
    print(_ROW.format("embeddings", "C", "d", "cosine", "s", "steps", "", "kept", "nearest mean"))
    for size in (20, 50, 100):
        for name, text in real.items():
            rows = torch.randperm(len(text), generator=generator)[:size].tolist()
            converge(f"{name}, a part", text.select([text.names[row] for row in rows]))
    for classes, dim in GRID:
        for label, crowding in (("spread", 0.8), ("crowded", 2.1)):
            converge(label, stand_in(classes, dim, crowding))
    print()


_ROW = "  {:30} {:>5} {:>5} {:>7} {:>8} {:>6} {:13} {:>6} {:>14}"


def converge(label: str, text: ClassEmbeddings) -> None:
    done = optimize_class_embeddings(text)
    found, before = done.diagnostics, diagnose(text)
    print(
        _ROW.format(
            label,
            len(text),
            text.dim,
            f"{before.mean_cosine:.2f}",
            f"{done.seconds:.1f}",
            done.steps,
            "converged" if done.converged else "NOT CONVERGED",
            f"{found.orderings_kept:.1%}",
            f"{before.mean_nearest:.2f} -> {found.mean_nearest:.2f}",
        ),
        flush=True,
    )


def on_device(device: str, classes: int) -> None:
    """A step of the exact objective, value and gradient."""
    t = stand_in(classes, 512).vectors.to(device)
    objective = Objective(t.double(), ObjectiveSettings())
    cuda = t.device.type == "cuda"

    def step() -> None:
        objective(t)
        if cuda:
            torch.cuda.synchronize(t.device)

    best = fastest({"": step}, 5)[""]
    print(
        f"  exact objective, C = {classes:,}, d = 512, {device}: {best:.3f} s a step "
        "(wanted: 1 s for 10,000 on a GPU)"
    )
    if cuda:
        memory = torch.cuda.max_memory_allocated(t.device) / 1e9
        print(f"  peak memory {memory:.1f} GB (wanted: 4 GB)")


if __name__ == "__main__":
    main()
