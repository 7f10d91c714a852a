"""Speed and memory of training EZ-AVGZL, as ratios measured in one run.

    python perf/training.py throughput [--layers 1 6] [--threads 1] [--rounds 9] [--device cuda]
    python perf/training.py bound [--layers 1 6] [--rounds 9]   what the loop's other time is
    python perf/training.py vggsound        one epoch over 81,270 clips, peak memory
    python perf/training.py scoring         100,000 clips x 1,000 classes, peak memory
    python perf/training.py together [--seeds 5] [--device cuda]   K seeds in one pass or in turn

`throughput` trains on random features of the sizes of UCF-GZSL cls (3,174 clips, 4096 + 128
dimensions, 30 classes; batch 64, width 300) beside its bounds; they take turns, round by round:

- loop: `ezav.training.Trainer`, features resident, batches by index, one fused optimiser step;
- DataLoader: the same network and loss, fed by `torch.utils.data.DataLoader` over a dataset of
  single clips with a weighted sampler, and `torch.optim.Adam` as it comes;
- products: the roofline. Every matrix product that one training step does, forward and backward,
  recorded with its sizes and layouts and done again, and nothing else. The products inside
  attention (three tokens) are left out, which makes the roofline a little strict;
- and Adam: the products and the optimiser's step, which is what nothing eager goes below.

With one thread the clock is the CPU time of the process, which a busy machine disturbs less.
Ratios are medians over rounds. Then the profiler says where the loop's time goes.

`bound` divides a step's time into its products, Adam's step, and all else; counts the operations of
the rest and the bytes that they read and write; and says what they would take at the rate of a copy
of tensors of their size, that is with every pass at the speed of memory (or cache) and nothing for
its start, for autograd or for Python.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import DataLoader, Dataset, WeightedRandomSampler

from ezav.features.feature_set import FeatureSet, Ragged
from ezav.features.tokens import Tokens
from ezav.methods.base import Batch, Dims
from ezav.methods.ez_avgzl.config import EzAvgzlConfig
from ezav.methods.ez_avgzl.method import EzAvgzl
from ezav.training import Trainer, TrainingConfig, build_method, score_all
from ezav.training.scoring import WORKING_ELEMENTS
from ezav.training.together import Together

BATCH = 64
STEPS = 20
"""Training steps of one turn."""


def features(clips: int, audio: int, visual: int, classes: int) -> FeatureSet:
    g = torch.Generator().manual_seed(0)
    return FeatureSet(
        audio=Ragged.pooled(torch.randn(clips, audio, generator=g)),
        visual=Ragged.pooled(torch.randn(clips, visual, generator=g)),
        labels=torch.arange(clips) % classes,
        clips=tuple(map(str, range(clips))),
        classes=tuple(map(str, range(classes))),
    )


def class_vectors(classes: int, dim: int = 300) -> Tensor:
    drawn = torch.randn(classes, dim, generator=torch.Generator().manual_seed(1))
    return torch.nn.functional.normalize(drawn, dim=-1)


def paper_size(layers: int) -> EzAvgzlConfig:
    return EzAvgzlConfig(width=300, hidden=512, layers=layers, heads=8, head_dim=64, mlp=128)


def trainer_of(
    config: EzAvgzlConfig,
    clips: FeatureSet,
    text: Tensor,
    device: str,
    batch: int = BATCH,
    **training: Any,
) -> Trainer:
    dims = Dims(audio=clips.audio.dim, visual=clips.visual.dim, text=text.shape[1])
    method = build_method(EzAvgzl, config, dims, 0).to(device)
    return Trainer(method, clips, text, TrainingConfig(batch_size=batch, **training))


class Clips(Dataset):
    """Single clips, as field code feeds them."""

    def __init__(self, clips: FeatureSet) -> None:
        self.audio, self.visual, self.labels = clips.audio.values, clips.visual.values, clips.labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor, Tensor]:
        return self.audio[row], self.visual[row], self.labels[row]


def plain_steps(
    config: EzAvgzlConfig, clips: FeatureSet, text: Tensor, device: str
) -> Callable[[], None]:
    """One turn of plain training: DataLoader, default Adam."""
    trained = trainer_of(config, clips, text, device)  # for its network, ready to train
    method, classes = trained.method.train(), trained.class_embeddings
    optimizer = torch.optim.Adam(method.parameter_groups(), lr=1e-3, weight_decay=1e-5)
    count = torch.bincount(clips.labels)
    weights = (1 / count[clips.labels]).tolist()

    def turn() -> None:
        sampler = WeightedRandomSampler(weights, STEPS * BATCH)
        for audio, visual, labels in DataLoader(Clips(clips), batch_size=BATCH, sampler=sampler):
            batch = Batch(
                audio=Tokens.pooled(audio.to(device)),
                visual=Tokens.pooled(visual.to(device)),
                labels=labels.to(device),
                class_embeddings=classes,
            )
            loss = method.loss(batch).total
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return turn


class Products(TorchDispatchMode):
    """Records the matrix products that pass by: the operation's operands' sizes and strides."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[Tensor, Tensor]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in ("mm", "bmm"):
            self.found.append((_like(args[0]), _like(args[1])))
        elif name == "addmm":
            self.found.append((_like(args[1]), _like(args[2])))
        return func(*args, **(kwargs or {}))


def _like(x: Tensor) -> Tensor:
    """Random numbers with the size and strides of `x`."""
    return torch.empty_strided(x.shape, x.stride(), device=x.device).normal_()


def products_of(trainer: Trainer) -> list[tuple[Tensor, Tensor]]:
    index = trainer.sampler.epoch(1, BATCH)[0]
    trainer.method.train()
    with Products() as products:
        trainer._step(trainer.gather(index))
    return products.found


def measure(turns: dict[str, Callable[[], None]], rounds: int, clock: Callable[[], float]) -> dict:
    """Seconds of each turn in each round; the turns alternate."""
    seconds: dict[str, list[float]] = {name: [] for name in turns}
    for turn in turns.values():
        turn()
    for _ in range(rounds):
        for name, turn in turns.items():
            started = clock()
            turn()
            seconds[name].append(clock() - started)
    return seconds


GROUPS = {
    "matrix products": ("aten::mm", "aten::addmm", "aten::bmm"),
    "optimiser": ("aten::_fused_adam", "Optimizer"),
    "dropout": ("aten::bernoulli", "aten::native_dropout"),
    "attention": ("aten::_scaled_dot",),
    "normalisation": ("aten::native_layer_norm", "aten::native_batch_norm"),
    "gathering the batch": ("aten::index",),
}


def shares(trainer: Trainer) -> Iterator[tuple[str, float]]:
    """Where the time of the loop goes: shares of the operators' own CPU time."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities) as profile:
        trainer.run_epoch()
    events = [event for event in profile.key_averages() if event.self_cpu_time_total > 0]
    total = sum(event.self_cpu_time_total for event in events)
    rest = 1.0
    for group, names in GROUPS.items():
        own = sum(e.self_cpu_time_total for e in events if e.key.startswith(names)) / total
        rest -= own
        yield group, own
    yield "everything else (small operations, Python)", rest


def throughput(options: argparse.Namespace) -> None:
    torch.set_num_threads(options.threads)
    on_cpu = options.device == "cpu"
    clock = time.process_time if options.threads == 1 and on_cpu else time.perf_counter
    print(
        f"torch {torch.__version__}, {options.threads} threads, device {options.device}, ", end=""
    )
    print(f"clock: {'CPU time' if clock is time.process_time else 'wall time'}")
    clips, text = features(3174, 128, 4096, 30), class_vectors(30)
    for layers in options.layers:
        config = paper_size(layers)
        trainer = trainer_of(config, clips, text, options.device, batches_per_epoch=STEPS)
        products = products_of(trainer)

        def synchronised(work: Callable[[], Any]) -> Callable[[], None]:
            def turn() -> None:
                work()
                if not on_cpu:
                    torch.cuda.synchronize()

            return turn

        def multiply(products: Any = products) -> None:
            for _ in range(STEPS):
                for a, b in products:
                    a @ b

        other = trainer_of(config, clips, text, options.device, batches_per_epoch=1)
        other.run_epoch()  # its gradients stay

        def multiply_and_descend(products: Any = products, other: Trainer = other) -> None:
            for _ in range(STEPS):
                for a, b in products:
                    a @ b
                other.descend()

        turns = {
            "loop": synchronised(trainer.run_epoch),
            "and Adam": synchronised(multiply_and_descend),
            "DataLoader": synchronised(plain_steps(config, clips, text, options.device)),
            "products": synchronised(multiply),
        }
        seconds = measure(turns, options.rounds, clock)
        operations = sum(2 * a.numel() * b.shape[-1] for a, b in products)
        best = min(seconds["products"]) / STEPS
        print(
            f"\nL = {layers}: {len(products)} products a step, {operations / 1e9:.2f} GFLOP, ",
            end="",
        )
        print(f"{operations / best / 1e9:.0f} GFLOP/s")
        for name, times in seconds.items():
            rate = STEPS * BATCH / statistics.median(times)
            ratio = statistics.median(a / b for a, b in zip(times, seconds["loop"]))
            ours = statistics.median(a / b for a, b in zip(seconds["products"], times))
            print(f"  {name:<12}{rate:>9,.0f} clips/s   time / loop's {ratio:>5.2f}   ", end="")
            print(f"of the products' rate {ours:>5.0%}")
        if on_cpu:
            for group, share in sorted(shares(trainer), key=lambda pair: -pair[1]):
                print(f"    {share:>6.1%}  {group}")


VIEWS = (
    *("alias", "as_strided", "detach", "empty", "expand", "permute", "reshape", "select", "slice"),
    *("split", "squeeze", "t", "transpose", "unbind", "unsqueeze", "_unsafe_view", "view"),
    *("_record_function_enter_new", "_record_function_exit"),
)
"""Operations that touch no element."""
KINDS = {
    "dropout and random numbers": ("bernoulli", "native_dropout", "random", "normal", "uniform"),
    "normalisation": ("native_layer_norm", "native_batch_norm", "_native_batch_norm"),
    "attention": ("_scaled_dot", "_softmax"),
    "indexing": ("index", "gather", "scatter", "embedding", "arange", "searchsorted"),
    "reductions": ("sum", "mean", "amax", "max", "norm", "linalg", "logsumexp", "_log_softmax"),
}
"""Kind -> how the names of its operations begin; what is left is element-wise."""


class Passes(TorchDispatchMode):
    """Records what is no product: kind -> bytes of the tensors that each operation touches."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, list[int]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if name in VIEWS or name in ("mm", "bmm", "addmm", "_fused_adam_"):
            return made
        kind = next((k for k, v in KINDS.items() if name.startswith(v)), "element-wise")
        tensors: list[Tensor] = []
        # Of what is looked up in, as much is read as comes out.
        touched = made if kind == "indexing" else (args, kwargs, made)
        torch.utils._pytree.tree_map_only(Tensor, tensors.append, touched)
        distinct = {one.data_ptr(): one.nbytes for one in tensors}
        doubled = 2 if kind == "indexing" else 1
        self.found.setdefault(kind, []).append(doubled * sum(distinct.values()))
        return made


def copying(sizes: list[int]) -> Callable[[], None]:
    """Tensors that are read and written, of so many bytes both together, in turn."""
    pairs = [(torch.ones(max(1, n // 8)), torch.ones(max(1, n // 8))) for n in sizes]

    def turn() -> None:
        for _ in range(STEPS):
            for a, b in pairs:
                a.copy_(b)

    return turn


def bound(options: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    clips, text = features(3174, 128, 4096, 30), class_vectors(30)
    for layers in options.layers:
        trainer = trainer_of(paper_size(layers), clips, text, "cpu", batches_per_epoch=STEPS)
        products = products_of(trainer)
        with Passes() as passes:
            trainer._step(trainer.gather(trainer.sampler.epoch(1, BATCH)[0]))

        def multiply(products: Any = products) -> None:
            for _ in range(STEPS):
                for a, b in products:
                    a @ b

        def descend(trainer: Trainer = trainer) -> None:
            for _ in range(STEPS):
                trainer.descend()

        turns: dict[str, Callable[[], Any]] = {
            "step": trainer.run_epoch,
            "products": multiply,
            "Adam": descend,
        }
        turns |= {kind: copying(sizes) for kind, sizes in passes.found.items()}
        tiny = [8] * sum(map(len, passes.found.values()))
        turns["starts"] = copying(tiny)
        seconds = measure(turns, options.rounds, time.process_time)
        took = {name: 1e3 * statistics.median(times) / STEPS for name, times in seconds.items()}
        rest = took["step"] - took["products"] - took["Adam"]
        print(
            f"\nL = {layers}: a step {took['step']:.2f} ms: products {took['products']:.2f}, Adam "
            f"{took['Adam']:.2f}, all else {rest:.2f}; {took['products'] / took['step']:.0%} of "
            "the products' rate"
        )
        print("  | the rest by kind | operations | MB | ms at a copy's rate |")
        print("  |---|--:|--:|--:|")
        starts = took["starts"] / len(tiny)
        bare = 0.0
        for kind, sizes in sorted(passes.found.items(), key=lambda pair: -sum(pair[1])):
            alone = max(0.0, took[kind] - starts * len(sizes))
            bare += alone
            print(f"  | {kind} | {len(sizes)} | {sum(sizes) / 1e6:.1f} | {alone:.2f} |")
        least = took["products"] + took["Adam"] + bare
        print(
            f"  {len(tiny)} operations, {sum(map(sum, passes.found.values())) / 1e6:.1f} MB: "
            f"{bare:.2f} ms at a copy's rate, and {took['starts']:.2f} to start so many copies\n"
            f"  at a copy's rate: {took['products'] / least:.0%} of the products' rate; with so "
            f"many starts {took['products'] / (least + took['starts']):.0%}"
        )


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def vggsound(options: argparse.Namespace) -> None:
    torch.set_num_threads(options.threads)
    clips, text = features(81_270, 1024, 512, 207), class_vectors(207, 1536)
    size = sum(r.values.nbytes for r in (clips.audio, clips.visual)) / 2**20
    before = peak_mib()
    for name, config in (("default recipe's network", EzAvgzlConfig()), ("L = 6", paper_size(6))):
        trainer = trainer_of(config, clips, text, "cpu")
        cpu, log = time.process_time(), trainer.run_epoch()
        print(f"{name}: one epoch, {log.clips:,} clips: {log.seconds:.1f} s, ", end="")
        print(f"CPU {time.process_time() - cpu:.1f} s, {options.threads} threads; ", end="")
        print(f"features {size:.0f} MiB, peak {peak_mib():.0f} MiB (before training {before:.0f})")


def scoring(options: argparse.Namespace) -> None:
    torch.set_num_threads(options.threads)
    clips, text = features(100_000, 1024, 512, 1000), class_vectors(1000, 1536)
    method = build_method(EzAvgzl, EzAvgzlConfig(), Dims(audio=1024, visual=512, text=1536), 0)
    before, started, cpu = peak_mib(), time.perf_counter(), time.process_time()
    scores = score_all(method, clips, text)
    print(f"scores {tuple(scores.shape)}: {time.perf_counter() - started:.1f} s, ", end="")
    print(f"CPU {time.process_time() - cpu:.1f} s; ", end="")
    print(f"peak {peak_mib():.0f} MiB, before {before:.0f} (features and PyTorch)")
    part = clips.subset(torch.arange(5_000))
    sizes = (WORKING_ELEMENTS, 4 * WORKING_ELEMENTS)
    turns = {f"{n:,}": lambda n=n: score_all(method, part, text, n) for n in sizes}
    own, larger = measure(turns, options.rounds, time.perf_counter).values()
    ratio = statistics.median(a / b for a, b in zip(own, larger))
    print(f"time with blocks of {sizes[0]:,} floats / with four times that: {ratio:.2f}")


def seeds_both_ways(make: Callable[[], list[Trainer]]) -> dict[str, Callable[[], object]]:
    """An epoch of all trainers that `make` makes, in turn and in one batched pass."""
    in_turn, joined = make(), Together(make())

    def one_by_one() -> None:
        for trainer in in_turn:
            trainer.run_epoch()

    return {"in turn": one_by_one, "together": joined.run_epoch}


def together(options: argparse.Namespace) -> None:
    """K seeds in one batched pass against the same K seeds in turn."""
    torch.set_num_threads(options.threads)
    on_cpu = options.device == "cpu"
    clips, text = features(3174, 128, 4096, 30), class_vectors(30)
    clips = clips.to(options.device)
    for name, config in (("default", EzAvgzlConfig()), ("L = 1, width 300", paper_size(1))):
        for batch in options.batches:

            def make(config: Any = config, batch: int = batch) -> list[Trainer]:
                return [
                    trainer_of(config, clips, text, options.device, batch, batches_per_epoch=STEPS)
                    for _ in range(options.seeds)
                ]

            turns = seeds_both_ways(make)
            clock = time.process_time if options.threads == 1 and on_cpu else time.perf_counter
            seconds = measure(turns, options.rounds, clock)
            ratio = statistics.median(a / b for a, b in zip(*seconds.values()))
            print(f"{name}, batch {batch}, {options.seeds} seeds: in turn / together {ratio:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = {one.__name__: one for one in (throughput, bound, vggsound, scoring, together)}
    parser.add_argument("what", choices=commands)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--batches", type=int, nargs="+", default=[BATCH])
    parser.add_argument("--layers", type=int, nargs="+", default=[1, 6])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    commands[options.what](options)


if __name__ == "__main__":
    main()
