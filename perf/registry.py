"""The default of `ezav run` against every other method, by its own recipe, on the same splits.

    python perf/registry.py --store STORE --unseen 5 --sources FILE COLUMN [--splits 5]

Stores, `--sources` and `--kinds` are those of `perf/stack.py`, the choice of epoch and gamma is
that of `perf/prior.py`: class folds of each split's known clips, and no test clip. A recipe's
default config is taken, five epochs of twenty batches (a hundred clips are seen often enough by
then; the recipes' 25,000 batches are for the published suites). One seed.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

from ezav.recipes import protocol_for
from prior import World, numbers_of
from stack import of_store, rows_of, split_of, told

METHODS = ("zero_shot", "eszsl", "ale", "devise", "sje", "apn", "cjme", "avgzslnet", "clipclap")
"""Those whose training on folds takes seconds."""
REFERENCE = "best"
SHORT = {"epochs": 5, "batches_per_epoch": 20, "batch_size": 64}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--sources", nargs=2, metavar=("FILE", "COLUMN"))
    parser.add_argument("--kinds", type=Path)
    parser.add_argument("--unseen", type=int, default=5)
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--first", type=int, default=600)
    parser.add_argument("--methods", nargs="+", default=METHODS)
    given = parser.parse_args()
    clips = of_store(given.store, given.sources, given.kinds)
    world = World.of_store(given.store, clips)
    found: dict[str, list[tuple[float, ...]]] = {}
    for seed in range(given.first, given.first + given.splits):
        split = split_of(clips, seed, given.unseen)
        found.setdefault(REFERENCE, []).append((*rows_of(clips, split)[REFERENCE][:3], 0.0))
        for name in given.methods:
            config = {"words": True} if name == "zero_shot" else {}
            begun = time.process_time()
            numbers = numbers_of(
                world, clips, split, protocol_for(name, config=config, training=SHORT)
            )
            found.setdefault(name, []).append((*numbers[:3], time.process_time() - begun))
        show(found)


def show(found: dict[str, list[tuple[float, ...]]]) -> None:
    best = found[REFERENCE]
    print(f"\n{len(best)} class splits, percent, mean ± standard error", flush=True)
    print(f"{'':14}{'HM':>14}{'ZSL':>14}{'HM best':>14}{'best − row':>16}{'CPU s':>8}")
    for name, rows in found.items():
        cells = "".join(f"{told([one[i] for one in rows]):>14}" for i in range(3))
        less = told([a[0] - b[0] for a, b in zip(best, rows, strict=True)], "+")
        seconds = statistics.fmean(one[3] for one in rows)
        print(f"{name:14}{cells}{less:>16}{seconds:>8.1f}", flush=True)


if __name__ == "__main__":
    main()
