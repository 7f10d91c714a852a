"""The default of `ezav run` against other methods, each by its own recipe, on the same splits.

    python perf/registry.py --store STORE --unseen 5 --sources FILE COLUMN [--splits 20] [--kept F]
    python perf/registry.py --pictures FOLDER

Stores, pictures, `--sources` and `--kinds` are those of `perf/stack.py`, the choice of epoch and
gamma is that of `perf/prior.py`: class folds of each split's known clips, and no test clip. A
recipe's default config is taken, five epochs of twenty batches (a hundred clips are seen often
enough by then; the recipes' 25,000 batches are for the published suites). One seed. Pictures have
no sound: a method that reads two modalities reads a zero there.

What is done is kept in a file (`--kept`); a stopped command goes on, and more methods or splits
add to it. Rows with fewer splits are compared on theirs.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

from ezav.recipes import protocol_for
from ezav.safe_io import atomic_path
from prior import World, numbers_of
from stack import of_store, pictures, rows_of, split_of, told

METHODS = ("zero_shot", "eszsl", "ale", "devise", "sje", "apn", "cjme", "avgzslnet", "clipclap")
"""Those whose training on folds takes seconds."""
REFERENCE = "best"
SHORT = {"epochs": 5, "batches_per_epoch": 20, "batch_size": 64}

Found = dict[str, dict[str, list[float]]]
"""Row -> seed of the split -> HM, ZSL, HM at the best gamma, seconds."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--store", type=Path)
    parser.add_argument("--sources", nargs=2, metavar=("FILE", "COLUMN"))
    parser.add_argument("--kinds", type=Path)
    parser.add_argument("--unseen", type=int, default=6)
    parser.add_argument("--splits", type=int, default=20)
    parser.add_argument("--first", type=int, default=600)
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--kept", type=Path)
    given = parser.parse_args()
    store = given.store and of_store(given.store, given.sources, given.kinds)
    found: Found = {}
    if given.kept and given.kept.is_file():
        found = json.loads(given.kept.read_text())
    for seed in range(given.first, given.first + given.splits):
        if all(str(seed) in found.get(row, {}) for row in (REFERENCE, *given.methods)):
            continue
        clips = store or pictures(given.pictures, seed)
        world = World.of_store(given.store, clips) if store else World.of_pictures(clips)
        split = split_of(clips, seed, given.unseen)
        for row in (REFERENCE, *given.methods):
            if str(seed) in found.get(row, {}):
                continue
            begun = time.process_time()
            if row == REFERENCE:
                numbers = rows_of(clips, split)[REFERENCE]
            else:
                config = {"words": True} if row == "zero_shot" else {}
                run = protocol_for(row, config=config, training=SHORT)
                numbers = numbers_of(world, clips, split, run)
            seconds = time.process_time() - begun
            found.setdefault(row, {})[str(seed)] = [*numbers[:3], seconds]
            if given.kept:
                with atomic_path(given.kept) as temporary:
                    temporary.write_text(json.dumps(found))
    show(found)


def show(found: Found) -> None:
    print(f"\n{len(found[REFERENCE])} class splits, percent, mean ± standard error")
    print(f"{'':14}{'splits':>8}{'HM':>14}{'ZSL':>14}{'HM best':>14}{'best − row':>16}{'CPU s':>8}")
    for name, every in found.items():
        splits = {seed: one for seed, one in every.items() if seed in found[REFERENCE]}
        rows = list(splits.values())
        cells = "".join(f"{told([one[i] for one in rows]):>14}" for i in range(3))
        less = told([found[REFERENCE][seed][0] - one[0] for seed, one in splits.items()], "+")
        seconds = statistics.fmean(one[3] for one in rows)
        print(f"{name:14}{len(rows):>8}{cells}{less:>16}{seconds:>8.1f}")


if __name__ == "__main__":
    main()
