"""The classes of a simulated benchmark: their lists, vectors and clip counts, official or drawn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch

from ezav.benchmarks.simulated_features import generator
from ezav.classes.embeddings import ClassEmbeddings
from ezav.errors import EzavError
from ezav.features.importers.class_split import LISTS, ClassSplit, read_table
from ezav.features.splits import SPLITS

# Official numbers of classes and clips: train, val_seen, val_unseen, test_seen, and test_unseen
# of the main and of the cls lists.
_CLASSES = {
    "vggsound": (138, 138, 69, 207, 69, 64),
    "ucf": (30, 30, 12, 42, 9, 6),
    "activitynet": (99, 99, 51, 150, 50, 48),
}
_CLIPS = {
    "vggsound": (70351, 7817, 3102, 9032, 3450, 3200),
    "ucf": (3174, 353, 1467, 555, 1267, 845),
    "activitynet": (9204, 1023, 4307, 1615, 4199, 4052),
}
_ALL_CLASSES = {"vggsound": 309, "ucf": 101, "activitynet": 200}


def draw_classes(
    dataset: str, setting: str, files: Sequence[ClassEmbeddings], seed: int
) -> ClassSplit:
    """Class lists of the official sizes, over the names common to all files (none: made up).

    Raises:
        EzavError: the files have too few names.

    Example:
        >>> lists = draw_classes("ucf", "cls", [], seed=0).splits
        >>> {split: len(names) for split, names in lists.items()}
        {'train': 30, 'val_seen': 30, 'val_unseen': 12, 'test_seen': 42, 'test_unseen': 6}
    """
    if files:
        names = sorted(set.intersection(*(set(one.names) for one in files)))
    else:
        names = [f"simulated class {number:03d}" for number in range(_ALL_CLASSES[dataset])]
    train, _, val, test, main_unseen, cls_unseen = _CLASSES[dataset]
    unseen = main_unseen if setting == "main" else cls_unseen
    if len(names) < train + val + unseen:
        raise EzavError(
            f"{len(names)} classes in the text embeddings, but {dataset}-{setting} has "
            f"{train + val + unseen}",
            "use the text file of a larger data set, or a smaller suite",
        )
    order = [names[i] for i in generator(seed, "class lists").permutation(len(names))]
    seen, rest = order[:test], order[test:]
    lists = {
        "train": seen[:train],
        "val_seen": seen[:train],
        "val_unseen": seen[train:],
        "test_seen": seen,
        "test_unseen": rest[:unseen],
    }
    text_names = {name: name for name in names}
    return ClassSplit(text_names, {s: tuple(sorted(lists[s])) for s in SPLITS}, {})


def draw_text(encoder: str, dim: int, classes: ClassSplit, seed: int) -> ClassEmbeddings:
    """Class vectors in groups of about six similar classes, as names of events come.

    Example:
        >>> classes = draw_classes("ucf", "cls", [], seed=0)
        >>> draw_text("word2vec", 300, classes, seed=0).vectors.shape
        torch.Size([48, 300])
    """
    draw = generator(seed, "text")
    names = classes.used
    groups = draw.standard_normal((max(2, len(names) // 6), dim))
    own = draw.standard_normal((len(names), dim))
    vectors = groups[draw.integers(0, len(groups), len(names))] + own
    return ClassEmbeddings(
        names, torch.from_numpy(vectors).float(), f"simulated {encoder}", {"simulated": True}
    )


def count_clips(
    dataset: str, setting: str, classes: ClassSplit, folder: str | Path | None
) -> dict[tuple[str, str], int]:
    """(split, class) -> clips: counted in the folder's clip lists, else the official total, evenly.

    Args:
        folder: of the official class split; None has no lists.

    Example:
        >>> counts = count_clips("ucf", "cls", draw_classes("ucf", "cls", [], seed=0), None)
        >>> sum(count for (split, _), count in counts.items() if split == "train")
        3174
    """
    counts: dict[tuple[str, str], int] = {}
    unseen = 4 if setting == "main" else 5
    for place, split in enumerate(SPLITS):
        names = classes.splits[split]
        listed: Counter[str] = Counter()
        if folder is not None:
            path = Path(folder) / f"{setting}_split" / f"{LISTS[split]}.csv"
            if path.is_file():
                for row in read_table(path, "label"):
                    listed[classes.resolve(row["label"]) or ""] += 1
        total = _CLIPS[dataset][unseen if split == "test_unseen" else place]
        each, more = divmod(total, len(names))
        for rank, name in enumerate(names):
            counts[split, name] = listed[name] or each + (rank < more)
    return counts
