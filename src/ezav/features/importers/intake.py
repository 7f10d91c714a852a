"""What comes into a store and what stays out: class lists applied to blocks, and counts kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from ezav.errors import EzavError
from ezav.features.importers.blocks import Block, LeftOut
from ezav.features.importers.class_split import ClassSplit
from ezav.features.splits import SPLITS

CHUNK_BYTES = 1 << 24
"""Features gathered before they become a shard; with copies and one chunk being written while the
next is read, memory stays near six times this."""


class Intake:
    """Lets the setting's classes in and counts everything.

    Attributes:
        splits: clip -> split, of the clips let in.
        left_out: class -> number of clips not let in.
        variants: spelling found -> the class it was taken for.
        bytes: size of the features let in.

    Example:
        >>> classes = ClassSplit({"Dog": "dog", "Cat": "cat"}, {"train": ("Dog",)}, {})
        >>> intake = Intake(classes)
        >>> intake.wanted("train", "DOG"), intake.wanted("train", "Cat")
        (True, False)
        >>> list(intake.accept(iter([LeftOut("train", "Cat", 7)]))), dict(intake.left_out)
        ([], {'Cat': 7})
    """

    def __init__(self, classes: ClassSplit) -> None:
        self.classes = classes
        self.splits: dict[str, str] = {}
        self.left_out: Counter[str] = Counter()
        self.variants = dict(classes.variants)
        self.bytes = 0
        self._spelled: dict[tuple[str, str], str] = {}
        self._counts: Counter[tuple[str, str]] = Counter()
        self._dims: tuple[int, int] | None = None

    def wanted(self, split: str, spelling: str) -> bool:
        """The class lists have this class in this split."""
        return self.classes.resolve(spelling) in self.classes.splits[split]

    def accept(self, blocks: Iterator[Block | LeftOut]) -> Iterator[Block]:
        """The blocks of the setting, under their classes' own names.

        Raises:
            EzavError: two files of one class in a split, a clip in two places, or features of
                another dimension than those before.
        """
        for block in blocks:
            name = self.classes.resolve(block.name) or block.name
            if isinstance(block, LeftOut):
                self.left_out[name] += block.clips
                continue
            if name != block.name:
                self.variants[block.name] = name
            other = self._spelled.setdefault((block.split, name), block.name)
            if other != block.name:
                raise EzavError(
                    f"the class '{name}' has two feature files in {block.split}: '{other}' and "
                    f"'{block.name}'",
                    "remove one of them",
                )
            if block.clips:
                self._check_dims(block, name)
            for clip in block.clips:
                if clip in self.splits:
                    raise EzavError(
                        f"the clip '{clip}' of class '{name}' is in two places: "
                        f"{self.splits[clip]} and {block.split}",
                        "a clip is in exactly one split",
                    )
                self.splits[clip] = block.split
            self._counts[block.split, name] += len(block.clips)
            self.bytes += block.bytes
            yield replace(block, name=name)

    def _check_dims(self, block: Block, name: str) -> None:
        dims = block.audio.values.shape[1], block.visual.values.shape[1]
        self._dims = self._dims or dims
        if dims != self._dims:
            raise EzavError(
                f"the class '{name}' in {block.split} has features of {dims[0]} audio and "
                f"{dims[1]} visual dimensions, classes before it {self._dims[0]} and "
                f"{self._dims[1]}",
                "are files of two settings, or of audio and video, mixed up?",
            )

    def counts(self) -> tuple[dict[str, int], dict[str, int]]:
        """Split -> number of clips, split -> number of classes.

        Raises:
            EzavError: a listed class has no clip in its split.
        """
        for split in SPLITS:
            for name in self.classes.splits[split]:
                if not self._counts[split, name]:
                    raise EzavError(
                        f"the class '{name}' has no clip in {split}, where its list has it",
                        "is the download complete, and are the class lists those of the setting?",
                    )
        lists = self.classes.splits
        clips = {s: sum(self._counts[s, name] for name in lists[s]) for s in SPLITS}
        return clips, {s: len(lists[s]) for s in SPLITS}


def chunks(blocks: Iterator[Block]) -> Iterator[list[Block]]:
    """Blocks with clips, gathered up to some megabytes.

    Example:
        >>> import numpy as np
        >>> from ezav.features.importers.blocks import one_token_each
        >>> def block(names):
        ...     part = one_token_each(names, np.zeros((len(names), 2)))
        ...     return Block("train", "Dog", part, part)
        >>> blocks = iter([block(["a", "b"]), block([]), block(["c"])])
        >>> [[len(one.clips) for one in chunk] for chunk in chunks(blocks)]
        [[2, 1]]
    """
    chunk: list[Block] = []
    for block in blocks:
        if block.clips:
            chunk.append(block)
        if sum(one.bytes for one in chunk) >= CHUNK_BYTES:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
