"""Which split each clip of an extraction is in, and whether a store was begun with the same."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from ezav.errors import EzavError
from ezav.extraction.listing import Item, Listing, in_utf8
from ezav.features.begin import HEADER_FILE, holds_clips
from ezav.features.header import SplitOrigin, parse_header
from ezav.features.redraw import told
from ezav.features.sources import check_sources
from ezav.features.splits import check_splits, draw_splits, given_splits

Splitter = Callable[[Sequence[Item]], dict[str, str]]
"""Clips to clip -> split; raises EzavError where they make no benchmark."""


def splitter(
    listing: Listing, unseen: Collection[str] | None, seed: int, videos: Path
) -> tuple[Splitter, SplitOrigin]:
    """How these clips are split, and how to say so.

    Example:
        >>> from ezav.extraction.listing import Item
        >>> names = [f"class {i // 8}" for i in range(48)]
        >>> items = tuple(Item(f"{i}.mp4", Path(f"{i}.mp4"), name) for i, name in enumerate(names))
        >>> splits_of, origin = splitter(Listing(items, "videos", {}), None, 0, Path("videos"))
        >>> origin.how, sorted(set(splits_of(items).values()))
        ('drawn', ['test_seen', 'test_unseen', 'train', 'val_seen', 'val_unseen'])
    """
    if listing.items[0].split is not None:
        if unseen is not None:
            raise EzavError(
                f"'{videos}' has a split for every clip, and unseen classes are named as well",
                "leave out `unseen`, or the manifest's column split",
            )
        given = {item.clip: item.split or "" for item in listing.items}

        def from_manifest(items: Sequence[Item]) -> dict[str, str]:
            clips = [item.clip for item in items]
            names = [item.class_name for item in items]
            splits = given_splits(clips, names, [given[clip] for clip in clips])
            check_sources(splits, listing.sources)
            return splits

        return from_manifest, SplitOrigin(how="manifest", detail=in_utf8(videos.name))

    def drawn(items: Sequence[Item]) -> dict[str, str]:
        names = [item.class_name for item in items]
        return draw_splits([item.clip for item in items], names, unseen, seed, listing.sources)

    return drawn, SplitOrigin(how="drawn", seed=seed, detail=told(unseen, listing.sources))


def final_splits(
    splits_of: Splitter,
    origin: SplitOrigin,
    listing: Listing,
    readable: Sequence[Item],
    whole: bool,
) -> tuple[dict[str, str], SplitOrigin]:
    """The splits of the readable clips.

    They are drawn over all clips, so that they do not depend on the parts; only where that leaves
    no benchmark (a class all of whose training clips are broken) are they drawn again.
    """
    every = splits_of(listing.items)
    splits = {item.clip: every[item.clip] for item in readable}
    if whole:
        try:
            check_splits(splits, {item.clip: item.class_name for item in readable})
        except EzavError:
            if origin.how != "drawn":
                raise
            detail = "; ".join(part for part in (origin.detail, "without unreadable clips") if part)
            return splits_of(readable), origin.model_copy(update={"detail": detail})
    return splits, origin


def check_continues(out: Path, origin: SplitOrigin) -> None:
    """Refuse to go on with a store that was begun with other splits."""
    header = out / HEADER_FILE
    if header.is_file() and holds_clips(out):
        before = parse_header(header.read_bytes(), header).splits
        if before is not None and before != origin:
            raise EzavError(
                f"the store '{out}' was begun with other splits: {_told(before)} there, "
                f"{_told(origin)} now",
                "use the same settings, or another folder",
            )


def _told(origin: SplitOrigin) -> str:
    seed = "" if origin.seed is None else f", seed {origin.seed}"
    return f"{origin.how}{seed}" + (f" ({origin.detail})" if origin.detail else "")
