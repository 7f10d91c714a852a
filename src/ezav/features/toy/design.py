"""The classes of the toy world: combinations of a colour, a shape, a motion and a sound.

Unseen classes combine parts in a way never trained on, while every part is known from training,
so that the name of a class says all there is to know about it.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from ezav.errors import EzavError
from ezav.features.splits import seen_counts

COLOURS = ("red", "yellow", "green", "blue", "purple")
SHAPES = ("square", "circle", "triangle", "diamond")
MOTIONS = ("bouncing", "sliding", "circling", "pulsing")
SOUNDS = ("a high beep", "a low hum", "bursts of noise", "rising chirps", "fast clicks")

FEWEST_CLASSES, MOST_CLASSES, FEWEST_CLIPS = 6, 48, 3
_APART = 2
"""Any two classes differ in at least this many of their four parts."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What makes a class.

    Example:
        >>> Parts("red", "square", "bouncing", "a high beep").name
        'red square bouncing with a high beep'
    """

    colour: str
    shape: str
    motion: str
    sound: str

    @property
    def values(self) -> tuple[str, str, str, str]:
        """Colour, shape, motion, sound."""
        return self.colour, self.shape, self.motion, self.sound

    @property
    def name(self) -> str:
        """The class name, in plain English."""
        return f"{self.colour} {self.shape} {self.motion} with {self.sound}"


@dataclass(frozen=True, slots=True)
class Design:
    """The classes by what they serve: training, unseen validation, unseen test.

    Example:
        >>> names = [parts.name for parts in design_world(8, seed=0).classes]
        >>> names == sorted(names)
        True
    """

    train: tuple[Parts, ...]
    val_unseen: tuple[Parts, ...]
    test_unseen: tuple[Parts, ...]

    @property
    def classes(self) -> tuple[Parts, ...]:
        """All classes, sorted by name."""
        everything = self.train + self.val_unseen + self.test_unseen
        return tuple(sorted(everything, key=lambda parts: parts.name))


def design_world(classes: int, seed: int) -> Design:
    """Choose the classes: a quarter `test_unseen`, a fifth `val_unseen`, the rest to train on.

    Every value of a part occurs about equally often; any two classes differ in two parts or
    more; every part of a `val_unseen` class occurs in a `train` class, and every part of a
    `test_unseen` class in a `train` class too (so in stage 2 as well).

    Raises:
        EzavError: fewer than 6 classes, or more than 48.

    Example:
        >>> design = design_world(8, seed=0)
        >>> len(design.train), len(design.val_unseen), len(design.test_unseen)
        (5, 1, 2)
    """
    if not FEWEST_CLASSES <= classes <= MOST_CLASSES:
        raise EzavError(
            f"the toy world has {FEWEST_CLASSES} to {MOST_CLASSES} classes, not {classes}"
        )
    test, val = max(1, classes // 4), max(1, classes // 5)
    draw = random.Random(f"toy world {seed}")
    while True:  # a draw that paints itself into a corner is drawn again
        train = _balanced(classes - test - val, [], _everything(), draw)
        if train is None:
            continue
        known = [sorted(set(values)) for values in zip(*(parts.values for parts in train))]
        combinations = [Parts(*values) for values in product(*known)]
        unseen = _balanced(test + val, train, combinations, draw)
        if unseen is not None:
            return Design(tuple(train), tuple(unseen[test:]), tuple(unseen[:test]))


def split_clips(design: Design, clips_per_class: int) -> list[tuple[Parts, int, str]]:
    """Every clip as (class, number within the class, split), class by class.

    Clips are alike but for their nuisances, so the number decides: the first of a seen class
    test it, the next validate it.

    Raises:
        EzavError: fewer than 3 clips a class.

    Example:
        >>> clips = split_clips(design_world(8, seed=0), clips_per_class=5)
        >>> len(clips), {split for *_, split in clips} == {
        ...     "train", "val_seen", "val_unseen", "test_seen", "test_unseen"
        ... }
        (40, True)
    """
    if clips_per_class < FEWEST_CLIPS:
        raise EzavError(f"the toy world needs {FEWEST_CLIPS} clips a class, not {clips_per_class}")
    test, val = seen_counts(clips_per_class)
    rows = []
    for parts in design.classes:
        for number in range(clips_per_class):
            if parts in design.test_unseen:
                split = "test_unseen"
            elif number < test:
                split = "test_seen"
            elif parts in design.val_unseen:
                split = "val_unseen"
            else:
                split = "val_seen" if number < test + val else "train"
            rows.append((parts, number, split))
    return rows


def _everything() -> list[Parts]:
    return [Parts(*values) for values in product(COLOURS, SHAPES, MOTIONS, SOUNDS)]


def _balanced(
    count: int, apart_from: Sequence[Parts], candidates: Sequence[Parts], draw: random.Random
) -> list[Parts] | None:
    """Pick `count` classes, each time one whose parts were picked least; None if none is left."""
    chosen: list[Parts] = []
    used: Counter[str] = Counter()
    pool = draw.sample(candidates, len(candidates))
    for other in apart_from:
        pool = [parts for parts in pool if _far(parts, other)]
    while pool and len(chosen) < count:
        pick = min(pool, key=lambda parts: sum(used[value] ** 2 for value in parts.values))
        used.update(pick.values)
        chosen.append(pick)
        pool = [parts for parts in pool if _far(parts, pick)]
    return chosen if len(chosen) == count else None


def _far(one: Parts, other: Parts) -> bool:
    return sum(a != b for a, b in zip(one.values, other.values)) >= _APART
