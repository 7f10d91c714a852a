"""What EZ-AVGZL gains from the scores that it starts from, in its loss and after it.

    python perf/prior.py --store STORE --unseen 5 --sources FILE COLUMN [--first 0] [--splits 20]
    python perf/prior.py --pictures FOLDER

Stores, pictures, `--sources`, `--kinds` and the closed forms beside them are those of
`perf/stack.py`. Every row learns its epoch, its gamma and the prior's weight on six class folds of
each split's known clips, sources whole; nothing is chosen on test clips. A weight of 0 in the loss
adds the prior to a network that was trained without it. One seed.
"""

from __future__ import annotations

import statistics
from typing import Any, Literal

import torch
from torch import Tensor

from ezav.classes.recipe import ClassEmbeddingRecipe
from ezav.methods.ez_avgzl.config import EzAvgzlConfig
from ezav.metrics import gzsl_scores, seen_unseen_curve
from ezav.metrics.smoothed import smoothed_gamma
from ezav.protocol.two_stage import TwoStageProtocol
from ezav.training import TrainingConfig
from splits import Split, options, splits_of, told
from stack import folds_of_classes, rows_of
from world import World

Prior = Literal["none", "frozen", "closed"]
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
    "hidden": 512,
    "layers": 0,
    "heads": 16,
    "dropout": 0.5,
}
ROWS: dict[str, tuple[dict[str, Any], Prior, float]] = {
    "cosine": (COSINE, "none", 0.0),
    "cosine + frozen after": (COSINE, "frozen", 0.0),
    "cosine, frozen, b = 1": (COSINE, "frozen", 1.0),
    "cosine + closed after": (COSINE, "closed", 0.0),
    "cosine, closed, b = 1": (COSINE, "closed", 1.0),
    "cosine, closed, b = 3": (COSINE, "closed", 3.0),
    "the same, 3 members": ({**COSINE, "members": 3}, "closed", 1.0),
    "attention": ({}, "none", 0.0),
    "attention, closed, b = 1": ({}, "closed", 1.0),
}
"""Row -> settings, the prior, and its weight in the loss."""
CLOSED = ("linear + .5 words", "best", "words", "linear (ESZSL)")
REFERENCE = CLOSED[0]


def numbers_of(world: World, split: Split, run: TwoStageProtocol) -> tuple[float, ...]:
    """HM, ZSL, HM at the best gamma, in percent; epoch; the weight in the scores."""
    known, every = split.seen.nonzero()[:, 0], torch.arange(len(split.seen))
    recipe = getattr(run.config, "classes", ClassEmbeddingRecipe(source="raw"))
    trainers, held = [], []
    for fold, seen in folds_of_classes(world.whole, split, repeats=1):
        rows = split.known[fold.train]
        part = world.with_classes(recipe, rows, seen, known)
        trainers.append(part.trainer(run, rows, seen))
        held.append(part.held_out(trainers[-1], split.known[fold.held_out], known, seen))
    best, at, learned = 0, None, dict[str, Tensor]()
    epochs = run.training.epochs if trainers[0].method.trainable else 1
    for epoch in range(1, epochs + 1):
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
    whole = world.with_classes(recipe, split.known, split.seen, every)
    final = whole.trainer(run, split.known, split.seen)
    for _ in range(best):
        final.run_epoch()
    final.method.take_over(learned)
    test = whole.held_out(final, split.test, every, split.seen)
    scores, targets = test.score(final.method), test.clips.labels
    result = gzsl_scores(scores, targets, test.seen, at.gamma)
    most = seen_unseen_curve(scores, targets, test.seen).best_hm
    weight = float(learned.get("prior_weight_", torch.zeros(())))
    return 100 * result.HM, 100 * result.ZSL, 100 * most, float(best), weight


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS))
    given = parser.parse_args()
    results: dict[str, list[tuple[float, ...]]] = {}
    for _, clips, split in splits_of(given):
        world = World.of(clips, given.store)
        closed = rows_of(clips, split)
        for row in CLOSED:
            results.setdefault(row, []).append((*closed[row][:3], 0.0, 0.0))
        for row in given.rows:
            settings, prior, weight = ROWS[row]
            config = EzAvgzlConfig(
                classes=ClassEmbeddingRecipe(source="raw"),
                prior=prior,
                prior_weight=weight,
                **settings,
            )
            run = TwoStageProtocol(method="ez_avgzl", config=config, training=TRAINING)
            results.setdefault(row, []).append(numbers_of(world, split, run))
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
