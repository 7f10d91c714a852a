"""What other class embeddings than the text are worth on real features, and what validation picks.

    python perf/real_geometry.py --pictures PICTURES [--network] [--first 400] [--splits 20]
    python perf/real_geometry.py --store STORE --unseen 5 [--sources FILE COLUMN] [--kinds FILE]

Pictures, stores and their options are those of `perf/splits.py`. `--text FILE` takes another text
encoder's vectors of the class names (`--names FILE COLUMN`: what a class is called there). Rows are
the alternatives of `classes.source: auto`, tried in four class folds of each split's known clips,
twice, as a run does; nothing is chosen on test clips. HM is the closed form's (ESZSL) at the gamma
and penalty of the folds; "best" is that at the gamma which is best on the test clips. With
`--network` it is EZ-AVGZL's, trained as a run of one's own data is, at its best gamma. The row
`auto` is what the folds chose in each split, `one error` what they would if one standard error
were enough to leave the raw text.
"""

from __future__ import annotations

import csv
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from ezav.classes import ClassEmbeddingRecipe, ClassEmbeddings
from ezav.metrics import gzsl_scores, seen_unseen_curve
from ezav.naming import same
from ezav.protocol.by_folds import FoldData
from ezav.protocol.class_choice import (
    REPEATS,
    carried_to,
    choose_classes,
    closed_form_hm,
    preferred,
)
from ezav.protocol.confusion import SeenClassifier
from ezav.recipes import protocol_for
from splits import Split, options, splits_of, told
from world import World

AUTO = ClassEmbeddingRecipe(source="auto")
RAW = AUTO.alternatives()[0].label
OWN = {"epochs": 20, "batch_size": 64, "learning_rate": 1e-3, "schedule": "cosine"}


@dataclass
class Rows:
    """Row -> a number a split, in percent."""

    hm: dict[str, list[float]]
    best: dict[str, list[float]]
    ahead: dict[str, list[float]]
    chosen: list[str]
    seconds: list[float]


def by_network(world: World, split: Split, vectors: Tensor) -> Tensor:
    run = protocol_for("ez_avgzl", training={"patience": None, **OWN})
    trainer = replace(world, text=vectors).trainer(run, split.known, split.seen)
    for _ in range(run.training.epochs):
        trainer.run_epoch()
    every = torch.arange(len(split.seen))
    held = replace(world, text=vectors).held_out(trainer, split.test, every, split.seen)
    return held.score(trainer.method)


def add_split(rows: Rows, world: World, split: Split, network: bool) -> None:
    begun = time.process_time()
    stage, folds = world.own_folds(split, REPEATS)
    chosen, tried = choose_classes(AUTO.alternatives(), folds)
    rows.seconds.append(time.process_time() - begun)
    rows.chosen.append(chosen.label)
    test = FoldData(stage, world.clips.subset(split.test))
    classifier = SeenClassifier(stage)
    said, confused = classifier.scores(test.held_out), classifier.confused()
    parts = [SeenClassifier(fold.stage) for fold in folds]
    heard = [one.scores(fold.held_out) for one, fold in zip(parts, folds, strict=True)]
    pairs = [one.confused() for one in parts]
    targets, seen = test.held_out.labels, split.seen
    for one in AUTO.alternatives():
        if one.label not in tried:
            continue
        made = one.prepare(stage.text, confused=confused if one.reads_confusions else ())
        if network:
            scores = by_network(world, split, made.vectors)
            hm = best = seen_unseen_curve(scores, targets, seen).best_hm
        else:
            inside = [
                one.prepare(f.stage.text, confused=p if one.reads_confusions else ()).vectors
                for f, p in zip(folds, pairs, strict=True)
            ]
            _, gamma, penalty = closed_form_hm(folds, heard, inside)
            scores = carried_to(said, made.vectors, seen, penalty)
            hm = gzsl_scores(scores, targets, seen, gamma).HM
            best = seen_unseen_curve(scores, targets, seen).best_hm
        for into, number in ((rows.hm, hm), (rows.best, best)):
            into.setdefault(one.label, []).append(100 * float(number))
        less = [100 * (a - b) for a, b in zip(tried[one.label], tried[RAW], strict=True)]
        rows.ahead.setdefault(one.label, []).append(sum(less) / len(less))
    for row, label in (("auto", chosen.label), ("one error", preferred(tried, errors=1.0))):
        for into in (rows.hm, rows.best, rows.ahead):
            into.setdefault(row, []).append(into[label][-1])


def show(rows: Rows, what: str) -> None:
    picked = {one: rows.chosen.count(one) for one in sorted(set(rows.chosen))}
    seconds = sum(rows.seconds) / len(rows.seconds)
    print(f"\n{what}, {len(rows.chosen)} class splits, percent, minus raw text ± standard error")
    print(f"chosen: {picked}; the choice took {seconds:.1f} s of processor time a split")
    print(f"{'':14}{'HM':>14}{'best':>14}{'in the folds':>14}", flush=True)
    print(f"{RAW:14}{told(rows.hm[RAW]):>14}{told(rows.best[RAW]):>14}")
    for row in list(rows.hm)[1:]:
        cells = ""
        for numbers in (rows.hm, rows.best):
            less = [a - b for a, b in zip(numbers[row], numbers[RAW], strict=True)]
            cells += f"{told(less, '+'):>14}"
        print(f"{row:14}{cells}{told(rows.ahead[row], '+'):>14}", flush=True)


def other_text(path: Path, names: tuple[str, str] | None, classes: tuple[str, ...]) -> Tensor:
    """`[C, d]`: the vectors that a published file has for the classes."""
    text = ClassEmbeddings.load(path)
    called = {name: name for name in classes}
    if names is not None:
        with Path(names[0]).open(encoding="utf-8", newline="") as file:
            called.update({row["class"]: row[names[1]] for row in csv.DictReader(file)})
    known = {same(name).replace(" ", ""): name for name in text.names}
    return text.select([known[same(called[one]).replace(" ", "")] for one in classes]).vectors


def main() -> None:
    parser = options(__doc__, first=400)
    parser.add_argument("--text", type=Path)
    parser.add_argument("--names", nargs=2, metavar=("FILE", "COLUMN"))
    parser.add_argument("--network", action="store_true")
    given = parser.parse_args()
    rows = Rows({}, {}, {}, [], [])
    for _, clips, split in splits_of(given):
        world = World.of(clips, given.store)
        if given.text is not None:
            world = replace(world, text=other_text(given.text, given.names, world.clips.classes))
        add_split(rows, world, split, given.network)
    show(rows, "EZ-AVGZL" if given.network else "ESZSL")


if __name__ == "__main__":
    main()
