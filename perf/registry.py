"""The default of `ezav run` against other methods, each by its own recipe, on the same splits.

    python perf/registry.py --store STORE --unseen 5 --sources FILE COLUMN [--splits 20] [--kept F]
    python perf/registry.py --pictures FOLDER

Stores, pictures, `--sources` and `--kinds` are those of `perf/splits.py`, the choice of epoch and
gamma is that of `perf/prior.py`: class folds of each split's known clips, and no test clip. A
recipe's default config is taken, five epochs of twenty batches (a hundred clips are seen often
enough by then; the recipes' 25,000 batches are for the published suites). One seed. Pictures have
no sound: a method that reads two modalities reads a zero there.

What is done is kept in a file (`--kept`); a stopped command goes on, and more methods or splits
add to it. Rows with fewer splits are compared on theirs.
"""

from __future__ import annotations

import json
import statistics
import time
from pathlib import Path

from ezav.recipes import protocol_for
from ezav.safe_io import atomic_path
from prior import World, numbers_of
from splits import options, splits_of, told
from stack import rows_of

METHODS = ("zero_shot", "eszsl", "ale", "devise", "sje", "apn", "cjme", "avgzslnet", "clipclap")
"""Those whose training on folds takes seconds."""
REFERENCE = "best"
SHORT = {"epochs": 5, "batches_per_epoch": 20, "batch_size": 64}

Found = dict[str, dict[str, list[float]]]
"""Row -> seed of the split -> HM, ZSL, HM at the best gamma, seconds."""


def main() -> None:
    parser = options(__doc__, first=600)
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--kept", type=Path)
    given = parser.parse_args()
    found: Found = {}
    if given.kept and given.kept.is_file():
        found = json.loads(given.kept.read_text())
    done = set.intersection(*(set(found.get(row, {})) for row in (REFERENCE, *given.methods)))
    for seed, clips, split in splits_of(given, done):
        world = World.of(clips, given.store)
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
