"""Clips of `perf/splits.py` as methods of the registry are trained on them and tested."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from ezav.classes import ClassEmbeddingRecipe, ClassEmbeddings
from ezav.features import FeatureStore
from ezav.features.feature_set import FeatureSet, Ragged
from ezav.features.splits import SPLITS
from ezav.features.tokens import Tokens
from ezav.methods import registry
from ezav.methods.base import Dims, HeldOut
from ezav.methods.blending.method import Blending
from ezav.methods.common.label_words import LabelHead, LabelWords
from ezav.methods.ez_avgzl.config import EzAvgzlConfig
from ezav.methods.ez_avgzl.method import EzAvgzl
from ezav.methods.ez_avgzl.prior import FrozenPrior
from ezav.methods.zero_shot.method import ZeroShot
from ezav.protocol.by_folds import FoldData, fold_data
from ezav.protocol.confusion import SeenClassifier
from ezav.protocol.default_folds import OWN_FOLDS
from ezav.protocol.labels import label_head
from ezav.protocol.stages import Stage, relabel
from ezav.protocol.two_stage import TwoStageProtocol
from ezav.training import Trainer, build_method
from ezav.training.scoring import score_all
from splits import Clips, Split


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
        if isinstance(config, EzAvgzlConfig) and not bool(self.whole.audio.present.any()):
            config = replace(config, modalities="visual")
        method = build_method(registry.get(run.method), config, dims, seed=0)
        if self.head is not None:
            if method.wants_labels(config):
                method.know_labels(self.head)
        else:
            frozen = method.frozen if isinstance(method, Blending) else method
            if isinstance(method, EzAvgzl) and method.prior is not None:
                prior = method.prior
                frozen = (prior if isinstance(prior, FrozenPrior) else prior.frozen).words
            if isinstance(frozen, ZeroShot):
                frozen.words = Told(self.whole)
        return Trainer(method, train, self.text[seen], run.training)

    def held_out(self, trainer: Trainer, rows: Tensor, names: Tensor, seen: Tensor) -> HeldOut:
        held = relabel(self.clips.subset(rows), [self.clips.classes[n] for n in names.tolist()])
        text = self.text[names]
        score = functools.partial(score_all, clips=held, class_embeddings=text)
        return HeldOut(trainer.method, held, text, seen[names], score)

    def stage(self, rows: Tensor, seen: Tensor, names: Tensor) -> Stage:
        """To train on clips of the seen ones of some classes; `seen` is of all classes."""
        every = self.clips.classes
        own = [every[row] for row in seen.nonzero()[:, 0].tolist()]
        text = ClassEmbeddings(tuple(every[row] for row in names.tolist()), self.text[names])
        return Stage(2, relabel(self.clips.subset(rows), own), text, seen[names])

    def with_classes(
        self, recipe: ClassEmbeddingRecipe, rows: Tensor, seen: Tensor, names: Tensor
    ) -> World:
        """The same with the class embeddings that a recipe makes in such a stage."""
        if recipe.source == "raw":
            return self
        stage, text = self.stage(rows, seen, names), self.text.clone()
        confused = SeenClassifier(stage).confused() if recipe.reads_confusions else ()
        text[names] = recipe.prepare(stage.text, confused=confused).vectors
        return replace(self, text=text)

    def own_folds(self, split: Split, repeats: int) -> tuple[Stage, list[FoldData]]:
        """What a run on data of one's own trains on last, and the folds that choose before."""
        stage = self.stage(split.known, split.seen, torch.arange(len(split.seen)))
        known = self.clips.subset(split.known)
        sources = {clip: self.whole.sources[row] for clip, row in zip(known.clips, split.known)}
        count = max(2, min(OWN_FOLDS, int(split.seen.sum()) // 2))
        return stage, fold_data(stage, count, repeats, 0, sources)
