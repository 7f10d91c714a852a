"""Which clip serves what: the five splits of the two-stage protocol, given or drawn.

Stage 1 trains on `train` and evaluates `val_seen` and `val_unseen`; stage 2 trains on
`train`, `val_seen` and `val_unseen` and evaluates `test_seen` and `test_unseen` (Mercea et al.,
CVPR 2022).
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ezav.errors import EzavError, NotFoundError
from ezav.features.sources import SourceSides, source_of

SPLITS = ("train", "val_seen", "val_unseen", "test_seen", "test_unseen")
"""Every clip is in exactly one of these."""

CLOSED = ("train", "test_seen")
"""The splits of a closed set: every class is trained on."""

UNSEEN_SHARE = 0.25
"""Share of all classes drawn as `test_unseen` (VGGSound and ActivityNet: 0.25)."""
VAL_UNSEEN_SHARE = 0.3
"""Share of the seen classes drawn as `val_unseen` (UCF 0.29, VGGSound 0.33, ActivityNet 0.34)."""
TEST_SEEN_SHARE = 0.2
"""Share of a seen class's clips that test it (published splits: 0.1, of far larger classes)."""
VAL_SEEN_SHARE = 0.15
"""Share of a training class's clips that validate it."""

_MIN_CLASSES = 4


@dataclass(frozen=True, slots=True)
class StageSplits:
    """What one stage trains on, and what it evaluates as seen and as unseen.

    Example:
        >>> STAGE_2.evaluation
        ('test_seen', 'test_unseen')
    """

    train: tuple[str, ...]
    seen: tuple[str, ...]
    unseen: tuple[str, ...]

    @property
    def evaluation(self) -> tuple[str, ...]:
        """The seen and the unseen splits together."""
        return self.seen + self.unseen


STAGE_1 = StageSplits(("train",), ("val_seen",), ("val_unseen",))
STAGE_2 = StageSplits(("train", "val_seen", "val_unseen"), ("test_seen",), ("test_unseen",))


def draw_splits(
    clips: Sequence[str],
    classes: Sequence[str],
    unseen: Collection[str] | None = None,
    seed: int = 0,
    sources: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Divide labelled clips into the five splits, the same way whenever the seed is the same.

    A quarter of the classes become `test_unseen` unless `unseen` names them; of the others
    three in ten become `val_unseen`. A fifth of every seen class's clips, those of `val_unseen`
    classes included, goes to `test_seen`, since stage 2 trains on all of them and is tested on
    all of them. The order of the clips does not matter.

    With `sources` no source is on two sides: its clips are all trained on, all validate or all
    test, whatever their classes, so that the shares are met as well as whole sources allow.

    A closed set (`unseen=()`) has no unseen classes: `train` and `test_seen` alone.

    Args:
        clips: clip names, each once.
        classes: the class of each clip.
        unseen: the classes never to be trained on; None draws them, `()` stands for no class.
        seed: another seed is another draw.
        sources: clip -> what it was cut from; a clip that is not there is a source of its own.

    Returns:
        clip -> split, for every clip.

    Raises:
        EzavError: a clip twice, an unseen class that does not exist, fewer than four classes
            (two to train on, one unseen for validation, one for testing), or a seen class with
            a single clip or source.

    Example:
        >>> clips = [f"{name}{i}" for name in "abcd" for i in range(5)]
        >>> splits = draw_splits(clips, [clip[0] for clip in clips], unseen=["d"])
        >>> {clip for clip, split in splits.items() if split == "test_unseen"}
        {'d...}
    """
    by_class = _clips_by_class(clips, classes)
    names = sorted(by_class)
    if unseen is None:
        _need_classes(len(names), _MIN_CLASSES, "")
        test_unseen = set(_shuffled(names, seed, "unseen")[: int(len(names) * UNSEEN_SHARE)])
        _refuse_single_clips(by_class, names)
    else:
        test_unseen = _known_unseen(unseen, names)
    closed = unseen is not None and not test_unseen
    seen = [name for name in names if name not in test_unseen]
    if unseen is not None:
        least, where = (2, "") if closed else (_MIN_CLASSES - 1, " besides the unseen ones")
        _need_classes(len(seen), least, where)
        _refuse_single_clips(by_class, seen)
    drawn = 0 if closed else max(1, int(len(seen) * VAL_UNSEEN_SHARE))
    val_unseen = set(_shuffled(seen, seed, "val_unseen")[:drawn])

    splits = {clip: "test_unseen" for name in test_unseen for clip in by_class[name]}
    if sources:
        known = {name: by_class[name] for name in seen}
        splits |= _source_splits(known, val_unseen, closed, seed, sources, splits)
    else:
        for name in seen:
            splits |= _seen_splits(
                _shuffled(by_class[name], seed, name), name in val_unseen, closed
            )
    result = {clip: splits[clip] for clip in clips}
    check_splits(result, dict(zip(clips, classes)))
    return result


def _source_splits(
    by_class: Mapping[str, Sequence[str]],
    val_unseen: Collection[str],
    closed: bool,
    seed: int,
    sources: Mapping[str, str],
    tested: Collection[str],
) -> dict[str, str]:
    """Clip -> split of all classes that stage 2 trains on; no source is on two sides."""
    for name, clips in by_class.items():
        if len({source_of(clip, sources) for clip in clips}) == 1:
            raise EzavError(
                f"all clips of class '{name}' are of one source: it cannot be trained and tested",
                "leave the class out, name it unseen, or give other groups",
            )
    sides = SourceSides(
        by_class, sources, lambda items, purpose: _shuffled(items, seed, f"source {purpose}")
    )
    test: dict[str, set[str]] = defaultdict(set)
    forced = {source_of(clip, sources) for clip in tested}
    sides.force(forced, "unseen")
    for name in sorted(by_class):
        already = forced | test[name]
        found = sides.take(name, seen_counts(len(by_class[name]))[0], f"test {name}", already)
        for other, taken in found.items():
            test[other] |= taken
    val: dict[str, set[str]] = defaultdict(set)
    held = {
        source_of(clip, sources)
        for name in val_unseen
        for clip in by_class[name]
        if sides.is_left(name, source_of(clip, sources))
    }
    trained = {name: clips for name, clips in by_class.items() if name not in val_unseen}
    for name in () if closed else sorted(trained):
        count = seen_counts(len(trained[name]))[1]
        for other, taken in sides.take(name, count, f"val {name}", held | val[name]).items():
            val[other] |= taken
    splits = {}
    for name, clips in by_class.items():
        for clip in clips:
            source = source_of(clip, sources)
            if source in forced or source in test[name]:
                splits[clip] = "test_seen"
            elif name in val_unseen:
                splits[clip] = "val_unseen"
            else:
                splits[clip] = "val_seen" if source in held or source in val[name] else "train"
    return splits


def _seen_splits(clips: Sequence[str], val_unseen: bool, closed: bool = False) -> dict[str, str]:
    """Clip -> split of one class that stage 2 trains on, its clips in a drawn order."""
    test, val = seen_counts(len(clips))
    val = 0 if closed else val
    splits = {}
    for rank, clip in enumerate(clips):
        if rank < test:
            splits[clip] = "test_seen"
        elif val_unseen:
            splits[clip] = "val_unseen"
        else:
            splits[clip] = "val_seen" if rank < test + val else "train"
    return splits


def seen_counts(clips: int) -> tuple[int, int]:
    """How many of a training class's clips go to `test_seen` and to `val_seen`.

    Example:
        >>> seen_counts(24), seen_counts(2)
        ((5, 4), (1, 0))
    """
    # Of two clips one trains and one tests: none is left to validate with.
    val = max(1, round(clips * VAL_SEEN_SHARE)) if clips > 2 else 0
    return max(1, round(clips * TEST_SEEN_SHARE)), val


def check_splits(splits: Mapping[str, str], classes: Mapping[str, str]) -> None:
    """Raise unless the splits make a generalized zero-shot benchmark in both stages.

    Or a closed set: `train` and `test_seen` alone, every tested class being trained on.

    Args:
        splits: clip -> split.
        classes: clip -> class; clips that are not in `splits` are ignored.

    Raises:
        EzavError: an unknown or empty split, a class that one stage both trains on and calls
            unseen, a class evaluated as seen that the stage never trains on, fewer than two
            training classes.

    Example:
        >>> check_splits({"a": "train", "b": "dev"}, {"a": "cat", "b": "cat"})
        Traceback (most recent call last):
        ...
        ezav.errors.EzavError: clip 'b' is in the unknown split 'dev'; the splits are train, ...
    """
    members: dict[str, set[str]] = {split: set() for split in SPLITS}
    for clip, split in splits.items():
        if split not in members:
            raise EzavError(
                f"clip '{clip}' is in the unknown split '{split}'",
                f"the splits are {', '.join(SPLITS)}",
            )
        members[split].add(classes[clip])
    closed = not any(members[split] for split in SPLITS if split not in CLOSED)
    for split in CLOSED if closed else SPLITS:
        if not members[split]:
            raise EzavError(f"the split '{split}' has no clip", "every split needs clips")
    for number, stage in ((1, STAGE_1), (2, STAGE_2)):
        trained = set().union(*(members[split] for split in stage.train))
        where = f"in stage {number} (training on {', '.join(stage.train)})"
        for split in stage.unseen:
            if both := sorted(trained & members[split]):
                raise EzavError(
                    f"class {_some(both)} is both seen and unseen {where}",
                    f"take its clips out of {split} or out of the training splits",
                )
        for split in stage.seen:
            if never := sorted(members[split] - trained):
                raise EzavError(
                    f"class {_some(never)} is in {split} but has no training clip {where}",
                    "move some of its clips to train, or all of them to an unseen split",
                )
    _need_classes(len(members["train"]), 2, " in the split 'train'")


def given_splits(
    clips: Sequence[str], classes: Sequence[str], splits: Sequence[str]
) -> dict[str, str]:
    """Splits as a manifest names them, checked: clip -> split.

    Raises:
        EzavError: a clip twice, and everything that :func:`check_splits` refuses.

    Example:
        >>> classes = ["cat", "cat", "cat", "dog", "cow", "owl"]
        >>> splits = ["train", "val_seen", "test_seen", "train", "val_unseen", "test_unseen"]
        >>> given_splits([*"abcdef"], classes, splits)["e"]
        'val_unseen'
    """
    _clips_by_class(clips, classes)
    result = dict(zip(clips, splits, strict=True))
    check_splits(result, dict(zip(clips, classes)))
    return result


def _clips_by_class(clips: Sequence[str], classes: Sequence[str]) -> dict[str, list[str]]:
    by_class: dict[str, list[str]] = defaultdict(list)
    known: set[str] = set()
    for clip, name in zip(clips, classes, strict=True):
        if clip in known:
            raise EzavError(f"clip '{clip}' is listed twice", "a clip is in exactly one split")
        if not name.strip():
            raise EzavError(f"clip '{clip}' has an empty class name", "name its class")
        known.add(clip)
        by_class[name].append(clip)
    return by_class


def _known_unseen(unseen: Collection[str], names: Sequence[str]) -> set[str]:
    if unknown := sorted(set(unseen) - set(names)):
        raise NotFoundError(
            f"no clip has the unseen class {_some(unknown)}",
            f"the classes are {_some(sorted(names), 8)}",
        )
    return set(unseen)


def _need_classes(found: int, needed: int, where: str) -> None:
    if found < needed:
        many = "1 class" if found == 1 else f"{found} classes"
        raise EzavError(
            f"{many}{where}, but at least {needed} are needed",
            "training needs two, validation and testing one unseen class each",
        )


def _refuse_single_clips(by_class: Mapping[str, Sequence[str]], names: Sequence[str]) -> None:
    if single := [name for name in names if len(by_class[name]) == 1]:
        raise EzavError(
            f"class {_some(single)} has a single clip",
            "give it more clips, leave it out, or name it unseen",
        )


def _shuffled(items: Sequence[str], seed: int, purpose: str) -> list[str]:
    """A seeded order that does not depend on the order given, nor on which other items exist."""

    def rank(item: str) -> bytes:
        return hashlib.blake2b(f"{seed}\0{purpose}\0{item}".encode()).digest()

    return sorted(items, key=rank)


def _some(names: Sequence[str], most: int = 4) -> str:
    quoted = [f"'{name}'" for name in names[:most]]
    return ", ".join(quoted) + (f" and {len(names) - most} more" if len(names) > most else "")
