"""The published class lists: which class is in which split, under which names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ezav.csv_rows import csv_rows
from ezav.errors import DamagedError, EzavError, NotFoundError
from ezav.features.splits import SPLITS
from ezav.naming import clean, refuse_twins, same

LISTS = {
    "train": "stage_1_train",
    "val_seen": "stage_1_val_seen",
    "val_unseen": "stage_1_val_unseen",
    "test_seen": "stage_2_test_seen",
    "test_unseen": "stage_2_test_unseen",
}
"""Split -> the name of its class list and of its folder of features."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """A benchmark's names: for people, in the name table's file, in text embedding files.

    Example:
        >>> DATASETS["activitynet"].name
        'ActivityNet'
    """

    name: str
    table: str
    text: tuple[str, ...]


DATASETS = {
    "ucf": Dataset("UCF", "ucf", ("ucf",)),
    "vggsound": Dataset("VGGSound", "vggsound", ("vggsound",)),
    "activitynet": Dataset("ActivityNet", "activitynet", ("activity", "activitynet")),
}


@dataclass(frozen=True)
class ClassSplit:
    """The classes of a data set, and those of each split of one setting.

    Attributes:
        text_names: original class name -> the name its text embedding is filed under, for every
            class of the data set (also those of no split), sorted by original name.
        splits: split -> its original class names, sorted.
        variants: spelling found in a list -> the class it means.

    Example:
        >>> split = ClassSplit({"PushUps": "Push Ups"}, {"train": ("PushUps",)}, {})
        >>> split.resolve("pushups"), split.resolve("Rowing")
        ('PushUps', None)
    """

    text_names: Mapping[str, str]
    splits: Mapping[str, tuple[str, ...]]
    variants: Mapping[str, str]

    @property
    def names(self) -> tuple[str, ...]:
        """All classes of the data set, in the order of the published label ids."""
        return tuple(self.text_names)

    @cached_property
    def used(self) -> tuple[str, ...]:
        """The classes of the setting: those in any split, sorted."""
        return tuple(sorted(set().union(*self.splits.values())))

    def resolve(self, spelling: str) -> str | None:
        """The class a spelling means: exact, else without case, spaces and punctuation.

        None for a class that the data set does not have.

        Raises:
            EzavError: the spelling fits several classes.
        """
        if spelling in self.text_names:
            return spelling
        found = self._by_key.get(_key(spelling), [])
        if len(found) > 1:
            raise EzavError(
                f"the class '{spelling}' may mean {' or '.join(map(repr, found))}",
                "spell it as in all_class.txt",
            )
        return found[0] if found else None

    @cached_property
    def _by_key(self) -> dict[str, list[str]]:
        keys: dict[str, list[str]] = {}
        for name in self.text_names:
            keys.setdefault(_key(name), []).append(name)
        return keys


def read_class_split(
    folder: str | Path, dataset: str, setting: str, text_column: str = "manual"
) -> ClassSplit:
    """Read a published `class-split` folder.

    Args:
        folder: holds `all_class.txt`, the name tables and `{main,cls}_split/*.txt`.
        dataset: "ucf", "vggsound" or "activitynet".
        setting: "main" or "cls".
        text_column: "manual" (word2vec) or "clip_class_name" (ClipClap's UCF table).

    Raises:
        EzavError: a file is missing or not UTF-8, a class is listed twice, unknown, or has no
            name in the table.
    """
    folder = Path(folder)
    names = _lines(folder / "all_class.txt")
    kind = "clip" if text_column == "clip_class_name" else "w2v"
    table = folder / f"{DATASETS[dataset].table}_{kind}_class_names.csv"
    text_names = _text_names(table, text_column, names)
    bare = ClassSplit(text_names, {}, {})
    splits, variants = {}, {}
    for split in SPLITS:
        path = folder / f"{setting}_split" / f"{LISTS[split]}.txt"
        found = []
        for spelling in _lines(path):
            name = bare.resolve(spelling)
            if name is None:
                raise EzavError(
                    f"'{path}' lists the class '{spelling}', which all_class.txt does not have"
                )
            if name in found:
                raise EzavError(f"'{path}' lists the class '{name}' twice")
            if name != spelling:
                variants[spelling] = name
            found.append(name)
        splits[split] = tuple(sorted(found))
    return ClassSplit(text_names, splits, variants)


def read_table(path: Path, *columns: str) -> list[dict[str, str]]:
    """The rows of a published CSV file; what a short row lacks is empty.

    Raises:
        EzavError: it is missing, not UTF-8, or lacks one of the columns.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     table = Path(folder, "names.csv")
        ...     _ = table.write_text("original,manual")
        ...     read_table(table, "original", "clip")
        Traceback (most recent call last):
        ezav.errors.EzavError: '...names.csv' does not begin with the columns original,clip; ...
    """
    _text(path, "table")  # says what is wrong with a file that is none
    return [row for _, row in csv_rows(path, columns, len(columns))]


def _text(path: Path, what: str) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")  # some editors begin a file with a mark
    except OSError as error:
        raise NotFoundError(
            f"no {what} at '{path}': {error.strerror}",
            "give the published class-split folder as `class_split`",
        ) from error
    except UnicodeDecodeError as error:
        raise DamagedError(
            f"the {what} '{path}' is not UTF-8: {error.reason} at byte {error.start}",
            "save it as UTF-8",
        ) from error


def _lines(path: Path) -> list[str]:
    lines = map(clean, _text(path, "class list").splitlines())
    names = [line for line in lines if line]
    if not names:
        raise EzavError(f"the class list '{path}' is empty")
    return names


def _text_names(path: Path, column: str, names: list[str]) -> dict[str, str]:
    """original -> text name, both unique, exactly for the given classes."""
    rows = read_table(path, "original", column)
    table = {clean(row["original"]): clean(row[column]) for row in rows}
    if len(set(names)) < len(names):
        raise EzavError(f"all_class.txt beside '{path}' lists a class twice")
    refuse_twins(names)
    for name in names:
        if not table.get(name):
            raise EzavError(f"'{path}' has no {column} name for the class '{name}'")
    if len(rows) > len(names):
        extra = sorted(set(table) - set(names)) or ["(a class twice)"]
        raise EzavError(f"'{path}' names a class that all_class.txt does not have: {extra[0]}")
    if len(set(table.values())) < len(table):
        raise EzavError(f"'{path}' gives two classes the same {column} name")
    refuse_twins(table.values())
    return {name: table[name] for name in sorted(names)}


def _key(name: str) -> str:
    return "".join(letter for letter in same(name) if letter.isalnum())
