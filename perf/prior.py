"""What EZ-AVGZL gains from frozen scores, in its loss and after it, on real features.

    python perf/prior.py --store STORE --unseen 5 --sources FILE COLUMN [--first 400] [--splits 6]

The store, its splits, `--sources` and `--kinds` are those of `perf/stack.py`; so are the closed
forms beside it. Every row learns its epoch, its gamma and the prior's weight on four class folds of
each split's known clips, sources whole; nothing is chosen on test clips. A weight of 0 in the loss
adds the frozen scores to a network that was trained without them. One seed.
"""

from __future__ import annotations

import argparse
import functools
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ezav.classes.recipe import ClassEmbeddingRecipe
from ezav.features import FeatureStore
from ezav.features.feature_set import FeatureSet
from ezav.features.splits import SPLITS
from ezav.methods.base import Dims, HeldOut
from ezav.methods.common.label_words import LabelHead
from ezav.methods.ez_avgzl.config import EzAvgzlConfig
from ezav.methods.ez_avgzl.method import EzAvgzl
from ezav.metrics import gzsl_scores, seen_unseen_curve
from ezav.metrics.smoothed import smoothed_gamma
from ezav.protocol.folds import class_folds
from ezav.protocol.labels import label_head
from ezav.protocol.stages import relabel
from ezav.training import Trainer, TrainingConfig, build_method
from ezav.training.scoring import score_all
from stack import Clips, Split, of_store, rows_of, split_of, told

FOLDS = 4
TRAINING = TrainingConfig(
    epochs=12,
    batch_size=64,
    learning_rate=1e-3,
    weight_decay=1e-5,
    schedule="cosine",
    patience=None,
)
COSINE: dict[str, Any] = {
    "similarity": "cosine",
    "width": 512,
    "hidden": 1024,
    "layers": 0,
    "heads": 16,
    "dropout": 0.5,
}
ROWS: dict[str, tuple[dict[str, Any], float | None]] = {
    "cosine": (COSINE, None),
    "cosine + frozen after": (COSINE, 0.0),
    "cosine, b = 0.5": (COSINE, 0.5),
    "cosine, b = 1": (COSINE, 1.0),
    "cosine, b = 2": (COSINE, 2.0),
    "cosine, b = 4": (COSINE, 4.0),
    "cosine, b = 1, 3 members": ({**COSINE, "members": 3}, 1.0),
    "attention": ({}, None),
    "attention + frozen after": ({}, 0.0),
    "attention, b = 1": ({}, 1.0),
    "attention, b = 2": ({}, 2.0),
}
"""Row -> settings, and the prior's weight in the loss; None: no prior."""
CLOSED = ("linear + .5 words", "best", "words", "linear (ESZSL)")
REFERENCE = CLOSED[0]


@dataclass(frozen=True)
class World:
    """All clips of a store, the classes' text, and the labels that its encoder knows."""

    clips: FeatureSet
    text: Tensor
    head: LabelHead

    def trainer(self, config: EzAvgzlConfig, rows: Tensor, seen: Tensor) -> Trainer:
        own = [self.clips.classes[row] for row in seen.nonzero()[:, 0].tolist()]
        train = relabel(self.clips.subset(rows), own)
        dims = Dims(audio=train.audio.dim, visual=train.visual.dim, text=self.text.shape[1])
        method = build_method(EzAvgzl, config, dims, seed=0)
        method.know_labels(self.head)
        return Trainer(method, train, self.text[seen], TRAINING)

    def held_out(self, trainer: Trainer, rows: Tensor, names: Tensor, seen: Tensor) -> HeldOut:
        held = relabel(self.clips.subset(rows), [self.clips.classes[n] for n in names.tolist()])
        text = self.text[names]
        score = functools.partial(score_all, clips=held, class_embeddings=text)
        return HeldOut(trainer.method, held, text, seen[names], score)


def numbers_of(
    world: World, clips: Clips, split: Split, config: EzAvgzlConfig
) -> tuple[float, ...]:
    """HM, ZSL, HM at the best gamma, in percent; epoch; the weight in the scores."""
    known = split.seen.nonzero()[:, 0]
    place = torch.full((len(split.seen),), -1)
    place[known] = torch.arange(len(known))
    labels, sources = place[clips.labels[split.known]], [clips.sources[r] for r in split.known]
    trainers, held = [], []
    for fold in class_folds(labels, len(known), FOLDS, groups=sources):
        seen = split.seen.clone()
        seen[known[fold.unseen]] = False
        trainers.append(world.trainer(config, split.known[fold.train], seen))
        held.append(world.held_out(trainers[-1], split.known[fold.held_out], known, seen))
    best, at, learned = 0, None, dict[str, Tensor]()
    for epoch in range(1, TRAINING.epochs + 1):
        for trainer in trainers:
            trainer.run_epoch()
        first = trainers[0].method
        first.learn_on_folds(held)
        now = {name: first.get_buffer(name).clone() for name in first.from_validation}
        for trainer in trainers[1:]:
            trainer.method.take_over(now)
        parts = [(one.score(one.method), one.clips.labels, one.seen) for one in held]
        found = smoothed_gamma(parts, statistics.fmean(float(p[0].double().std()) for p in parts))
        if at is None or found.around > at.around:
            best, at, learned = epoch, found, now
    assert at is not None
    final = world.trainer(config, split.known, split.seen)
    for _ in range(best):
        final.run_epoch()
    final.method.take_over(learned)
    test = world.held_out(final, split.test, torch.arange(len(split.seen)), split.seen)
    scores, targets = test.score(final.method), test.clips.labels
    result = gzsl_scores(scores, targets, test.seen, at.gamma)
    most = seen_unseen_curve(scores, targets, test.seen).best_hm
    weight = float(learned.get("prior_weight_", torch.zeros(())))
    return 100 * result.HM, 100 * result.ZSL, 100 * most, float(best), weight


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--sources", nargs=2, metavar=("FILE", "COLUMN"))
    parser.add_argument("--kinds", type=Path)
    parser.add_argument("--unseen", type=int, default=5)
    parser.add_argument("--splits", type=int, default=6)
    parser.add_argument("--first", type=int, default=400)
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS))
    given = parser.parse_args()
    clips = of_store(given.store, given.sources, given.kinds)
    store = FeatureStore.open(given.store)
    text = store.class_embeddings()
    head = label_head(store.header, text.encoder)
    assert head is not None  # of_store has refused it
    world = World(store.select(*SPLITS), text.vectors, head)
    results: dict[str, list[tuple[float, ...]]] = {}
    for seed in range(given.first, given.first + given.splits):
        split = split_of(clips, seed, given.unseen)
        closed = rows_of(clips, split)
        for row in CLOSED:
            results.setdefault(row, []).append((*closed[row][:3], 0.0, 0.0))
        for row in given.rows:
            settings, weight = ROWS[row]
            config = EzAvgzlConfig(
                classes=ClassEmbeddingRecipe(source="raw"),
                prior="none" if weight is None else "frozen",
                prior_weight=weight or 0.0,
                **settings,
            )
            results.setdefault(row, []).append(numbers_of(world, clips, split, config))
        show(results)


def show(results: dict[str, list[tuple[float, ...]]]) -> None:
    reference = results[REFERENCE]
    print(f"\n{len(reference)} class splits, percent, mean ± standard error", flush=True)
    print(
        f"{'':26}{'HM':>14}{'ZSL':>14}{'HM best':>14}{'HM − ref.':>16}{'best − ref.':>16}  epoch  b"
    )
    for row, numbers in results.items():
        cells = "".join(f"{told([one[i] for one in numbers]):>14}" for i in range(3))
        for column in (0, 2):
            pairs = zip(numbers, reference, strict=True)
            cells += f"{told([a[column] - b[column] for a, b in pairs], '+'):>16}"
        means = [statistics.fmean(one[i] for one in numbers) for i in (3, 4)]
        print(f"{row:26}{cells}{means[0]:>7.1f}{means[1]:>5.1f}", flush=True)


if __name__ == "__main__":
    main()
