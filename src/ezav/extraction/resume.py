"""What a store was given already, and what of it is to be done again."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from ezav.errors import DamagedError
from ezav.extraction.encoded import DAMAGED, OK
from ezav.extraction.listing import Item, Listing
from ezav.extraction.settings import ExtractSettings
from ezav.features.shards import ClipRecord
from ezav.features.writer import check_same_class
from ezav.safe_io import write_text

_SIZES = "sizes.json"
"""In a store: clip -> (bytes of its file, the status it got). Not its time: a copy changes that."""

_NOTES = TypeAdapter(dict[str, tuple[int, str]])


def finished(
    records: Mapping[str, ClipRecord],
    listing: Listing,
    replaced: Collection[str],
    settings: ExtractSettings,
) -> set[str]:
    """The clips that need not be done again.

    Args:
        records: of the store; :func:`check_classes` has accepted them.
        listing: a clip without features whose class it gives otherwise is done again.
        replaced: clips whose files are others now; those without features are done again.
        settings: with `retry` all clips without features are done again, with `use_damaged` those
            that were cut short.
    """
    classes = {item.clip: item.class_name for item in listing.items}
    return {
        clip
        for clip, record in records.items()
        if record.status == OK
        or not (
            settings.retry
            or clip in replaced
            or (settings.use_damaged and record.status == DAMAGED)
            or record.class_name != classes.get(clip, record.class_name)
        )
    }


def file_sizes(items: Iterable[Item]) -> dict[str, int]:
    """Clip -> bytes of its file, of those that can be looked at.

    Example:
        >>> from ezav.extraction.listing import Item
        >>> file_sizes([Item("gone.mp4", Path("no/such/gone.mp4"), "dog")])
        {}
    """
    sizes: dict[str, int] = {}
    for item in items:
        with suppress(OSError, ValueError):
            sizes[item.clip] = item.path.stat().st_size
    return sizes


def changed_files(
    store: Path, records: Mapping[str, ClipRecord], sizes: Mapping[str, int]
) -> set[str]:
    """The clips of a store whose files have another size than when it read (or refused) them.

    Raises:
        DamagedError: the store's note of their sizes is damaged.
    """
    return {
        clip
        for clip, (size, status) in _noted(store).items()
        # Of one that was done again since (by a call that was killed, in a part) it tells nothing.
        if clip in records and records[clip].status == status and sizes.get(clip, size) != size
    }


def note_sizes(
    store: Path,
    records: Mapping[str, ClipRecord],
    sizes: Mapping[str, int],
    replaced: Collection[str],
) -> None:
    """Note for later calls what size the files have; of the replaced ones as it was."""
    notes = {clip: (size, records[clip].status) for clip, size in sizes.items() if clip in records}
    kept = {clip: note for clip, note in notes.items() if clip not in replaced}
    write_text(store / _SIZES, _NOTES.dump_json(_noted(store) | kept).decode())


def _noted(store: Path) -> dict[str, tuple[int, str]]:
    """Empty if the store was written before sizes were noted."""
    path = store / _SIZES
    if not path.is_file():
        return {}
    try:
        return _NOTES.validate_json(path.read_bytes())
    except ValidationError as error:
        raise DamagedError(
            f"'{path}' is damaged", "delete it: the sizes of the files are noted anew"
        ) from error


def check_classes(store: Path, classes: Mapping[str, str], listing: Listing) -> None:
    """Refuse to go on with a store whose features bear other classes than the listing says.

    Args:
        store: its folder.
        classes: clip -> class, of those with features.
        listing: of the videos.

    Raises:
        EzavError: they do.
    """
    for item in listing.items:
        if item.clip in classes:
            check_same_class(item.clip, classes[item.clip], item.class_name, store)
