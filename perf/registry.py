"""The default of `ezav run` against other methods, each by its own recipe, on the same splits.

    python perf/registry.py --store STORE --unseen 5 --sources FILE COLUMN [--splits 20] [--kept F]
    python perf/registry.py --pictures FOLDER

Stores, pictures, `--sources` and `--kinds` are those of `perf/splits.py`, the choice of epoch and
gamma is that of `perf/prior.py`: class folds of each split's known clips, and no test clip. A
recipe's default config is taken; where it counts in batches, five epochs of twenty (a hundred clips
are seen often enough by then; 25,000 batches are for the published suites). EZ-AVGZL has the class
embeddings that folds choose, as on data of one's own. One seed. Pictures have no sound: a method
that reads two modalities reads a zero there.

What is done is kept in a file (`--kept`); a stopped command goes on, and more methods or splits
add to it. Rows with fewer splits are compared on theirs.
"""

from __future__ import annotations

import json
import statistics
import time
from dataclasses import replace
from pathlib import Path

from ezav.classes import ClassEmbeddingRecipe
from ezav.protocol.class_choice import REPEATS, choose_classes
from ezav.protocol.two_stage import TwoStageProtocol
from ezav.recipes import protocol_for
from ezav.recipes.recipe import OWN, load_recipe
from ezav.safe_io import atomic_path
from prior import numbers_of
from splits import Split, options, splits_of, told
from stack import rows_of
from world import World

METHODS = (
    *("zero_shot", "eszsl", "blending", "ale", "devise", "sje", "apn"),
    *("ez_avgzl", "ez_avgzl_prior"),
)
"""Those whose training on folds takes seconds; any recipe may be named."""
REFERENCE = "best"
SHORT = {"epochs": 5, "batches_per_epoch": 20, "batch_size": 64}
"""Of recipes made for the published suites, which count in batches."""

CONFIGS = {"zero_shot": {"words": True}, "blending": {"trained": "eszsl", "words": True}}
"""What a recipe has to be told of features that share no space with the text."""

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
    for row in (REFERENCE, *given.methods):
        for seed, clips, split in splits_of(given, found.get(row, {})):
            begun = time.process_time()
            if row == REFERENCE:
                numbers = rows_of(clips, split)[REFERENCE]
            else:
                world = World.of(clips, given.store)
                numbers = numbers_of(world, split, run_of(row, world, split))
            seconds = time.process_time() - begun
            found.setdefault(row, {})[str(seed)] = [*numbers[:3], seconds]
            if given.kept:
                with atomic_path(given.kept) as temporary:
                    temporary.write_text(json.dumps(found))
    show(found)


def run_of(recipe: str, world: World, split: Split) -> TwoStageProtocol:
    """What a recipe trains; class embeddings as for data of one's own, chosen on folds."""
    run = protocol_for(recipe, config=CONFIGS.get(recipe))
    if run.training.batches_per_epoch is not None:
        run = protocol_for(recipe, config=CONFIGS.get(recipe), training=SHORT)
    if OWN not in load_recipe(recipe).settings:
        return run
    _, folds = world.own_folds(split, REPEATS)
    chosen, _ = choose_classes(ClassEmbeddingRecipe(source="auto").alternatives(), folds)
    return replace(run, config=replace(run.config, classes=chosen))


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
