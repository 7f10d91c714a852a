"""The data of the two stages, as one value each."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal
from weakref import WeakValueDictionary

import torch
from torch import Tensor

from ezav.classes.embeddings import ClassEmbeddings
from ezav.errors import EzavError, NotFoundError
from ezav.features.feature_set import FeatureSet
from ezav.features.splits import CLOSED
from ezav.features.store import FeatureStore
from ezav.methods.common.label_words import LabelHead
from ezav.protocol.labels import label_head

TRAIN = {1: ("train",), 2: ("train", "val_seen", "val_unseen")}
EVALUATION = {1: ("val_seen", "val_unseen"), 2: ("test_seen", "test_unseen")}


@dataclass(frozen=True)
class Stage:
    """What one stage trains on, and which classes it knows.

    Attributes:
        number: 1 (validation) or 2 (test).
        train: training clips; labels are rows of the *seen* classes, `classes[seen]`.
        text: raw class embeddings of all C classes of the stage, seen and unseen.
        seen: bool `[C]`.
        labels: the labels that the store's encoder knows, for methods that read them.
    """

    number: int
    train: FeatureSet
    text: ClassEmbeddings
    seen: Tensor
    labels: LabelHead | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """The C class names of the stage."""
        return self.text.names


def read_stage(
    store: FeatureStore, number: int, text_encoder: str | None = None, mapped: bool = False
) -> Stage:
    """The training side of a stage: clips of its seen classes, names of all its classes.

    With `mapped`, features lie in a file on disk.

    Raises:
        EzavError: the store lacks a split the stage needs.

    Example:
        >>> stage = read_stage(store, 1)
        >>> len(stage.classes), int(stage.seen.sum()), len(stage.train)
        (10, 8, 64)
        >>> read_stage(store, 2).seen.sum().item()  # the unseen classes of validation are seen now
        10
    """
    if store.is_closed and number == 1:
        raise EzavError(
            f"every class of '{store.path}' is trained on: it has no validation classes",
            "leave `folds` out: class folds choose epoch and gamma",
        )
    for split in CLOSED if store.is_closed else (*TRAIN[number], *EVALUATION[number]):
        if not store.splits.get(split):
            raise NotFoundError(
                f"the store '{store.path}' has no clips in its split '{split}'",
                "the two-stage protocol needs train, val_seen, val_unseen, test_seen, test_unseen",
            )
    seen_names = {name for split in TRAIN[number] for name in store.split_classes(split)}
    unseen_names = set(store.split_classes(EVALUATION[number][1]))
    both = seen_names & unseen_names
    if both:
        raise EzavError(f"stage {number}: '{min(both)}' is both a seen and an unseen class")
    names = [name for name in store.classes if name in seen_names | unseen_names]
    seen = torch.tensor([name in seen_names for name in names])
    train = store.select(*TRAIN[number], mapped=mapped)
    return Stage(
        number=number,
        train=relabel(train, [name for name in names if name in seen_names]),
        text=store.class_embeddings(text_encoder).select(names),
        seen=seen,
    )


def read_evaluation(store: FeatureStore, stage: Stage, mapped: bool = False) -> FeatureSet:
    """The evaluation clips of a stage; labels are rows of all its classes.

    Example:
        >>> stage = read_stage(store, 1)
        >>> clips = read_evaluation(store, stage)
        >>> clips.classes == stage.classes, len(clips)
        (True, 36)
    """
    clips = store.select(*EVALUATION[stage.number], mapped=mapped)
    return relabel(clips, list(stage.classes))


class StageReader:
    """The stages of one store, each read once for all who train on it at the same time.

    Args:
        store, text_encoder: as for :func:`read_stage`.
        device: where training clips go, unless they stay on disk.
        features: `memory` holds them in memory, `mapped` on disk (see `FeatureStore.select`);
            `auto` does the latter where they would take more than half of the free memory.
        labels: find the labels that the store's encoder knows by name.
    """

    def __init__(
        self,
        store: FeatureStore,
        text_encoder: str | None = None,
        device: str = "cpu",
        features: Literal["auto", "memory", "mapped"] = "auto",
        labels: bool = False,
    ) -> None:
        self.store, self.text_encoder, self.device = store, text_encoder, device
        self.features, self.labels = features, labels
        # Weak: what no stage uses any more is freed.
        self._stages: WeakValueDictionary[int, Stage] = WeakValueDictionary()
        self._evaluations: WeakValueDictionary[int, FeatureSet] = WeakValueDictionary()

    def stage(self, number: int) -> Stage:
        """The training side of a stage, its clips on the device."""
        stage = self._stages.get(number)
        if stage is None:
            mapped = self._is_mapped(TRAIN[number])
            stage = read_stage(self.store, number, self.text_encoder, mapped=mapped)
            if self.labels:
                stage = replace(stage, labels=self._labels)
            if not mapped:
                stage = replace(stage, train=stage.train.to(self.device))
            self._stages[number] = stage
        return stage

    @cached_property
    def _labels(self) -> LabelHead | None:
        text = self.store.class_embeddings(self.text_encoder).encoder
        return label_head(self.store.header, text)

    def evaluation(self, stage: Stage) -> FeatureSet:
        """The evaluation clips of a stage."""
        clips = self._evaluations.get(stage.number)
        if clips is None:
            mapped = self._is_mapped(EVALUATION[stage.number])
            clips = read_evaluation(self.store, stage, mapped=mapped)
            self._evaluations[stage.number] = clips
        return clips

    def _is_mapped(self, splits: tuple[str, ...]) -> bool:
        if self.features != "auto":
            return self.features == "mapped"
        return 2 * self.store.bytes_of(*splits) > available_memory()


def available_memory() -> int:
    """Bytes a program can still use without swapping; where only Linux tells, "any number".

    Free memory alone would be too little: most of what is not free is cache, and comes back.

    Example:
        >>> available_memory() > 0
        True
    """
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return sys.maxsize
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))


def relabel(clips: FeatureSet, names: list[str]) -> FeatureSet:
    """The same clips with labels that are rows of `names`.

    Raises:
        EzavError: a clip of a class that is none of them.
    """
    row = {name: position for position, name in enumerate(names)}
    table = torch.tensor([row.get(name, -1) for name in clips.classes])
    labels = table.to(clips.labels.device)[clips.labels]
    if bool((labels < 0).any()):
        stray = clips.classes[int(clips.labels[labels < 0][0])]
        raise EzavError(f"clips of '{stray}' are evaluated, but no stage trains or names it")
    return FeatureSet(
        audio=clips.audio,
        visual=clips.visual,
        labels=labels,
        clips=clips.clips,
        classes=tuple(names),
    )
