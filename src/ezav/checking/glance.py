"""What matters of a store in one line, from its index alone: in milliseconds, before a run."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from ezav.checking.clips import FEWEST, SHORTEST
from ezav.extraction.gather import BLACK, SILENT
from ezav.features.index import OK
from ezav.features.store import FeatureStore
from ezav.naming import shown

_TWIN = "the very features of one in another split or class"


def at_a_glance(store: FeatureStore) -> str:
    """What is wrong with a store's clips; empty where nothing is. No feature is read.

    Example:
        >>> at_a_glance(store)
        ''
    """
    rows = store.index.filter(pc.equal(store.index.column("status"), OK))
    unread = len(store.index) - len(rows)
    few = _few(store.index.column("class"), rows.column("class"))
    told = [
        (_shared_sources(rows), "source is", "sources are", "both trained on and tested on"),
        (_twins(rows), "clip has", "clips have", _TWIN),
        (len(few), "class has", "classes have", f"fewer than {FEWEST} clips ({_some(few)})"),
        (unread, "clip", "clips", "could not be read"),
        (_lacking(rows, "audio"), "clip has", "clips have", "no sound"),
        (_lacking(rows, "visual"), "clip has", "clips have", "no picture"),
        (_told(rows, SILENT), "clip has", "clips have", "nothing but silence"),
        (_told(rows, BLACK), "clip has", "clips have", "a black picture"),
        (_short(rows), "clip is", "clips are", "shorter than a second"),
    ]
    parts = [(n, one if n == 1 else many, what) for n, one, many, what in told if n]
    return "; ".join(f"{count} {who} {what}" for count, who, what in parts)


def _few(every: pa.ChunkedArray, readable: pa.ChunkedArray) -> list[str]:
    counts = dict.fromkeys(every.unique().to_pylist(), 0)
    counts |= {one["values"]: one["counts"] for one in readable.value_counts().to_pylist()}
    return sorted((name for name in counts if counts[name] < FEWEST), key=lambda n: (counts[n], n))


def _some(few: list[str]) -> str:
    more = f" and {len(few) - 1} more" if len(few) > 1 else ""
    return f"'{shown(few[0])}'{more}" if few else ""


def _shared_sources(rows: pa.Table) -> int:
    known = rows.filter(pc.not_equal(rows.column("source"), ""))
    sides = pa.table(
        {
            "source": known.column("source"),
            "tested": pc.starts_with(known.column("split"), "test"),
        }
    )
    by_source = sides.group_by("source").aggregate([("tested", "count_distinct")])
    return _count(pc.greater(by_source.column("tested_count_distinct"), 1))


def _twins(rows: pa.Table) -> int:
    """Clips; only those whose checksum is there twice are looked at."""
    counts = rows.group_by("checksum").aggregate([("split", "count")])
    several = counts.filter(pc.greater(counts.column("split_count"), 1)).column("checksum")
    alike = rows.filter(pc.is_in(rows.column("checksum"), value_set=several.combine_chunks()))
    by_features = alike.group_by("checksum").aggregate(
        [("split", "count_distinct"), ("class", "count_distinct"), ("clip", "count")]
    )
    apart = pc.or_(
        pc.greater(by_features.column("split_count_distinct"), 1),
        pc.greater(by_features.column("class_count_distinct"), 1),
    )
    return int(pc.sum(by_features.column("clip_count").filter(apart)).as_py() or 0)


def _lacking(rows: pa.Table, modality: str) -> int:
    """Clips without it; 0 where none has it, which is the store's way and no fault."""
    lacking = _count(pc.equal(rows.column(f"{modality}_tokens"), 0))
    return lacking if lacking < len(rows) else 0


def _told(rows: pa.Table, remark: str) -> int:
    return _count(pc.match_substring(rows.column("reason"), remark))


def _short(rows: pa.Table) -> int:
    duration = rows.column("duration")
    return _count(pc.and_(pc.greater(duration, 0), pc.less(duration, SHORTEST)))


def _count(which: pa.ChunkedArray) -> int:
    return int(pc.sum(which).as_py() or 0)
