"""EZ-AVGZL on real pictures and sounds, over many choices of the unseen classes.

    python perf/real_clips.py CLIPS --out FOLDER [--splits 20] [--seeds 3]

CLIPS holds `manifest.csv` (path, class) and `classes.csv` (class, group). With ten classes a single
class split decides little, so the unseen classes are drawn anew for every split: one of each group
for the test, another for validation. All methods see the same splits, and learn the epoch and gamma
on each split's own validation part.

The rows: EZ-AVGZL as it comes; cosine on raw text embeddings, trained the same way; EZ-AVGZL with
the class embeddings shuffled among the classes, which is what a meaningless text gives; closed-form
ESZSL; chance, a guess that never looks at the clip. A split's number is the mean over seeds; mean
and standard error are over splits. Splits share classes and clips, so that the true error is
somewhat larger. "HM best" is the HM at the gamma that is best on the test clips: what calibration
on validation loses against it, and nothing to choose by.

What is done is kept: a stopped command goes on.
"""

from __future__ import annotations

import argparse
import csv
import random
import statistics
from collections.abc import Sequence
from pathlib import Path

from ezav.benchmarks.recipe import load_recipe
from ezav.benchmarks.runner import Job, run_jobs
from ezav.extraction import extract
from ezav.features import FeatureStore, StoreWriter
from ezav.features.splits import SPLITS, seen_counts
from ezav.protocol.run_folder import read_evaluation_file, read_result

OURS = "EZ-AVGZL"
ROWS = {
    OURS: ("ez_avgzl", {}),
    "cosine, raw text": ("ez_avgzl", {"similarity": "cosine", "classes": {"source": "raw"}}),
    "EZ-AVGZL, shuffled": ("ez_avgzl", {"classes": {"shuffle": True}}),
    "ESZSL": ("eszsl", {}),
}
"""Label -> method, and what differs from its recipe."""
CHANCE = "chance"
COLUMNS = ("S", "U", "HM", "ZSL", "HM best")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("clips", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--splits", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--processes", type=int)
    arguments = parser.parse_args()
    made = extract(arguments.clips / "manifest.csv", arguments.out / "store")
    source = FeatureStore.open(made.store)
    groups = read_groups(arguments.clips / "classes.csv")
    stores = [
        resplit(source, arguments.out / "splits" / f"{number:02d}", groups, number)
        for number in range(arguments.splits)
    ]
    jobs = [
        job_of(store, label, seed, arguments.out / "runs" / store.path.name)
        for store in stores
        for label in ROWS
        for seed in range(arguments.seeds)
    ]
    done: list[Job] = []

    def tell(job: Job, _: object) -> None:
        done.append(job)
        print(f"\r{len(done)}/{len(jobs)} runs", end="", flush=True)

    run_jobs(jobs, arguments.processes, tell)
    print()
    show({label: [numbers_of(jobs, label, store) for store in stores] for label in (*ROWS, CHANCE)})


def read_groups(path: Path) -> dict[str, list[str]]:
    """Group -> its classes."""
    groups: dict[str, list[str]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            groups.setdefault(row["group"], []).append(row["class"])
    return groups


def resplit(
    source: FeatureStore, path: Path, groups: dict[str, list[str]], seed: int
) -> FeatureStore:
    """The same features under another choice of unseen classes: one of each group, twice."""
    if not (path / "index.parquet").is_file():
        draw = random.Random(seed)
        chosen = [draw.sample(classes, 2) for classes in groups.values()]
        test, validation = ({pair[part] for pair in chosen} for part in (0, 1))
        clips = source.select(*SPLITS)
        names = [clips.classes[label] for label in clips.labels.tolist()]
        by_class: dict[str, list[str]] = {}
        for clip, name in zip(clips.clips, names, strict=True):
            by_class.setdefault(name, []).append(clip)
        splits: dict[str, str] = {}
        for name, mine in by_class.items():
            tested, validated = seen_counts(len(mine))
            order = draw.sample(mine, len(mine))
            for rank, clip in enumerate(order):
                part = "val_seen" if rank < tested + validated else "train"
                part = "val_unseen" if name in validation else part
                part = "test_seen" if rank < tested else part
                splits[clip] = "test_unseen" if name in test else part
        with StoreWriter(path, source.header) as writer:
            writer.add_many(clips.clips, names, clips.audio, clips.visual)
            writer.finish(splits, [source.class_embeddings(name) for name in source.encoders])
    return FeatureStore.open(path)


def job_of(store: FeatureStore, label: str, seed: int, folder: Path) -> Job:
    method, config = ROWS[label]
    setting = load_recipe(method).setting("")
    return Job(
        store=store.path,
        folder=folder / label.replace(", ", "-").replace(" ", "-") / f"seed-{seed}",
        method=method,
        label=label,
        seed=seed,
        config={**setting.config, **config},
        training=setting.training,
    )


def numbers_of(jobs: Sequence[Job], label: str, store: FeatureStore) -> dict[str, float]:
    """The mean over seeds on one class split, in percent."""

    mine = [
        j for j in jobs if j.store == store.path and j.label == (OURS if label == CHANCE else label)
    ]
    results = [read_result(job.folder) for job in mine]
    metrics = [r.chance if label == CHANCE else r.metrics for r in results]
    found = {name: statistics.fmean(getattr(m, name) for m in metrics) for name in COLUMNS[:4]}
    best = [read_evaluation_file(job.folder / "test.safetensors").curve().best_hm for job in mine]
    found["HM best"] = found["HM"] if label == CHANCE else statistics.fmean(best)
    return {name: 100 * value for name, value in found.items()}


def show(results: dict[str, list[dict[str, float]]]) -> None:
    splits = len(results[OURS])
    print(f"{splits} class splits, percent, mean ± standard error over splits\n")
    print(f"{'':20}" + "".join(f"{name:>14}" for name in COLUMNS))
    for label, rows in results.items():
        print(f"{label:20}" + "".join(f"{told([r[name] for r in rows]):>14}" for name in COLUMNS))
    print(f"\n{OURS} minus the row, paired by split; in how many splits it is higher\n")
    for label, rows in results.items():
        if label == OURS:
            continue
        cells = []
        for name in COLUMNS[:4]:
            difference = [a[name] - b[name] for a, b in zip(results[OURS], rows, strict=True)]
            higher = sum(value > 0 for value in difference)
            cells.append(f"{told(difference, '+')} {higher:>3}/{splits}")
        print(f"{label:20}" + "".join(f"{cell:>22}" for cell in cells))


def told(values: Sequence[float], sign: str = "") -> str:
    error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else float("nan")
    return f"{statistics.fmean(values):{sign}.1f} ± {error:.1f}"


if __name__ == "__main__":
    main()
