"""What matters of a store in one line, from its index alone: in milliseconds, before a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ezav.checking.clips import (
    FEWEST,
    few_clips,
    odd_clips,
    rows_of,
    same_features,
    shared_sources,
)
from ezav.checking.finding import Finding
from ezav.features.store import FeatureStore
from ezav.naming import shown


def at_a_glance(store: FeatureStore) -> str:
    """What is wrong with a store's clips; empty where nothing is. No feature is read.

    Example:
        >>> at_a_glance(store)
        ''
    """
    rows = rows_of(store)
    found = Counter(one.said if one.kind == "missing" else one.kind for one in odd_clips(rows))
    few = few_clips(rows)
    told = [
        (len(shared_sources(rows, store.sources)), "sources are both trained on and tested on"),
        (same_features(rows), "clips have the very features of another split or class"),
        (len(few), f"classes have fewer than {FEWEST} clips ({_some(few)})"),
        (found["unread"], "clips could not be read"),
        (found["no sound"], f"of {len(rows)} clips have no sound"),
        (found["no picture"], f"of {len(rows)} clips have no picture"),
        (found["short"], "clips are shorter than a second"),
    ]
    return "; ".join(f"{count} {what}" for count, what in told if count)


def _some(few: Sequence[Finding]) -> str:
    more = f" and {len(few) - 1} more" if len(few) > 1 else ""
    return f"'{shown(few[0].class_name)}'{more}" if few else ""
