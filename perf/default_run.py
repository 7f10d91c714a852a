"""What the default run costs, and how it grows: processor seconds and peak memory.

    python perf/default_run.py STORE [STORE ...]                    stores of your own
    python perf/default_run.py --suite vggsound-main --scale 0.01 0.1 1
    python perf/default_run.py --drawn 1000x30 10000x100            as the default encoders write

Each row is one `ezav run STORE` with no other option, from the start of the process to its end.
With `--suite` simulated stores of the official size (times `--scale`) are drawn in a temporary
folder first, with `--drawn` clips of ten seconds with as many tokens as the default encoders give,
around random means of so many classes; drawing is not counted. "processor" is user and system time
of the command and its processes: on a busy machine it is about what a quiet one takes on one core,
and the clock is not.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import torch

from ezav.benchmarks.simulate import SUITES, plan_simulation, write_store
from ezav.classes.embeddings import ClassEmbeddings
from ezav.encoders.overlap import known_labels
from ezav.encoders.registry import card, load_text
from ezav.features import EncoderInfo, FeatureStore, Header, StoreWriter
from ezav.features.feature_set import Ragged
from ezav.features.splits import draw_splits

_SILENT = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]


def measured(command: list[str]) -> tuple[float, float, int]:
    """Seconds of processor, seconds of the clock, most bytes of the process itself."""
    begun = time.perf_counter()
    process = os.posix_spawn(command[0], command, os.environ, file_actions=_SILENT)
    _, status, used = os.wait4(process, 0)
    if status:
        sys.exit(f"{' '.join(command)} failed")
    spent = used.ru_utime + used.ru_stime
    return spent, time.perf_counter() - begun, used.ru_maxrss * 1024


TOKENS = {"visual": ("efficientnet", 20, 0.5), "audio": ("aisfx", 7, 1.16)}
"""Of ten seconds: who gives them, how many, and seconds from one to the next."""


def draw(clips: int, classes: int, path: Path) -> None:
    """Clips around a mean of their class, in a store as `ezav extract` writes it."""
    cards = {kind: card(kind, name) for kind, (name, _, _) in TOKENS.items()}
    encoders = tuple(
        EncoderInfo(
            modality=kind,
            name=one.name,
            revision=one.revision,
            identity=one.identity,
            dimension=one.dimension,
        )
        for kind, one in cards.items()
    )
    generator = torch.Generator().manual_seed(0)
    means = {k: torch.randn(classes, c.dimension, generator=generator) for k, c in cards.items()}
    text = load_text("minilm")
    distinct = list(dict.fromkeys(one.split(", ")[0] for one in known_labels("ImageNet-1k")))
    names = tuple(sorted(distinct[:: len(distinct) // classes][:classes]))
    label = torch.arange(clips) % classes
    own = [names[row] for row in label.tolist()]
    with StoreWriter(path, Header(dataset=f"drawn {clips} x {classes}", encoders=encoders)) as to:
        for start in range(0, clips, 1000):
            rows = label[start : start + 1000]
            parts = {}
            for kind, (_, count, step) in TOKENS.items():
                dim = cards[kind].dimension
                about = means[kind][rows] + 4 * torch.randn(len(rows), dim, generator=generator)
                each = 4 * torch.randn(len(rows), count, dim, generator=generator)
                values = (about[:, None] + each).relu().flatten(0, 1)
                offsets = torch.arange(len(rows) + 1) * count
                times = (torch.arange(count) + 0.5) * step
                parts[kind] = Ragged(values, offsets, times.repeat(len(rows)))
            ids = [str(start + at) for at in range(len(rows))]
            to.add_many(ids, own[start : start + 1000], parts["audio"], parts["visual"])
        splits = draw_splits(list(map(str, range(clips))), own)
        vectors = text.encode(names)
        to.finish(splits, [ClassEmbeddings(names, vectors, text.card.label, {})])


def row(path: Path, place: Path) -> str:
    store = FeatureStore.open(path)
    header = store.header
    out = place / "runs" / path.name
    command = [sys.executable, "-m", "ezav", "run", str(path), "--out", str(out)]
    spent, clock, most = measured(command)
    return (
        f"| {header.dataset} ({header.setting}) | {sum(store.splits.values()):,} "
        f"| {len(store.classes)} | {header.dim('audio')} + {header.dim('visual')} "
        f"| {spent:.0f} | {clock:.0f} | {most / 1e9:.1f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("stores", type=Path, nargs="*")
    parser.add_argument("--suite", choices=SUITES, help="draw simulated stores of this suite")
    parser.add_argument("--scale", type=float, nargs="+", default=[0.01, 0.1, 1.0])
    parser.add_argument("--drawn", nargs="+", default=[], metavar="CLIPSxCLASSES")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        print("| data | clips | classes | dimensions | processor s | clock s | peak GB |")
        print("|---|--:|--:|---|--:|--:|--:|", flush=True)
        for store in given.stores:
            print(row(store, place), flush=True)
        for scale in given.scale if given.suite else ():
            made = place / f"simulated-{scale}"
            write_store(plan_simulation(given.suite, scale=scale), made)
            print(row(made, place), flush=True)
        for size in given.drawn:
            made = place / size
            draw(*map(int, size.split("x")), made)
            print(row(made, place), flush=True)
        print(f"\nload while this ran: {os.getloadavg()[0]:.1f} of {os.cpu_count()} CPUs")


if __name__ == "__main__":
    main()
