"""What clips were cut from: sources, none of which may stand on two sides of a split."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from ezav.csv_rows import csv_rows
from ezav.errors import EzavError
from ezav.naming import clean

Shuffled = Callable[[Sequence[str], str], list[str]]
"""Items and a purpose -> a seeded order that does not depend on which other items there are."""


class SourceSides:
    """Assigns whole sources to test or to validation, so that every class keeps one to train on.

    Args:
        by_class: class -> its clips; classes that are never trained on are not among them.
        sources: clip -> what it was cut from; a clip that is not there stands for itself.
        shuffled: orders the sources of a class.
    """

    def __init__(
        self,
        by_class: Mapping[str, Sequence[str]],
        sources: Mapping[str, str],
        shuffled: Shuffled,
    ) -> None:
        self._shuffled = shuffled
        self._clips: dict[str, dict[str, list[str]]] = {}
        self._classes: dict[str, set[str]] = defaultdict(set)
        for name, clips in by_class.items():
            parts: dict[str, list[str]] = defaultdict(list)
            for clip in clips:
                parts[source_of(clip, sources)].append(clip)
            self._clips[name] = dict(parts)
            for source in parts:
                self._classes[source].add(name)
        self._left = {name: set(parts) for name, parts in self._clips.items()}

    def take(
        self, name: str, wanted: int, purpose: str, forced: Collection[str] = ()
    ) -> dict[str, set[str]]:
        """Sources of a class for one side, about `wanted` of its clips.

        Args:
            name: the class.
            wanted: how many of its clips.
            purpose: of the draw.
            forced: sources that are on that side already.

        Returns:
            class -> its sources that went to that side with them: a source is taken whole.
        """
        parts = self._clips[name]
        got = sum(len(parts[source]) for source in parts if source in forced)
        taken: dict[str, set[str]] = defaultdict(set)
        free = [one for one in parts if one in self._left[name] and one not in forced]
        for source in self._shuffled(free, purpose):
            if got and got + len(parts[source]) / 2 > wanted:
                break
            if any(self._left[other] == {source} for other in self._classes[source]):
                continue  # the last that a class can be trained on
            got += len(parts[source])
            for other in self._classes[source]:
                self._left[other].discard(source)
                taken[other].add(source)
        return taken

    def force(self, sources: Collection[str], side: str) -> None:
        """Sources that are on a side because a class is unseen there.

        Raises:
            EzavError: they take a class's last one.
        """
        for name, left in self._left.items():
            left -= set(sources)
            if not left:
                raise EzavError(
                    f"every source of class '{name}' has clips of {side} classes too: nothing is "
                    "left to train on",
                    "where sources are numbered anew in each class, name `class` among the groups",
                )

    def is_left(self, name: str, source: str) -> bool:
        """Whether a source of a class is on neither side yet."""
        return source in self._left[name]


def source_of(clip: str, sources: Mapping[str, str]) -> str:
    """What a clip was cut from; a clip without a source is one of its own.

    Example:
        >>> source_of("a.mp4", {"a.mp4": "tape 1"}), source_of("b.mp4", {}) == "b.mp4"
        ('tape 1', False)
    """
    return sources.get(clip) or f"\0{clip}"


def check_sources(splits: Mapping[str, str], sources: Mapping[str, str]) -> None:
    """Refuse splits that have a source on both sides of the test.

    Raises:
        EzavError: the first such source, and two of its clips.

    Example:
        >>> check_sources({"a": "train", "b": "test_seen"}, {"a": "tape", "b": "tape"})
        Traceback (most recent call last):
        ezav.errors.EzavError: source 'tape' is both trained on ('a') and tested on ('b'); ...
    """
    tested: dict[str, str] = {}
    for clip, split in splits.items():
        if split.startswith("test") and clip in sources:
            tested.setdefault(sources[clip], clip)
    for clip, split in splits.items():
        if not split.startswith("test") and (other := tested.get(sources.get(clip, ""))):
            raise EzavError(
                f"source '{sources[clip]}' is both trained on ('{clip}') and tested on ('{other}')",
                "give its clips one side, or other groups",
            )


def read_sources(path: Path, columns: Sequence[str] = ("source",)) -> dict[str, str]:
    """Clip -> what it was cut from, of a CSV file with the columns path and source.

    Args:
        path: the file; a clip is named by its path, as the store names it.
        columns: those whose values together name a source.

    Raises:
        EzavError: see :func:`ezav.csv_rows.csv_rows`; a clip with two sources; no source at all.
    """
    found: dict[str, str] = {}
    for line, row in csv_rows(path, ("path", *columns), 1 + len(columns)):
        clip = row["path"].strip("\ufeff \t\r\n")
        source = joined([row[name] for name in columns])
        if found.get(clip, source) != source:
            raise EzavError(f"line {line} of '{path}' gives '{clip}' another source", "leave one")
        if source:
            found[clip] = source
    if not found:
        raise EzavError(f"'{path}' names no source", "fill its column, or leave it out")
    return found


def joined(values: Sequence[str]) -> str:
    """The values of several columns as one name; empty where all are.

    Example:
        >>> joined(["rain", " g01"]), joined(["", " "])
        ('rain/g01', '')
    """
    parts = [clean(value) for value in values]
    return "/".join(parts) if any(parts) else ""


__all__ = ["SourceSides", "check_sources", "joined", "read_sources", "source_of"]
