"""The practitioner's loop on real clips: names alone, three classes taught, a run on all.

    python perf/loop.py --store STORE [--sources FILE COLUMN] [--draws 10] [--clips 2]

For every draw the clips are divided as `ezav run --unseen none` does, whole sources on one side.
Step 1: a frozen recogniser is given the names of all classes. Step 2: it is taught the three
classes that it is worst at on the known clips, by some of these. Step 3: a run (the default of
`ezav run`) learns from all known clips. Each answers the clips held out, among all classes;
accuracies are means over classes in percent, with the standard error over draws (draws share clips:
the true error is somewhat larger).
"""

from __future__ import annotations

import argparse
import csv
import random
import statistics
from collections.abc import Mapping
from pathlib import Path

import torch

from ezav.features import FeatureStore
from ezav.features.feature_set import FeatureSet, Ragged
from ezav.features.header import SplitOrigin
from ezav.features.splits import draw_splits
from ezav.metrics.accuracy import per_class_recall
from ezav.recipes import protocol_for
from ezav.recognizer import Recognizer
from ezav.training.scoring import score_all
from splits import told

TAUGHT = 3
"""Classes."""


def drawn(store: FeatureStore, sources: Mapping[str, str], seed: int) -> FeatureStore:
    clips = store.select()
    names = [clips.classes[label] for label in clips.labels.tolist()]
    splits = draw_splits(clips.clips, names, (), seed, sources)
    return store.with_splits(splits, SplitOrigin(how="drawn", seed=seed), sources)


def recalls(recognizer: Recognizer, clips: FeatureSet) -> list[float]:
    """Of each class, answered by name alone or by what was taught."""
    found = recognizer.score(seen(clips), recognizer.candidates(list(clips.classes)))
    return recalls_of(found, clips)


def seen(clips: FeatureSet) -> FeatureSet:
    """As a frozen recogniser of the default encoders reads them: its sound names no labels."""
    silent = Ragged.from_clips([None] * len(clips), 1)
    return FeatureSet(silent, clips.visual, clips.labels, clips.clips, clips.classes)


def recalls_of(scores: torch.Tensor, clips: FeatureSet) -> list[float]:
    return per_class_recall(scores.argmax(dim=1), clips.labels, len(clips.classes)).tolist()


def shown(clips: FeatureSet, label: int, count: int, seed: int) -> FeatureSet:
    rows = (clips.labels == label).nonzero()[:, 0].tolist()
    random.Random(1000 * seed + label).shuffle(rows)
    return clips.subset(torch.tensor(rows[:count]))


def steps(view: FeatureStore, count: int, seed: int) -> list[tuple[float, float, float]]:
    """Of each step the accuracy on all classes, on the three, and on the others."""
    known, test = view.select("train"), view.select("test_seen")
    recognizer = Recognizer.frozen()
    worst = sorted(range(len(known.classes)), key=recalls(recognizer, known).__getitem__)[:TAUGHT]
    found = [recalls(recognizer, test)]
    recognizer.teach({known.classes[c]: seen(shown(known, c, count, seed)) for c in worst})
    found.append(recalls(recognizer, test))
    fitted = protocol_for("best", view, seed=seed).fit(view)
    model = fitted.model_
    assert model.classes.names == test.classes
    found.append(recalls_of(score_all(model.method, test, model.classes.vectors), test))
    return [
        (
            statistics.fmean(one),
            statistics.fmean(one[c] for c in worst),
            statistics.fmean(value for c, value in enumerate(one) if c not in worst),
        )
        for one in found
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--sources", nargs=2, metavar=("FILE", "COLUMN"))
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--clips", type=int, default=2, help="that teach each of the three")
    given = parser.parse_args()
    store = FeatureStore.open(given.store)
    sources = {}
    if given.sources:
        with Path(given.sources[0]).open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):  # sources are numbered anew in each class
                sources[row["path"]] = f"{row['class']}/{row[given.sources[1]]}"
    every = [steps(drawn(store, sources, s), given.clips, s) for s in range(given.draws)]
    columns = ("all classes", "the three", "the others")
    print(f"{'':24}" + "".join(f"{name:>16}" for name in columns))
    names = ("names alone", f"3 taught, {given.clips} clips each", "a run on all")
    for name, rows in zip(names, zip(*every, strict=True), strict=True):
        cells = [told([100 * value for value in column]) for column in zip(*rows, strict=True)]
        print(f"{name:24}" + "".join(f"{cell:>16}" for cell in cells))


if __name__ == "__main__":
    main()
