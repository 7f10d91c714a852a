"""What EZ-AVGZL gains from the scores that it starts from, in its loss and after it.

    python perf/prior.py --store STORE --unseen 5 --sources FILE COLUMN [--first 0] [--splits 20]
    python perf/prior.py --pictures FOLDER

Stores, pictures, `--sources`, `--kinds` and the closed forms beside them are those of
`perf/stack.py`. Every row learns its epoch, its gamma and the prior's weight on six class folds of
each split's known clips, sources whole; nothing is chosen on test clips. A weight of 0 in the loss
adds the prior to a network that was trained without it. One seed.
"""

from __future__ import annotations

import functools
import statistics
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from ezav.classes.recipe import ClassEmbeddingRecipe
from ezav.features import FeatureStore
from ezav.features.feature_set import FeatureSet, Ragged
from ezav.features.splits import SPLITS
from ezav.features.tokens import Tokens
from ezav.methods import registry
from ezav.methods.base import Dims, HeldOut
from ezav.methods.common.label_words import LabelHead, LabelWords
from ezav.methods.ez_avgzl.config import EzAvgzlConfig
from ezav.methods.ez_avgzl.method import EzAvgzl
from ezav.methods.ez_avgzl.prior import FrozenPrior
from ezav.methods.zero_shot.method import ZeroShot
from ezav.metrics import gzsl_scores, seen_unseen_curve
from ezav.metrics.smoothed import smoothed_gamma
from ezav.protocol.folds import class_folds
from ezav.protocol.labels import label_head
from ezav.protocol.stages import relabel
from ezav.protocol.two_stage import TwoStageProtocol
from ezav.training import Trainer, TrainingConfig, build_method
from ezav.training.scoring import score_all
from splits import Clips, Split, options, splits_of, told
from stack import rows_of

FOLDS = 6
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


class Told(LabelWords):
    """Words that were made elsewhere: those of the clip with this picture."""

    def __init__(self, clips: Clips) -> None:
        super().__init__(clips.audio.dim, clips.visual.dim, clips.words.shape[1])
        values = clips.visual.mean().double()
        self.direction = torch.randn(values.shape[1], dtype=torch.float64)
        self.keys, order = (values @ self.direction).sort()
        self.told = clips.words[order]

    @property
    def knows(self) -> bool:
        return True

    def forward(self, audio: Tokens, visual: Tokens) -> Tensor:
        keys = visual.mean().double() @ self.direction
        # The nearest key: the same sum may round differently in another batch.
        after = torch.searchsorted(self.keys, keys - 1e-6).clamp(max=len(self.keys) - 1)
        assert bool((self.keys[after] - keys).abs().max() < 1e-6)
        return self.told[after]


@dataclass(frozen=True)
class World:
    """All clips, the classes' text, and the labels that the store's encoder knows, or the words."""

    clips: FeatureSet
    text: Tensor
    head: LabelHead | None
    whole: Clips

    @classmethod
    def of(cls, whole: Clips, store: Path | None) -> World:
        """Of clips of a store, or of pictures."""
        return cls.of_pictures(whole) if store is None else cls.of_store(store, whole)

    @classmethod
    def of_store(cls, path: Path, whole: Clips) -> World:
        store = FeatureStore.open(path)
        text = store.class_embeddings()
        return cls(
            store.select(*SPLITS), text.vectors, label_head(store.header, text.encoder), whole
        )

    @classmethod
    def of_pictures(cls, whole: Clips) -> World:
        clips = FeatureSet(
            Ragged.pooled(whole.audio.mean()),  # zeros
            Ragged.pooled(whole.visual.mean()),
            whole.labels,
            whole.sources,
            tuple(map(str, range(len(whole.text)))),
        )
        return cls(clips, whole.text, None, whole)

    def trainer(self, run: TwoStageProtocol, rows: Tensor, seen: Tensor) -> Trainer:
        """Of the method and settings of a run; its other settings count for nothing."""
        own = [self.clips.classes[row] for row in seen.nonzero()[:, 0].tolist()]
        train = relabel(self.clips.subset(rows), own)
        dims = Dims(audio=train.audio.dim, visual=train.visual.dim, text=self.text.shape[1])
        config = run.config
        if self.head is None and isinstance(config, EzAvgzlConfig):
            config = replace(config, modalities="visual")
        method = build_method(registry.get(run.method), config, dims, seed=0)
        if self.head is not None:
            if method.wants_labels(config):
                method.know_labels(self.head)
        elif isinstance(method, ZeroShot):
            method.words = Told(self.whole)
        elif isinstance(method, EzAvgzl) and method.prior is not None:
            prior = method.prior
            frozen = prior if isinstance(prior, FrozenPrior) else prior.frozen
            frozen.words.words = Told(self.whole)
        return Trainer(method, train, self.text[seen], run.training)

    def held_out(self, trainer: Trainer, rows: Tensor, names: Tensor, seen: Tensor) -> HeldOut:
        held = relabel(self.clips.subset(rows), [self.clips.classes[n] for n in names.tolist()])
        text = self.text[names]
        score = functools.partial(score_all, clips=held, class_embeddings=text)
        return HeldOut(trainer.method, held, text, seen[names], score)


def numbers_of(
    world: World, clips: Clips, split: Split, run: TwoStageProtocol
) -> tuple[float, ...]:
    """HM, ZSL, HM at the best gamma, in percent; epoch; the weight in the scores."""
    known = split.seen.nonzero()[:, 0]
    place = torch.full((len(split.seen),), -1)
    place[known] = torch.arange(len(known))
    labels, sources = place[clips.labels[split.known]], [clips.sources[r] for r in split.known]
    trainers, held = [], []
    for fold in class_folds(labels, len(known), min(FOLDS, len(known) // 2), groups=sources):
        seen = split.seen.clone()
        seen[known[fold.unseen]] = False
        trainers.append(world.trainer(run, split.known[fold.train], seen))
        held.append(world.held_out(trainers[-1], split.known[fold.held_out], known, seen))
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
    final = world.trainer(run, split.known, split.seen)
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
            results.setdefault(row, []).append(numbers_of(world, clips, split, run))
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
