"""Parts of one extraction, done by the jobs of an array, and put together again."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ezav.errors import EzavError
from ezav.extraction.encoded import OK
from ezav.extraction.listing import Item, Listing
from ezav.extraction.resume import check_classes
from ezav.features.header import Header
from ezav.features.index import INDEX_FILE
from ezav.features.merge import merge_stores
from ezav.features.shards import clip_tokens
from ezav.features.store import FeatureStore
from ezav.features.writer import StoreWriter


@dataclass(frozen=True, slots=True)
class Shard:
    """The `number`-th of `total` parts, counted from 1.

    Example:
        >>> Shard.parse("2/3").folder("/data/store")
        PosixPath('/data/store.parts/2-of-3')
    """

    number: int
    total: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """From `i/n`.

        Raises:
            EzavError: it is not of that form, or i is not within 1 … n.
        """
        match = re.fullmatch(r"(\d+)/(\d+)", text.strip())
        if match is None:
            raise EzavError(f"'{text}' is no shard", "write i/n, as in 1/8 to 8/8")
        number, total = int(match[1]), int(match[2])
        if not 1 <= number <= total:
            raise EzavError(f"there is no shard {text}", f"count from 1/{total} to {total}/{total}")
        return cls(number, total)

    def of(self, items: tuple[Item, ...]) -> tuple[Item, ...]:
        """Its share of the clips, by their names: a new clip changes nothing for the others."""
        return tuple(item for item in items if _lot(item.clip) % self.total == self.number - 1)

    def folder(self, out: str | Path) -> Path:
        """Where its store is written."""
        out = Path(os.path.abspath(out))  # "." has no name of its own
        return out.parent / f"{out.name}.parts" / f"{self.number}-of-{self.total}"


def _lot(clip: str) -> int:
    return int.from_bytes(hashlib.sha256(clip.encode()).digest()[:8])


def take_parts(out: Path, header: Header, listing: Listing) -> int:
    """Copy into the store `out` what finished parts of it hold; the number of parts taken.

    Called again after an interruption it goes on; once all is copied it does nothing. A clip that
    could not be read, and now can be in a part, is taken from there. Clips that are listed no more
    do not count. A part that was never run may be missing.

    Raises:
        EzavError: a part is not finished or gives a clip another class than the listing, or `out`
            was begun without them.
    """
    folder = Shard(1, 1).folder(out).parent
    parts: list[Path] = []
    listed = {item.clip for item in listing.items}
    clips: set[str] = set()
    readable: dict[str, tuple[FeatureStore, dict[str, Any]]] = {}
    for part in sorted(path for path in folder.glob("*-of-*") if path.is_dir()):
        if not (part / INDEX_FILE).is_file():
            shard = part.name.replace("-of-", "/")
            share = {item.clip for item in Shard.parse(shard).of(listing.items)}
            if not share:
                continue  # its clips are gone: run again it would do nothing
            with StoreWriter(part, header) as writer:
                if share <= writer.failed.keys():
                    continue  # none of its clips can be read: run again it would end as before
            raise EzavError(
                f"the part '{part}' is not finished",
                f'run it again with `shard="{shard}"`, or remove that folder',
            )
        parts.append(part)
        store = FeatureStore.open(part)
        clips.update(store.index.column("clip").to_pylist())
        rows = {r["clip"]: (store, r) for r in store.index.to_pylist() if r["status"] == OK}
        check_classes(part, {clip: row["class"] for clip, (_, row) in rows.items()}, listing)
        readable |= rows
    if not readable.keys() & listed:
        return 0  # nothing to copy: what failed in the parts is tried again
    with StoreWriter(out, header) as writer:
        for clip in writer.failed.keys() & readable.keys():
            _take(writer, *readable[clip])
        done = set(writer.done)
    if clips & listed <= done:
        return 0
    if done & listed - clips:
        raise EzavError(
            f"'{out}' holds clips of its own and lacks some of those in '{folder}'",
            "remove one of the two folders",
        )
    merge_stores(parts, out, leave_out=(done | clips) - listed, whole=False)
    return len(parts)


def _take(writer: StoreWriter, store: FeatureStore, row: dict[str, Any]) -> None:
    """Copy one clip."""
    audio, visual = store.shard(row["shard"])
    writer.add(
        clip=row["clip"],
        class_name=row["class"],
        audio=clip_tokens(audio, row["row"]),
        visual=clip_tokens(visual, row["row"]),
        duration=row["duration"],
        path=row["path"],
        reason=row["reason"],
    )
