"""Parts of one extraction, done by the jobs of an array, and put together again."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ezav.errors import EzavError
from ezav.extraction.listing import Item
from ezav.features.header import Header
from ezav.features.merge import merge_stores
from ezav.features.store import FeatureStore
from ezav.features.writer import StoreWriter


@dataclass(frozen=True, slots=True)
class Shard:
    """The `number`-th of `total` parts, counted from 1.

    Example:
        >>> Shard.parse("2/3").of(("a", "b", "c", "d", "e"))
        ('b', 'e')
        >>> Shard.parse("2/3").folder("store")
        PosixPath('store.parts/2-of-3')
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
        """Its share of the clips: every n-th, so that all parts have clips of all classes."""
        return items[self.number - 1 :: self.total]

    def folder(self, out: str | Path) -> Path:
        """Where its store is written."""
        out = Path(out)
        return out.with_name(f"{out.name}.parts") / f"{self.number}-of-{self.total}"


def take_parts(out: Path, header: Header) -> int:
    """Copy into the store `out` what finished parts of it hold; the number of parts taken.

    Called again after an interruption it goes on; once all is copied it does nothing.

    Raises:
        EzavError: a part is not finished, or `out` was begun without them.
    """
    folder = Shard(1, 1).folder(out).parent
    parts = sorted(path for path in folder.glob("*-of-*") if path.is_dir())
    if not parts:
        return 0
    clips: set[str] = set()
    for part in parts:
        if not (part / "index.parquet").is_file():
            shard = part.name.replace("-of-", "/")
            raise EzavError(
                f"the part '{part}' is not finished",
                f"run it again with --shard {shard}, or remove that folder",
            )
        clips.update(FeatureStore.open(part).index.column("clip").to_pylist())
    with StoreWriter(out, header) as writer:
        done = set(writer.done)
    if clips <= done:
        return 0
    if done - clips:
        raise EzavError(
            f"'{out}' holds clips of its own and lacks some of those in '{folder}'",
            "remove one of the two folders",
        )
    merge_stores(parts, out, whole=False)
    return len(parts)
