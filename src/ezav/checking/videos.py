"""From videos to the store that is checked: read once, kept beside them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from ezav.extraction.listing import Listing, list_videos
from ezav.extraction.local import extract
from ezav.extraction.report import ExtractionReport, Progress
from ezav.features.begin import HEADER_FILE
from ezav.features.index import INDEX_FILE
from ezav.features.redraw import NO_CLASS

FOLDER = ".ezav-store"
"""The store, inside of the folder of videos; hidden, so that it is no class."""
_LEAST = 3
"""Classes to train on beside unseen ones."""


def is_store(path: Path) -> bool:
    """Whether a folder is a store, finished or begun.

    Example:
        >>> is_store(Path("no/such/folder"))
        False
    """
    return any((path / name).is_file() for name in (HEADER_FILE, INDEX_FILE))


def store_beside(videos: Path) -> Path:
    """Where the store of a folder of videos is kept, or that of a manifest.

    Example:
        >>> store_beside(Path("lists/mine.csv")).as_posix()
        'lists/.mine.ezav-store'
    """
    if videos.is_dir():
        return videos / FOLDER
    return videos.with_name(f".{videos.stem}{FOLDER}")


def read_videos(
    videos: Path,
    store: Path | None = None,
    workers: int | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> ExtractionReport:
    """Extract videos with the default encoders, to be looked at: a second call reads what is new.

    The splits are those that `ezav extract` draws; only where it would refuse classes of a single
    clip, or fewer than four classes, those stand apart, or no class does: they are findings here.

    Args:
        videos: a folder `<class name>/*`, or a CSV file `path,class[,split]`.
        store: where the features are kept; None: beside the videos (:func:`store_beside`).
        workers: processes; None: one for each CPU.
        on_progress: called after every clip.

    Raises:
        EzavError: as :func:`ezav.extraction.extract`.

    Example:
        >>> read_videos(Path("no/such/folder"))
        Traceback (most recent call last):
        ezav.errors.NotFoundError: there is no folder or manifest 'no/such/folder'; give a ...
    """
    unseen = _apart(list_videos(videos))
    out = store_beside(videos) if store is None else store
    return extract(videos, out, unseen=unseen, workers=workers, on_progress=on_progress)


def _apart(listing: Listing) -> tuple[str, ...] | None:
    if listing.items[0].split is not None:
        return None
    counts = Counter(item.class_name for item in listing.items)
    single = tuple(sorted(name for name, count in counts.items() if count == 1))
    if not single and len(counts) > _LEAST:
        return None
    return single if single and len(counts) - len(single) >= _LEAST else (NO_CLASS,)
