"""What each part of a recogniser is worth on real features, over many choices of unseen classes.

    python perf/parts.py --store STORE --unseen 5 --sources FILE COLUMN [--statistics STORE]
    python perf/parts.py --pictures FOLDER [--splits 20] [--kept F]

Stores, pictures, `--sources` and `--kinds` are those of `perf/splits.py`; `--statistics` is a store
of the same clips by the statistics encoders. Every row learns its gamma, and `best` its weights, on
class folds of each split's known clips; "one fold" learns them on the first of these alone, which
is what validation classes are. Nothing is chosen on test clips.

What is done is kept in a file (`--kept`); a stopped command goes on.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from ezav.features import FeatureStore
from ezav.features.splits import SPLITS
from ezav.methods.best.logit import FoldScores, Stack, fit_stack
from ezav.methods.best.method import GAMMA, START
from ezav.metrics import gzsl_scores, seen_unseen_curve
from ezav.metrics.smoothed import smoothed_gamma
from ezav.safe_io import atomic_path
from splits import Clips, Split, options, splits_of, told
from stack import NAMES, folds_of, scored

ESZSL, SUM, BEST = "linear (ESZSL)", "linear + .5 words", "best"
CLOSED = {ESZSL: {"linear": 1.0}, SUM: {"linear": 1.0, "words": 0.5}}
"""Row -> fixed weights of the members."""
FEW, STATISTICS = ", one fold", ", statistics"
COMPARED = {
    ESZSL: (ESZSL + STATISTICS, ESZSL + FEW, SUM, BEST),
    SUM: (SUM + FEW,),
    BEST: (BEST + FEW,),
}
"""Row -> the rows that are told as differences from it, paired by split."""


def main() -> None:
    parser = options(__doc__, first=1000)
    parser.add_argument("--statistics", type=Path)
    parser.add_argument("--kept", type=Path)
    given = parser.parse_args()
    found: dict[str, dict[str, list[float]]] = {}
    if given.kept and given.kept.is_file():
        found = json.loads(given.kept.read_text())
    for seed, clips, split in splits_of(given, found.get(BEST, {})):
        plain = given.statistics and with_statistics(clips, given.store, given.statistics)
        for row, numbers in rows_of(clips, plain, split).items():
            found.setdefault(row, {})[str(seed)] = list(numbers)
        if given.kept:
            with atomic_path(given.kept) as temporary:
                temporary.write_text(json.dumps(found))
    show(found)


def with_statistics(clips: Clips, store: Path, other: Path) -> Clips:
    """The same clips with the features of another store."""
    mine, theirs = (FeatureStore.open(path).select(*SPLITS) for path in (store, other))
    assert mine.clips == theirs.clips, "the stores hold other clips"
    everything = torch.arange(len(theirs))
    audio, visual = (one.gather(everything, pooled=True) for one in (theirs.audio, theirs.visual))
    return replace(clips, audio=audio, visual=visual)


def rows_of(clips: Clips, plain: Clips | None, split: Split) -> dict[str, tuple[float, ...]]:
    """Row -> HM, ZSL, HM at the best gamma on one split, in percent."""
    folds, test = folds_of(clips, split), tested(clips, split)
    rows = {}
    for after, some in (("", folds), (FEW, folds[:1])):
        stacks = {row: fixed(parts) for row, parts in CLOSED.items()}
        stacks[BEST] = fit_stack(some, weights(START), GAMMA, 0.7 / int(split.seen.sum()))
        for row, stack in stacks.items():
            rows[row + after] = numbers_of(some, test, stack)
    if plain is not None:
        folds, test = folds_of(plain, split), tested(plain, split)
        rows[ESZSL + STATISTICS] = numbers_of(folds, test, fixed(CLOSED[ESZSL]))
    return rows


def tested(clips: Clips, split: Split) -> FoldScores:
    """The members' scores of the test clips."""
    return scored(clips, split.known, split.test, split.seen, torch.arange(len(split.seen)))


def weights(parts: dict[str, float]) -> torch.Tensor:
    return torch.tensor([parts.get(name, 0.0) for name in NAMES], dtype=torch.float64)


def fixed(parts: dict[str, float]) -> Stack:
    return Stack(weights(parts), torch.zeros(len(NAMES), dtype=torch.float64))


def numbers_of(folds: Sequence[FoldScores], test: FoldScores, stack: Stack) -> tuple[float, ...]:
    parts = [(stack.scores(f.members.double(), f.seen), f.targets, f.seen) for f in folds]
    scores = stack.scores(test.members.double(), test.seen)
    result = gzsl_scores(scores, test.targets, test.seen, smoothed_gamma(parts).gamma)
    most = seen_unseen_curve(scores, test.targets, test.seen).best_hm
    return 100 * result.HM, 100 * result.ZSL, 100 * most


def show(found: dict[str, dict[str, list[float]]]) -> None:
    print("percent, mean ± standard error over class splits; differences paired")
    print(f"{'':44}{'splits':>7}{'HM':>14}{'ZSL':>14}{'HM best':>14}")
    for row, every in found.items():
        cells = "".join(f"{told([one[i] for one in every.values()]):>14}" for i in range(3))
        print(f"{row:44}{len(every):>7}{cells}")
    for reference, rows in COMPARED.items():
        for row in rows:
            if row not in found:
                continue
            pairs = [(found[row][seed], found[reference][seed]) for seed in found[row]]
            cells = "".join(f"{told([a[i] - b[i] for a, b in pairs], '+'):>14}" for i in range(3))
            print(f"{row} minus {reference}".ljust(44) + f"{len(pairs):>7}{cells}")


if __name__ == "__main__":
    main()
