"""The data of the two stages, as one value each."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ezav.classes.embeddings import ClassEmbeddings
from ezav.errors import EzavError
from ezav.features.feature_set import FeatureSet
from ezav.features.store import FeatureStore

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
    """

    number: int
    train: FeatureSet
    text: ClassEmbeddings
    seen: Tensor

    @property
    def classes(self) -> tuple[str, ...]:
        """The C class names of the stage."""
        return self.text.names


def read_stage(store: FeatureStore, number: int, text_encoder: str | None = None) -> Stage:
    """The training side of a stage: clips of its seen classes, names of all its classes.

    Raises:
        EzavError: the store lacks a split the stage needs.
    """
    for split in (*TRAIN[number], *EVALUATION[number]):
        if not store.splits.get(split):
            raise EzavError(
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
    train = store.select(*TRAIN[number])
    return Stage(
        number=number,
        train=_relabel(train, [name for name in names if name in seen_names]),
        text=store.class_embeddings(text_encoder).select(names),
        seen=seen,
    )


def read_evaluation(store: FeatureStore, stage: Stage) -> FeatureSet:
    """The evaluation clips of a stage; labels are rows of all its classes."""
    return _relabel(store.select(*EVALUATION[stage.number]), list(stage.classes))


def _relabel(clips: FeatureSet, names: list[str]) -> FeatureSet:
    row = {name: position for position, name in enumerate(names)}
    table = torch.tensor([row.get(name, -1) for name in clips.classes])
    labels = table[clips.labels]
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
