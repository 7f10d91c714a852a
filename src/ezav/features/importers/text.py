"""Class embeddings of the published text files, by name or in the published (permuted) order.

The released loaders sort the rows of the text matrix by the *manual* class name but index them by
the rank of the *original* name. So most classes get another class's embedding. Here rows are
matched by name, unless the published order is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ezav.classes.embeddings import ClassEmbeddings
from ezav.errors import EzavError, NotFoundError
from ezav.features.importers.class_split import ClassSplit
from ezav.features.splits import SPLITS
from ezav.naming import clean, refuse_twins

Alignment = Literal["by_name", "published"]


@dataclass(frozen=True, slots=True)
class Misassignment:
    """Of the classes of one split, how many the published order gives another one's embedding.

    Example:
        >>> Misassignment("test_unseen", wrong=4, classes=9).wrong
        4
    """

    split: str
    wrong: int
    classes: int


def published_order(classes: ClassSplit) -> dict[str, str]:
    """Class -> the class whose embedding the released loaders give it.

    Example:
        >>> names = {"CleanAndJerk": "Weight Lifting", "CliffDiving": "Cliff Diving"}
        >>> published_order(ClassSplit(names, {}, {}))
        {'CleanAndJerk': 'CliffDiving', 'CliffDiving': 'CleanAndJerk'}
    """
    original = {text: name for name, text in classes.text_names.items()}
    rows = sorted(classes.text_names.values())
    return {name: original[text] for name, text in zip(sorted(original.values()), rows)}


def misassignments(classes: ClassSplit) -> list[Misassignment]:
    """How many classes the published order misassigns: of all, then of each split.

    Example:
        >>> names = {"CleanAndJerk": "Weight Lifting", "CliffDiving": "Cliff Diving", "Zoo": "Zoo"}
        >>> whole, train = misassignments(ClassSplit(names, {"train": ("Zoo",)}, {}))
        >>> whole.wrong, train.wrong
        (2, 0)
    """
    given = published_order(classes)
    groups = {"all": classes.names, **{s: classes.splits[s] for s in SPLITS if s in classes.splits}}
    return [
        Misassignment(split, sum(given[name] != name for name in names), len(names))
        for split, names in groups.items()
    ]


def align_text(
    text: ClassEmbeddings, classes: ClassSplit, alignment: Alignment = "by_name"
) -> ClassEmbeddings:
    """Embeddings under text names -> embeddings under original names, one a class of the setting.

    The names that the vectors were made from are kept in `settings["text_names"]`.

    Args:
        text: as in a published file; must have exactly the data set's classes.
        classes: the name table.
        alignment: "by_name", or "published" for the permuted rows of the released loaders.

    Raises:
        EzavError: a class without a row, or a row without a class (each is named).

    Example:
        >>> import torch
        >>> classes = ClassSplit({"PushUps": "Push Ups"}, {"train": ("PushUps",)}, {})
        >>> text = ClassEmbeddings(("Push Ups",), torch.ones(1, 2), "word2vec")
        >>> align_text(text, classes).names
        ('PushUps',)
    """
    expected = {text_name: name for name, text_name in classes.text_names.items()}
    for name in sorted(expected):
        if name not in text.names:
            raise EzavError(
                f"the text embeddings of {text.encoder} have no row '{name}' "
                f"(for the class '{expected[name]}')",
                "use the text file of the same data set and table",
            )
    for name in text.names:
        if name not in expected:
            raise EzavError(
                f"the text embeddings of {text.encoder} have a row '{name}' that is no class",
                "use the text file of the same data set and table",
            )
    given = published_order(classes)
    source = {c: c if alignment == "by_name" else given[c] for c in classes.used}
    rows = text.select([classes.text_names[source[name]] for name in classes.used])
    settings = {
        **text.settings,
        "text_alignment": alignment,
        "text_names": {name: classes.text_names[name] for name in classes.used},
    }
    return ClassEmbeddings(classes.used, rows.vectors, text.encoder, settings)


def read_text(path: str | Path, encoder: str) -> ClassEmbeddings:
    """A published text file (`.npy` with a pickled dict) or a `.safetensors` file.

    Raises:
        EzavError: two names of what must be one class; see :meth:`ClassEmbeddings.load`.
    """
    loaded = ClassEmbeddings.load(path)
    names = tuple(map(clean, loaded.names))
    refuse_twins(loaded.names if len(set(names)) < len(names) else names)
    return ClassEmbeddings(
        names, loaded.vectors, encoder, {**loaded.settings, "file": Path(path).name}
    )


def find_text(folder: Path, patterns: Sequence[str]) -> Path:
    """The one text file in `folder` with one of these names.

    Raises:
        EzavError: there is none (the message lists what is there).

    Example:
        >>> from pathlib import Path
        >>> find_text(Path("no/such/folder"), ["word_embeddings.npy"])
        Traceback (most recent call last):
        ezav.errors.NotFoundError: no text embeddings 'word_embeddings.npy' in 'no/such/folder'; ...
    """
    for pattern in patterns:
        if (folder / pattern).is_file():
            return folder / pattern
    there = sorted(found.name for found in folder.glob("*")) if folder.is_dir() else []
    raise NotFoundError(
        f"no text embeddings '{patterns[0]}' in '{folder}'",
        f"there is {', '.join(there[:5])}" if there else "give the folder as `text`",
    )
