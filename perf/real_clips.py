"""EZ-AVGZL on real pictures and sounds, over many choices of the unseen classes.

    python perf/real_clips.py CLIPS --out FOLDER [--splits 20] [--seeds 3]
        [--visual efficientnet --audio aisfx]     default: the statistics encoders

CLIPS holds `manifest.csv` (path, class) and `classes.csv` (class, group). With ten classes a single
class split decides little, so the unseen classes are drawn anew for every split: one of each group
for the test, another for validation. All methods see the same splits, and learn the epoch and gamma
on each split's own validation part.

The rows: EZ-AVGZL with similarity and alpha chosen on each split's validation part (mean validation
HM over seeds; the six candidates have rows of their own, cosine on raw text embeddings among them);
its control, the class embeddings shuffled among the classes, which is what a meaningless text
gives, with the similarity chosen the same way; closed-form ESZSL; chance, a guess that never looks
at the clip. A split's number is the mean over seeds; mean and standard error are over splits.
Splits share classes and clips, so that the true error is somewhat larger. "HM best" is the HM at
the gamma that is best on the test clips: what calibration on validation loses against it, and
nothing to choose by.

What is done is kept: a stopped command goes on.
"""

from __future__ import annotations

import argparse
import csv
import random
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ezav.benchmarks.runner import Job, run_jobs
from ezav.classes.embeddings import ClassEmbeddings
from ezav.extraction import extract
from ezav.features import FeatureStore, StoreWriter
from ezav.features.splits import SPLITS, seen_counts
from ezav.protocol.result import RunResult
from ezav.protocol.run_folder import read_evaluation_file
from ezav.recipes import protocol_for
from splits import told

SIMILARITIES = ("attention", "cosine")
EMBEDDINGS: dict[str, dict[str, Any]] = {
    "raw text": {"source": "raw"},
    "alpha 0.05": {"alpha": 0.05},
    "alpha 0.2": {"alpha": 0.2},
}


def rows_of(embeddings: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Label -> what differs from the recipe of EZ-AVGZL."""
    return {
        f"{similarity}, {label}": {"similarity": similarity, "classes": classes}
        for similarity in SIMILARITIES
        for label, classes in embeddings.items()
    }


CANDIDATES = rows_of(EMBEDDINGS)
CONTROLS = rows_of({"shuffled": {"source": "raw", "shuffle": True}})
OURS, CONTROL = "EZ-AVGZL, chosen", "shuffled, chosen"
CHOSEN = {OURS: CANDIDATES, CONTROL: CONTROLS}
"""Label -> the rows of which each split's validation part chooses one."""
ROWS: dict[str, tuple[str, dict[str, Any]]] = {
    **{label: ("ez_avgzl", config) for label, config in {**CANDIDATES, **CONTROLS}.items()},
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
    parser.add_argument("--visual", default="statistics")
    parser.add_argument("--audio", default="statistics")
    arguments = parser.parse_args()
    made = extract(
        arguments.clips / "manifest.csv",
        arguments.out / "store",
        visual=arguments.visual,
        audio=arguments.audio,
    )
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

    results = run_jobs(jobs, arguments.processes, tell)
    print()
    found = [numbers_of(jobs, results, store) for store in stores]
    show({label: [split[label] for split in found] for label in found[0]})


def read_groups(path: Path) -> dict[str, list[str]]:
    """Group -> its classes."""
    groups: dict[str, list[str]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            groups.setdefault(row["group"], []).append(row["class"])
    return groups


def resplit(
    source: FeatureStore,
    path: Path,
    groups: dict[str, list[str]],
    seed: int,
    *,
    unseen: int = 1,
    recorded: Mapping[str, str] | None = None,
    shuffle: bool = False,
) -> FeatureStore:
    """The same features under another choice of unseen classes: some of each group, twice.

    Args:
        source: the features; its own splits are ignored.
        path: where the new store goes.
        groups: group -> its classes.
        seed: of the draw; stores of the same clips get the same splits.
        unseen: classes of each group that test, and as many others that validate.
        recorded: clip -> the recording it was cut from: those of one stay on one side. None: each
            clip is one.
        shuffle: the class vectors dealt out among the classes: what a meaningless text gives.
    """
    if not (path / "index.parquet").is_file():
        draw = random.Random(seed)
        chosen = [draw.sample(classes, 2 * unseen) for classes in groups.values()]
        test = {name for some in chosen for name in some[:unseen]}
        validation = {name for some in chosen for name in some[unseen:]}
        clips = source.select(*SPLITS)
        names = [clips.classes[label] for label in clips.labels.tolist()]
        by_class: dict[str, dict[str, list[str]]] = {}
        for clip, name in sorted(zip(clips.clips, names, strict=True)):
            by_class.setdefault(name, {}).setdefault((recorded or {}).get(clip, clip), []).append(
                clip
            )
        splits: dict[str, str] = {}
        for name, mine in sorted(by_class.items()):
            tested, validated = seen_counts(sum(map(len, mine.values())))
            rank = 0
            for recording in draw.sample(sorted(mine), len(mine)):
                part = "val_seen" if rank < tested + validated else "train"
                part = "val_unseen" if name in validation else part
                part = "test_seen" if rank < tested else part
                part = "test_unseen" if name in test else part
                splits |= dict.fromkeys(mine[recording], part)
                rank += len(mine[recording])
        texts = [source.class_embeddings(name) for name in source.encoders]
        if shuffle:
            texts = [shuffled(text, seed) for text in texts]
        with StoreWriter(path, source.header) as writer:
            writer.add_many(clips.clips, names, clips.audio, clips.visual)
            writer.finish(splits, texts)
    return FeatureStore.open(path)


def shuffled(text: ClassEmbeddings, seed: int) -> ClassEmbeddings:
    """Every class has the vector of another (or by chance its own)."""
    order = torch.randperm(len(text.names), generator=torch.Generator().manual_seed(seed))
    return replace(text, vectors=text.vectors[order])


def job_of(store: FeatureStore, label: str, seed: int, folder: Path) -> Job:
    method, config = ROWS[label]
    return Job(
        protocol=protocol_for(method, config=config, seed=seed),
        store=store.path,
        folder=folder / label.replace(", ", "-").replace(" ", "-") / f"seed-{seed}",
        label=label,
    )


def numbers_of(
    jobs: Sequence[Job], results: Sequence[RunResult], store: FeatureStore
) -> dict[str, dict[str, float]]:
    """Row -> its numbers on one class split, means over seeds in percent."""
    mine: dict[str, list[tuple[Job, RunResult]]] = {}
    for job, result in zip(jobs, results, strict=True):
        if job.store == store.path:
            mine.setdefault(job.label, []).append((job, result))
    rows: dict[str, dict[str, float]] = {}
    for label, runs in mine.items():
        rows[label] = {
            name: statistics.fmean(getattr(result.metrics, name) for _, result in runs)
            for name in COLUMNS[:4]
        }
        files = [job.folder / "test.safetensors" for job, _ in runs]
        best = [read_evaluation_file(file).curve().best_hm for file in files]
        rows[label]["HM best"] = statistics.fmean(best)

    def validation(label: str) -> float:
        return statistics.fmean(result.validation.HM for _, result in mine[label])

    chance = mine["ESZSL"][0][1].chance
    rows[CHANCE] = {name: getattr(chance, name) for name in COLUMNS[:4]}
    rows[CHANCE]["HM best"] = chance.HM
    chosen = {label: rows[max(among, key=validation)] for label, among in CHOSEN.items()}
    rows = {**chosen, **rows}
    return {label: {n: 100 * value for n, value in row.items()} for label, row in rows.items()}


def show(results: dict[str, list[dict[str, float]]]) -> None:
    splits = len(results[OURS])
    print(f"{splits} class splits, percent, mean ± standard error over splits\n")
    print(f"{'':24}" + "".join(f"{name:>14}" for name in COLUMNS))
    for label, rows in results.items():
        print(f"{label:24}" + "".join(f"{told([r[name] for r in rows]):>14}" for name in COLUMNS))
    print(f"\n{OURS} minus the row, paired by split; in how many splits it is higher\n")
    for label, rows in results.items():
        if label == OURS:
            continue
        cells = []
        for name in COLUMNS[:4]:
            difference = [a[name] - b[name] for a, b in zip(results[OURS], rows, strict=True)]
            higher = sum(value > 0 for value in difference)
            cells.append(f"{told(difference, '+')} {higher:>3}/{splits}")
        print(f"{label:24}" + "".join(f"{cell:>22}" for cell in cells))


if __name__ == "__main__":
    main()
