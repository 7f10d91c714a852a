"""What the default features are worth, beside those of before, and beside shuffled names.

    python perf/old_and_new.py NEW OLD --out FOLDER [--splits 20] [--groups FILE] [--unseen 1]
        [--recorded FILE COLUMN] [--methods eszsl ez_avgzl] [--folds 0]

NEW and OLD are stores of the same clips: `ezav extract` with the default encoders, and with
`--visual statistics --audio statistics`. The unseen classes are drawn anew for every split, the
same for all rows; `ezav run METHOD` then does the rest as its recipe says (seed 0; epoch,
penalties and gamma from class folds of each split's known classes, or with `--folds 0` from its
validation classes). `--groups` names a CSV file (class,
group): of every group so many are unseen. `--recorded` names a CSV file (path, COLUMN): clips of
one recording are never on both sides of a split.

Mean and standard error are over splits, differences paired by split. Splits share classes and
clips, so that the true error is larger. What is done is kept.
"""

from __future__ import annotations

import argparse
import csv
from dataclasses import replace
from pathlib import Path

from ezav.benchmarks.runner import Job, run_jobs
from ezav.features import FeatureStore
from ezav.protocol import TwoStageProtocol
from ezav.recipes import protocol_for
from real_clips import read_groups, resplit, told

COLUMNS = ("S", "U", "HM", "ZSL")
NEW, OLD, SHUFFLED = "default features", "statistics", "default features, names shuffled"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("new", type=Path)
    parser.add_argument("old", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--splits", type=int, default=20)
    parser.add_argument("--groups", type=Path)
    parser.add_argument("--unseen", type=int, default=1)
    parser.add_argument("--recorded", nargs=2, metavar=("FILE", "COLUMN"))
    parser.add_argument("--methods", nargs="+", default=["eszsl", "ez_avgzl"])
    parser.add_argument("--folds", type=int)
    parser.add_argument("--processes", type=int)
    given = parser.parse_args()
    new, old = FeatureStore.open(given.new), FeatureStore.open(given.old)
    groups = {"": list(new.classes)} if given.groups is None else read_groups(given.groups)
    recorded = given.recorded and recordings(new, Path(given.recorded[0]), given.recorded[1])
    stores = {
        row: [
            resplit(
                source,
                given.out / row.replace(", ", "-").replace(" ", "-") / f"{split:02d}",
                groups,
                split,
                unseen=given.unseen,
                recorded=recorded,
                shuffle=row == SHUFFLED,
            )
            for split in range(given.splits)
        ]
        for row, source in ((NEW, new), (OLD, old), (SHUFFLED, new))
    }
    for method in given.methods:
        protocol = replace(protocol_for(method), folds=given.folds)
        table(protocol, stores, given.out / "runs", given.processes)


def recordings(store: FeatureStore, file: Path, column: str) -> dict[str, str]:
    """Clip of the store -> what it was cut from, by the name of its file."""
    with file.open(encoding="utf-8", newline="") as lines:
        named = {Path(row["path"]).stem: row[column] for row in csv.DictReader(lines)}
    return {clip: named[Path(clip).stem] or clip for clip in store.index["clip"].to_pylist()}


def table(
    protocol: TwoStageProtocol,
    stores: dict[str, list[FeatureStore]],
    runs: Path,
    processes: int | None,
) -> None:
    method = protocol.method
    jobs = {
        row: [
            Job(
                protocol=protocol,
                store=store.path,
                folder=runs / method / store.path.parent.name / store.path.name,
                label=method,
            )
            for store in several
        ]
        for row, several in stores.items()
    }
    results = iter(run_jobs([job for several in jobs.values() for job in several], processes))
    found: dict[str, list[dict[str, float]]] = {}
    chance: list[dict[str, float]] = []
    for row, several in jobs.items():
        metrics = [next(results) for _ in several]
        found[row] = [{c: 100 * getattr(one.metrics, c) for c in COLUMNS} for one in metrics]
        chance = [{c: 100 * getattr(one.chance, c) for c in COLUMNS} for one in metrics]
    found["chance"] = chance
    print(f"\n{method}, {len(chance)} class splits, percent, mean ± standard error\n")
    print("| | " + " | ".join(COLUMNS) + " | default − row: HM | ZSL |")
    print("|---|" + "--:|" * (len(COLUMNS) + 2))
    for row, numbers in found.items():
        cells = [told([one[c] for one in numbers]) for c in COLUMNS]
        for c in COLUMNS[2:]:
            pairs = zip(found[NEW], numbers, strict=True)
            cells.append("" if row == NEW else told([a[c] - b[c] for a, b in pairs], "+"))
        print(f"| {row} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
