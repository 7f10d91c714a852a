"""What a store was given already, and what of it is to be done again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ezav.errors import EzavError
from ezav.extraction.encode import DAMAGED, OK
from ezav.extraction.listing import Listing
from ezav.features.journal import Journal
from ezav.features.shards import ClipRecord, read_records


def written(store: Path) -> dict[str, ClipRecord]:
    """What was recorded of each clip, published or not; of one recorded twice the last counts.

    Args:
        store: the folder, which a `StoreWriter` of this process holds.
    """
    shards = store / "shards"
    records = [r for path in sorted(shards.glob("*.safetensors")) for r in read_records(path)]
    for path in sorted(shards.glob("*.journal")):
        journal = Journal(path)
        records += [record for record, *_ in journal.read()]
        journal.close()
    return {record.clip: record for record in records}


def finished(
    records: Mapping[str, ClipRecord], listing: Listing, *, retry: bool, use_damaged: bool
) -> set[str]:
    """The clips that need not be done again.

    Args:
        records: of the store; :func:`check_classes` has accepted them.
        listing: a clip without features whose class it gives otherwise is done again.
        retry: all clips without features are.
        use_damaged: those that were cut short are.
    """
    classes = {item.clip: item.class_name for item in listing.items}
    return {
        clip
        for clip, record in records.items()
        if record.status == OK
        or not (
            retry
            or (use_damaged and record.status == DAMAGED)
            or record.class_name != classes.get(clip, record.class_name)
        )
    }


def check_classes(store: Path, classes: Mapping[str, str], listing: Listing) -> None:
    """Refuse to go on with a store whose features bear other classes than the listing says.

    Args:
        store: its folder.
        classes: clip -> class, of those with features.
        listing: of the videos.
    """
    for item in listing.items:
        was = classes.get(item.clip, item.class_name)
        if was != item.class_name:
            raise EzavError(
                f"clip '{item.clip}' is of class '{was}' in the store '{store}' and "
                f"of class '{item.class_name}' now",
                "write another store",
            )
