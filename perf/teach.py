"""What a few clips teach: accuracy on a taught class and on all others, by the number of clips.

    python perf/teach.py --store STORE --unseen 5 [--splits 10] [--sources FILE COLUMN]
    python perf/teach.py --store STORE --unseen 5 --method eszsl [--splits 10] [--sources …]
    python perf/teach.py --store STORE --frozen [--sources FILE COLUMN]

For every split a run's default method learns from the clips of the seen classes, its weights and
gamma and what a few clips are worth by class folds, as `ezav run` does; with --method a run of that
recipe does all of this, on splits that `ezav run --unseen` draws of the same unseen classes. Then
one class at a time is taught by k of its held-out clips and scored on those that are left; so are
the held-out clips of all other classes, among all classes. Clips of one source never teach and
test. Accuracies are means over classes, in percent, with the standard error over splits (splits
share clips: the true error is somewhat larger); with --frozen over draws of the clips, nothing is
trained, and the constants were chosen on the same two sets. ECE: calibration error of all these
answers at one temperature.
"""

from __future__ import annotations

import argparse
import random
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ezav.classes import ClassEmbeddings
from ezav.features import FeatureStore
from ezav.features.feature_set import FeatureSet, Ragged
from ezav.features.redraw import redrawn
from ezav.features.splits import SPLITS
from ezav.methods.base import Dims, HeldOut, Method
from ezav.methods.best.method import Best, BestConfig
from ezav.metrics import expected_calibration_error
from ezav.metrics.smoothed import smoothed_gamma
from ezav.protocol.appearance import Appearance
from ezav.protocol.evaluation import Evaluation, StageModel
from ezav.protocol.labels import label_head
from ezav.recipes import protocol_for
from ezav.recognizer import Calibration, Recognizer
from ezav.recognizer.lessons import appearances
from ezav.recognizer.taught import Lesson, Taught, taught_model
from ezav.training.scoring import score_all
from splits import Clips, Split, of_store, split_of, told
from stack import folds_of_classes


@dataclass(frozen=True)
class Model:
    """A stage's model with what makes its scores answers."""

    stage: StageModel
    gamma: float
    temperature: float
    look: Appearance | None = None


def features(store: Path) -> FeatureSet:
    opened = FeatureStore.open(store)
    clips = opened.select(*SPLITS)
    return FeatureSet(
        Ragged.from_clips(_means(clips.audio), clips.audio.dim),
        Ragged.from_clips(_means(clips.visual), clips.visual.dim),
        clips.labels,
        clips.clips,
        clips.classes,
    )


def _means(stored: Ragged) -> list[tuple[Tensor, Tensor] | None]:
    there = (stored.lengths > 0).tolist()
    return [(mean[None], torch.zeros(1)) if one else None for mean, one in zip(stored.means, there)]


def best(store: FeatureStore, clips: FeatureSet, train: Tensor, seen: Tensor) -> Best:
    text = store.class_embeddings()
    method = Best(BestConfig(), Dims(audio=clips.audio.dim, visual=clips.visual.dim, text=text.dim))
    if (head := label_head(store.header, text.encoder)) is not None:
        method.know_labels(head)
    trained = seen.nonzero()[:, 0]
    place = torch.full((len(seen),), -1)
    place[trained] = torch.arange(len(trained))
    audio, visual = (one.gather(train, pooled=True) for one in (clips.audio, clips.visual))
    method.prepare(audio, visual, place[clips.labels[train]], text.vectors[trained])
    return method


def trained(store: FeatureStore, clips: FeatureSet, held: Clips, split: Split) -> Model:
    """As `ezav run` trains the default, with folds whose sources are whole."""
    text = store.class_embeddings()
    known = split.seen.nonzero()[:, 0]
    place = torch.full((len(split.seen),), -1)
    place[known] = torch.arange(len(known))
    vectors = text.vectors[known]
    folds = []
    for fold, seen in folds_of_classes(held, split):
        method = best(store, clips, split.known[fold.train], seen)
        some = clips.subset(split.known[fold.held_out])
        own = FeatureSet(some.audio, some.visual, place[some.labels], some.clips, some.classes)
        folds.append(
            HeldOut(method, own, vectors, seen[known], lambda m, c=own: score_all(m, c, vectors))
        )
    folds[0].method.learn_on_folds(folds)
    learned = {n: folds[0].method.get_buffer(n) for n in Best.from_validation}
    for fold in folds:
        fold.method.take_over(learned)
    parts = [(fold.score(fold.method), fold.clips.labels, fold.seen) for fold in folds]
    gamma = smoothed_gamma([(s.double(), t, seen) for s, t, seen in parts]).gamma
    scores = torch.cat([s for s, _, _ in parts])
    flags = torch.cat([seen.expand(len(s), -1) for s, _, seen in parts])
    targets = torch.cat([t for _, t, _ in parts])
    names = tuple(clips.classes[row] for row in known.tolist())
    ids = tuple(clip for fold in folds for clip in fold.clips.clips)
    everything = Evaluation(
        scores - gamma * flags, targets, torch.zeros(len(known), dtype=torch.bool), names, ids
    )
    method = best(store, clips, split.known, split.seen)
    method.take_over(learned)
    stage = StageModel(method, text, split.seen)
    return Model(stage, gamma, Calibration.fit(everything, 0.0).temperature_)


def run_of(
    method: str, store: FeatureStore, clips: FeatureSet, held: Clips, split: Split, seed: int
) -> tuple[Model, Tensor]:
    """A run of a recipe on the split's unseen classes, and the rows of its test clips."""
    unseen = [name for name, seen in zip(clips.classes, split.seen.tolist()) if not seen]
    sources = dict(zip(clips.clips, held.sources, strict=True))
    view = redrawn(store, unseen, sources)
    fitted = protocol_for(method, view, seed=seed).fit(view)
    calibration = Calibration.fit(fitted.folds_ or fitted.validation_, fitted.gamma_)
    test = set(view.select("test_seen", "test_unseen").clips)
    rows = torch.tensor([row for row, clip in enumerate(clips.clips) if clip in test])
    look = Appearance.learn(fitted)
    return Model(fitted.model_, fitted.gamma_, calibration.temperature_, look), rows


def drawn(
    clips: FeatureSet, sources: tuple[str, ...], rows: Tensor, label: int, count: int, seed: int
) -> tuple[Tensor, Tensor] | None:
    """`count` clips of a class among the rows to teach, and the rows to test, apart by source."""
    of: dict[str, list[int]] = {}
    for row in rows[clips.labels[rows] == label].tolist():
        of.setdefault(sources[row], []).append(row)
    order = sorted(of)
    random.Random(1000 * seed + label).shuffle(order)
    teach: list[int] = []
    while order and len(teach) < count:
        teach += of.pop(order.pop())
    left = torch.tensor([row for some in of.values() for row in some], dtype=torch.long)
    if len(teach) < count or not len(left):
        return None
    others = rows[clips.labels[rows] != label]
    return torch.tensor(teach[:count], dtype=torch.long), torch.cat([left, others])


def lesson(
    model: StageModel, clips: FeatureSet, teach: Tensor, label: int, look: Appearance | None
) -> Taught:
    one = Lesson(
        name=model.classes.names[label],
        vector=model.classes.vectors[label],
        text=model.classes.vectors[label],
        clips=appearances(model.method, clips.subset(teach), look),
        known=True,
    )
    return Taught(lessons=(one,))


def numbers(
    model: Model,
    clips: FeatureSet,
    sources: tuple[str, ...],
    rows: Tensor,
    seen: bool,
    seed: int,
    counts: list[int],
) -> Iterator[tuple[int, float, float, float]]:
    """k, recall of the taught class, mean recall of the others, ECE; of each class that can be."""
    stage = model.stage
    for label in (stage.seen == seen).nonzero()[:, 0].tolist():
        for count in counts:
            found = drawn(clips, sources, rows, label, max(1, count), seed)
            if found is None:
                continue
            teach, test = found
            method: Method = stage.method
            if count:
                taught = lesson(stage, clips, teach, label, model.look)
                method = taught_model(stage, stage.classes, taught, model.look)[0].method
            targets = clips.labels[test]
            scores = score_all(method, clips.subset(test), stage.classes.vectors)
            scores = scores - model.gamma * stage.seen
            right = (scores.argmax(dim=1) == targets).float()
            recall = [float(right[targets == c].mean()) for c in targets.unique().tolist()]
            own = float(right[targets == label].mean())
            others = (sum(recall) - own) / (len(recall) - 1)
            chances = (scores.double() / model.temperature).softmax(dim=1)
            yield count, 100 * own, 100 * others, 100 * expected_calibration_error(chances, targets)


def frozen(store: Path) -> tuple[Model, FeatureSet]:
    clips = FeatureStore.open(store).select(*SPLITS)
    recognizer = Recognizer.frozen()
    vectors = recognizer.candidates(list(clips.classes)).new_vectors
    classes = ClassEmbeddings(clips.classes, vectors, "frozen")
    none = torch.zeros(len(classes), dtype=torch.bool)
    stage = StageModel(recognizer.model.method, classes, none)
    return Model(stage, 0.0, 1.0), clips


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--sources", nargs=2, metavar=("FILE", "COLUMN"))
    parser.add_argument("--unseen", type=int, default=5)
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--method", help="a recipe in the default's place")
    parser.add_argument("--frozen", action="store_true")
    parser.add_argument("--shown", type=int, nargs="+", default=[0, 1, 2, 5, 10], help="clips")
    given = parser.parse_args()
    held = of_store(given.store, given.sources, None)
    store = FeatureStore.open(given.store)
    tables: dict[str, dict[int, list[tuple[float, ...]]]] = {}
    for seed in range(given.splits):
        if given.frozen:
            model, clips = frozen(given.store)
            rows, kinds = torch.arange(len(clips)), {"a name that was typed": False}
        else:
            clips, split = features(given.store), split_of(held, seed, given.unseen)
            if given.method:
                model, rows = run_of(given.method, store, clips, held, split, seed)
            else:
                model, rows = trained(store, clips, held, split), split.test
            kinds = {"a class never trained on": False, "a class trained on": True}
        for kind, seen in kinds.items():
            by_count: dict[int, list[tuple[float, ...]]] = {}
            for count, *one in numbers(model, clips, held.sources, rows, seen, seed, given.shown):
                by_count.setdefault(count, []).append(tuple(one))
            for count, several in by_count.items():
                means = tuple(statistics.fmean(column) for column in zip(*several))
                tables.setdefault(kind, {}).setdefault(count, []).append(means)
    for kind, table in tables.items():
        print(
            f"\n{kind}\n{'clips':>6}{'taught class':>16}{'all others':>16}{'ECE':>14}{'splits':>8}"
        )
        for count, splits in sorted(table.items()):
            cells = "".join(f"{told(list(column)):>16}" for column in zip(*splits))
            print(f"{count:>6}{cells}{len(splits):>6}")


if __name__ == "__main__":
    main()
