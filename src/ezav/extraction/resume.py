"""What a store was given already, and what of it is to be done again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ezav.extraction.encode import DAMAGED, OK
from ezav.extraction.listing import Listing
from ezav.features.shards import ClipRecord
from ezav.features.writer import check_same_class


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

    Raises:
        EzavError: they do.
    """
    for item in listing.items:
        if item.clip in classes:
            check_same_class(item.clip, classes[item.clip], item.class_name, store)
