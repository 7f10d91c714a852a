"""Is a store whole and unchanged? Every byte of it is read and compared with its index."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ezav.errors import EzavError
from ezav.features.index import OK, check_header, class_checksum, fingerprint
from ezav.features.shards import checksums, clip_tokens, read_records, read_shard
from ezav.features.splits import SPLITS, check_splits
from ezav.features.store import FeatureStore
from ezav.manifest import differences, read_manifest


@dataclass(frozen=True, slots=True)
class Verification:
    """What :func:`verify_store` looked at, and what is wrong with it (nothing: it is sound).

    Example:
        >>> Verification(clips=1, shards=1, problems=("clip 'a' occurs twice",)).sound
        False
    """

    clips: int
    shards: int
    problems: tuple[str, ...]

    @property
    def sound(self) -> bool:
        """No problem was found."""
        return not self.problems


def verify_store(
    path: str | Path, on_progress: Callable[[int, int], None] | None = None
) -> Verification:
    """Compare features, counts, splits and class embeddings with what the index says.

    Args:
        path: a finished store.
        on_progress: called with (shards done, shards in all).

    Raises:
        EzavError: no store, not finished, or an index that cannot be read; all else that is
            wrong is listed in the result.

    Example:
        >>> verify_store(store.path).problems
        ()
    """
    store = FeatureStore.open(path)
    rows = store.index.to_pylist()
    problems = list(_index_problems(store, rows))
    problems += _changed_files(store)
    by_shard: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        by_shard[row["shard"]].append(row)
    shards = len(store.contents.shards)
    for number in range(shards):
        problems += _shard_problems(store, number, by_shard.pop(number, []))
        if on_progress is not None:
            on_progress(number + 1, shards)
    for number, lost in by_shard.items():
        problems.append(f"{len(lost)} clips are said to be in shard {number}, which is not listed")
    problems += _class_problems(store)
    return Verification(len(rows), shards, tuple(problems))


def _changed_files(store: FeatureStore) -> Iterator[str]:
    """The header against the index, and a store that was signed against its manifest."""
    try:
        check_header(store.path)
        yield from differences(store.path, read_manifest(store.path) or {})
    except EzavError as error:
        yield error.message


def _index_problems(store: FeatureStore, rows: list[dict[str, Any]]) -> Iterator[str]:
    contents = store.contents
    checksums = [file.checksum for file in contents.class_files]
    if fingerprint(store.index, checksums) != contents.fingerprint:
        yield "the index does not have the fingerprint that it says"
    readable = [row for row in rows if row["status"] == OK]
    counts = Counter(row["split"] for row in readable)
    if {split: counts[split] for split in SPLITS} != contents.splits:
        yield f"the splits have {dict(counts)} clips, not {contents.splits}"
    if tuple(sorted({row["class"] for row in readable})) != contents.classes:
        yield "the classes of the clips are not those that the index lists"
    if len({row["clip"] for row in rows}) < len(rows):
        yield "a clip occurs twice in the index"
    if contents.whole:
        try:
            check_splits(
                {row["clip"]: row["split"] for row in readable},
                {row["clip"]: row["class"] for row in readable},
            )
        except EzavError as error:
            yield error.message


def _shard_problems(store: FeatureStore, number: int, rows: list[dict[str, Any]]) -> Iterator[str]:
    path = store.shard_path(number)
    try:
        records, (audio, visual) = read_records(path), read_shard(path)
    except EzavError as error:
        yield error.message
        return
    if not len(records) == len(audio) == len(visual):
        yield f"'{path.name}' holds {len(records)} records for {len(audio)} clips"
        return
    hashes = checksums(audio, visual)
    for row in rows:
        if row["row"] >= len(records) or records[row["row"]].clip != row["clip"]:
            yield f"clip '{row['clip']}' is not where the index says, in '{path.name}'"
            continue
        sound, picture = clip_tokens(audio, row["row"]), clip_tokens(visual, row["row"])
        if hashes[row["row"]] != row["checksum"]:
            yield f"clip '{row['clip']}' has other features than were written, in '{path.name}'"
        for modality, tokens in (("audio", sound), ("visual", picture)):
            if (0 if tokens is None else len(tokens[0])) != row[f"{modality}_tokens"]:
                yield f"clip '{row['clip']}' has another number of {modality} tokens"
            if tokens is not None and not all(bool(torch.isfinite(t).all()) for t in tokens):
                yield f"clip '{row['clip']}' has {modality} features that are not finite"


def _class_problems(store: FeatureStore) -> Iterator[str]:
    for file in store.contents.class_files:
        try:
            found = store.load_classes(file)
            found.select(store.classes)
        except EzavError as error:
            yield error.message
            continue
        if class_checksum(found) != file.checksum:
            yield f"the class embeddings of {file.encoder} are not those that were written"
