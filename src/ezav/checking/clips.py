"""What the index of a store tells of single clips and of classes: no feature is read for it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch

from ezav.checking.finding import Finding
from ezav.extraction.gather import BLACK, SILENT
from ezav.features.feature_set import Ragged
from ezav.features.index import OK
from ezav.features.store import FeatureStore

SHORTEST = 1.0
"""Seconds; a shorter clip gives encoders less than they look at."""
FEWEST = 5
"""Clips of a class; with fewer, one of them moves its recall by a quarter and more."""
UNCHANGING = 0.02
"""Largest distance of a token from the clip's mean, in lengths of a token, in which nothing
changes. Clips of one second and more, still cameras among them, have 0.1."""


def rows_of(store: FeatureStore) -> list[dict[str, Any]]:
    """The rows of the index, as much of them as the checks need."""
    columns = ("clip", "class", "split", "audio_tokens", "visual_tokens", "duration", "status")
    rows: list[dict[str, Any]] = store.index.select(
        [*columns, "reason", "checksum", "source"]
    ).to_pylist()
    return rows


def shared_sources(rows: Sequence[Mapping[str, Any]], sources: Mapping[str, str]) -> list[Finding]:
    """Sources that have clips both in the test and in what is trained on.

    Example:
        >>> rows = [
        ...     {"clip": "a", "split": "train", "status": "ok"},
        ...     {"clip": "b", "split": "test_seen", "status": "ok"},
        ... ]
        >>> [one.said for one in shared_sources(rows, {"a": "tape", "b": "tape"})]
        ["source 'tape': 1 trained on, 1 tested"]
    """
    sides: dict[str, dict[bool, list[str]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if row["status"] == OK and (source := sources.get(row["clip"])):
            sides[source][row["split"].startswith("test")].append(row["clip"])
    found = []
    for source, clips in sides.items():
        if len(clips) == 2:
            many = f"{len(clips[False])} trained on, {len(clips[True])} tested"
            found.append(
                Finding(
                    kind="source",
                    clip=clips[True][0],
                    other=clips[False][0],
                    score=float(len(clips[True])),
                    said=f"source '{source}': {many}",
                )
            )
    return sorted(found, key=lambda one: -(one.score or 0))


def odd_clips(rows: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """Clips that could not be read, lack a modality, are silent or black, or too short.

    A modality that no clip has is not told of each. A track that holds nothing but silence is not
    one that is absent.

    Example:
        >>> row = {"clip": "a", "class": "dog", "split": "train", "status": "ok", "reason": ""}
        >>> row |= {"audio_tokens": 0, "visual_tokens": 4, "duration": 0.4}
        >>> other = {"clip": "b", "audio_tokens": 1, "reason": "the sound is silence"}
        >>> [one.said for one in odd_clips([row, row | other])]
        ['no sound', 'the sound is silence', '0.40 s long', '0.40 s long']
    """
    found = []
    readable = [row for row in rows if row["status"] == OK]
    for row in rows:
        if row["status"] != OK:
            reason = row["reason"] or row["status"]
            found.append(_of_clip(row, "unread", f"not read: {reason}"))
    for modality, what in (("audio", "no sound"), ("visual", "no picture")):
        lacking = [row for row in readable if not row[f"{modality}_tokens"]]
        if len(lacking) < len(readable):
            found += [_of_clip(row, "missing", what) for row in lacking]
    for kind, remark in (("silent", SILENT), ("black", BLACK)):
        found += [_of_clip(row, kind, remark) for row in readable if remark in row["reason"]]
    for row in readable:
        if row["duration"] is not None and 0 < row["duration"] < SHORTEST:
            found.append(_of_clip(row, "short", f"{row['duration']:.2f} s long"))
    return found


def few_clips(rows: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """Classes of fewer than five readable clips, the smallest first.

    Example:
        >>> [one.said for one in few_clips([{"class": "dog", "status": "ok"}])]
        ["class 'dog' has 1 clip"]
    """
    counts = dict.fromkeys((row["class"] for row in rows), 0)
    counts |= Counter(row["class"] for row in rows if row["status"] == OK)
    few = sorted((count, name) for name, count in counts.items() if count < FEWEST)
    return [
        Finding(
            kind="few",
            class_name=name,
            score=float(count),
            said=f"class '{name}' has {count} clip{'s' * (count != 1)}",
        )
        for count, name in few
    ]


def still_clips(
    features: Ragged, rows: Sequence[Mapping[str, Any]], what: str, remarked: bool = True
) -> list[Finding]:
    """Clips whose tokens are all the same: a still picture, or a tone or hum.

    Those that the index calls black or silent are left out: :func:`odd_clips` tells them.

    Args:
        features: of the N clips; of two tokens each at least something can be said.
        rows: of the index, one a clip.
        what: does not change: "picture" or "sound".
        remarked: the index says what is black or silent; one of an earlier ezav does not.

    Example:
        >>> still = torch.ones(3, 2), torch.arange(3)
        >>> moving = torch.eye(3)[:, :2], torch.arange(3)
        >>> row = {"class": "dog", "split": "train", "reason": ""}
        >>> rows = [row | {"clip": name} for name in "ab"]
        >>> found = still_clips(Ragged.from_clips([still, moving]), rows, "sound")
        >>> [(one.clip, one.said) for one in found]
        [('a', 'the sound never changes: a tone or a hum')]
    """
    mute, meaning = {
        "picture": (BLACK, "a still picture" if remarked else "a still or a black picture"),
        "sound": (SILENT, "a tone or a hum" if remarked else "silence, a tone or a hum"),
    }[what]
    found = []
    offsets = features.offsets.tolist()
    for row, (start, end) in enumerate(pairwise(offsets)):
        if end - start < 2 or mute in rows[row]["reason"]:
            continue
        tokens = features.values[start:end].float()
        length = float(tokens.norm(dim=1).mean())
        away = float((tokens - tokens.mean(dim=0)).norm(dim=1).max())
        if away <= UNCHANGING * length or not torch.isfinite(tokens).all():
            found.append(_of_clip(rows[row], "still", f"the {what} never changes: {meaning}"))
    return found


def _of_clip(row: Mapping[str, Any], kind: Any, said: str) -> Finding:
    return Finding(
        kind=kind, clip=row["clip"], class_name=row["class"], split=row["split"], said=said
    )
