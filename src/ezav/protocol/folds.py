"""Class folds: every known class is unseen once, so that few classes can choose something.

A fold trains on most known classes, and holds out all clips of the others and some clips of its
own classes: a small copy of the task, made of training clips alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ezav.errors import EzavError

HELD_OUT = 0.2
"""Share of a fold's own classes' clips that it holds out."""


@dataclass(frozen=True, slots=True)
class ClassFold:
    """One fold, as rows of the known clips.

    Attributes:
        unseen: long, the classes that this fold does not train on.
        train: long `[N]`, clips to train on.
        seen_clips, unseen_clips: long, held-out clips of trained and of other classes.
    """

    unseen: Tensor
    train: Tensor
    seen_clips: Tensor
    unseen_clips: Tensor

    @property
    def held_out(self) -> Tensor:
        """All clips that the fold evaluates."""
        return torch.cat([self.seen_clips, self.unseen_clips])


def class_folds(
    labels: Tensor,
    classes: int,
    folds: int = 4,
    *,
    groups: Sequence[str] | None = None,
    seed: int = 0,
    names: Sequence[str] | None = None,
) -> list[ClassFold]:
    """Split the known classes into `folds` parts, each unseen once.

    Args:
        labels: long `[N]`, rows of the known classes.
        classes: how many there are.
        folds: K.
        groups: what clips were cut from, one a clip; a source is trained on or held out whole.
        seed: of classes and clips.
        names: of the classes, for messages.

    Raises:
        EzavError: fewer classes than folds or than four; a class whose clips cannot be divided.

    Example:
        >>> made = class_folds(torch.arange(4).repeat_interleave(5), 4, folds=2)
        >>> sorted(row for fold in made for row in fold.unseen.tolist())
        [0, 1, 2, 3]
        >>> [len(fold.train) for fold in made]
        [8, 8]
    """
    if not folds >= 2:
        raise EzavError(f"{folds} class folds", "at least 2")
    if classes < max(folds, 4):
        raise EzavError(
            f"{classes} known classes are too few for {folds} class folds",
            f"at least {max(folds, 4)} classes; or fewer folds",
        )
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(classes, generator=generator)
    kept = hold_out(labels, classes, groups, generator, names)
    made = []
    for part in range(folds):
        unseen = order[part::folds].sort().values
        is_unseen = torch.zeros(classes, dtype=torch.bool)
        is_unseen[unseen] = True
        own = ~is_unseen[labels]
        train = own & ~kept
        if groups is not None:
            train = _without_held_out(train, labels, groups, names)
        made.append(
            ClassFold(
                unseen=unseen,
                train=train.nonzero()[:, 0],
                seen_clips=(own & kept).nonzero()[:, 0],
                unseen_clips=(~own).nonzero()[:, 0],
            )
        )
    return made


def _without_held_out(
    train: Tensor, labels: Tensor, groups: Sequence[str], names: Sequence[str] | None
) -> Tensor:
    """bool `[N]`: the training clips whose source is held out in no other class.

    Raises:
        EzavError: that leaves a class without any.
    """
    held = {group for group, trained in zip(groups, train.tolist()) if not trained}
    free = torch.tensor([group not in held for group in groups])
    lost = set(labels[train].tolist()) - set(labels[train & free].tolist())
    if lost:
        name = f"'{names[min(lost)]}'" if names is not None else str(min(lost))
        raise EzavError(
            f"all sources of class {name} have clips that a fold holds out in other classes",
            "where sources are numbered anew in each class, name `class` among the groups",
        )
    return train & free


def hold_out(
    labels: Tensor,
    classes: int,
    groups: Sequence[str] | None,
    generator: torch.Generator,
    names: Sequence[str] | None = None,
    share: float = HELD_OUT,
) -> Tensor:
    """bool `[N]`: about `share` of each class's clips, whole sources only, at least one.

    A class with one clip or one source is trained on and held out nowhere.

    Raises:
        EzavError: no class can be divided.
    """
    held = torch.zeros(len(labels), dtype=torch.bool)
    for label in range(classes):
        rows = (labels == label).nonzero()[:, 0].tolist()
        sources: dict[str, list[int]] = {}
        for row in rows:
            sources.setdefault(str(row) if groups is None else groups[row], []).append(row)
        parts = list(sources.values())
        wanted, got = share * len(rows), 0
        for index in torch.randperm(len(parts), generator=generator).tolist()[: len(parts) - 1]:
            if got and got + len(parts[index]) / 2 > wanted:
                break
            held[parts[index]] = True
            got += len(parts[index])
    if not bool(held.any()):
        raise EzavError(
            "no class has clips of two sources: nothing can be held out of any of them",
            "more clips a class, or other groups",
        )
    return held
