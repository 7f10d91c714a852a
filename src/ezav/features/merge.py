"""Several stores of one data set become one: the parts that a job array extracted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import torch

from ezav.classes.embeddings import ClassEmbeddings
from ezav.errors import EzavError
from ezav.features.begin import check_same
from ezav.features.header import EncoderInfo, Header, SplitOrigin
from ezav.features.index import OK
from ezav.features.store import FeatureStore
from ezav.features.writer import StoreWriter

_SAME_VECTOR = 1e-5
"""Two machines' text encoders may differ in the last bits."""


def merge_stores(
    stores: Sequence[str | Path],
    out: str | Path,
    *,
    leave_out: Collection[str] = (),
    whole: bool = True,
    on_progress: Callable[[int, int], None] | None = None,
) -> FeatureStore:
    """Write one store with the clips of several, shard by shard.

    A clip that several stores have is taken once, from one that could read it. Called again
    after an interruption it goes on where it stopped; called again after an unreadable clip was
    tried again in one of the stores it takes that clip.

    Args:
        stores: finished stores of the same data set and encoders.
        out: the store to write.
        leave_out: clips that are not taken from the stores, and no longer shown where `out` has
            them.
        whole: False if this is still a part of the data set (see `StoreWriter.finish`).
        on_progress: called with (clips written, clips in all).

    Raises:
        EzavError: the stores differ in data set or encoders, give one clip different features,
            classes or splits, or one class different embeddings; `out` was merged from others;
            the splits together make no benchmark.

    Example:
        >>> import tempfile, torch
        >>> from ezav.classes import ClassEmbeddings
        >>> from ezav.features import EncoderInfo, Header, StoreWriter
        >>> encoders = tuple(
        ...     EncoderInfo(modality=m, name="ones", dimension=2) for m in ("audio", "visual")
        ... )
        >>> one = (torch.ones(1, 2), torch.zeros(1))
        >>> text = ClassEmbeddings(("dog",), torch.ones(1, 4))
        >>> def store(path, clip):
        ...     writer = StoreWriter(path, Header(dataset="tiny", encoders=encoders))
        ...     writer.add(clip=clip, class_name="dog", audio=one, visual=one)
        ...     writer.finish({clip: "train"}, [text], whole=False)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     parts = [f"{folder}/{clip}" for clip in "ab"]
        ...     for clip, part in zip("ab", parts):
        ...         store(part, clip)
        ...     merge_stores(parts, f"{folder}/both", whole=False).splits["train"]
        2
    """
    sources = _open(stores, Path(out))
    origin = _split_origin(sources)
    embeddings = _merged_classes(sources)
    hidden = set(leave_out)
    chosen = {clip: place for clip, place in _choose(sources).items() if clip not in hidden}
    splits = {clip: row["split"] for clip, (_, row) in chosen.items() if row["split"]}
    cut_from = {clip: row["source"] for clip, (_, row) in chosen.items() if row["source"]}
    with StoreWriter(out, _header(sources)) as writer:
        _check_continues(writer, chosen, hidden)
        _copy(sources, chosen, writer, on_progress)
        writer.finish(
            splits,
            embeddings,
            split_origin=origin,
            leave_out=hidden,
            sources=cut_from,
            whole=whole,
        )
    return FeatureStore.open(out)


Row = dict[str, Any]


def _header(sources: Sequence[FeatureStore]) -> Header:
    """The first store's, with the text encoders of all."""
    encoders: dict[EncoderInfo, EncoderInfo] = {}
    for one in (e for source in sources for e in source.header.encoders):
        plain = one.model_copy(update={"identity": ""})
        if one.identity or plain not in encoders:  # a store of before tells less than another
            encoders[plain] = one
    return sources[0].header.model_copy(update={"encoders": tuple(encoders.values())})


def _open(stores: Sequence[str | Path], out: Path) -> list[FeatureStore]:
    """The stores, of one description, none of which is the one to write."""
    if not stores:
        raise EzavError("no store to merge", "name at least one")
    if out.resolve() in {Path(path).resolve() for path in stores}:
        raise EzavError(f"'{out}' would be merged into itself", "write another store")
    sources = [FeatureStore.open(path) for path in stores]
    for other in sources[1:]:
        check_same(other.header, sources[0].header, other.path)
    return sources


def _choose(sources: Sequence[FeatureStore]) -> dict[str, tuple[int, Row]]:
    """Clip -> (which store, its row of the index)."""
    chosen: dict[str, tuple[int, Row]] = {}
    for number, source in enumerate(sources):
        for row in source.index.to_pylist():
            known = chosen.get(row["clip"])
            if known is None or (known[1]["status"] != OK and row["status"] == OK):
                chosen[row["clip"]] = number, row
            elif row["status"] == OK:
                _check_twin(known[1], row, sources[known[0]].path, source.path)
    return chosen


def _check_twin(one: Row, other: Row, here: Path, there: Path) -> None:
    for column, word in (("checksum", "features"), ("class", "classes"), ("split", "splits")):
        if one[column] != other[column]:
            raise EzavError(
                f"clip '{one['clip']}' has different {word} in '{here}' and '{there}'",
                "remove one of the two, or make both with the same settings",
            )


def _check_continues(
    writer: StoreWriter, chosen: dict[str, tuple[int, Row]], hidden: set[str]
) -> None:
    """Refuse a store that was merged from others, before anything is added to it."""
    if foreign := writer.done - chosen.keys() - hidden:
        raise EzavError(
            f"'{writer.path}' holds clip '{min(foreign)}', which none of the stores has",
            "merge into a new folder",
        )
    for clip, (_, row) in chosen.items():
        if row["status"] == OK:
            writer.check_unchanged(clip, row["class"], row["checksum"])


def _copy(
    sources: Sequence[FeatureStore],
    chosen: dict[str, tuple[int, Row]],
    writer: StoreWriter,
    on_progress: Callable[[int, int], None] | None,
) -> None:
    parts: dict[tuple[int, int], list[Row]] = defaultdict(list)
    unread = writer.failed.keys()
    for clip, (number, row) in chosen.items():
        if clip not in writer.done or (clip in unread and row["status"] == OK):
            parts[number, row["shard"]].append(row)
    for (number, shard), rows in sorted(parts.items(), key=lambda part: part[0]):
        rows.sort(key=lambda row: row["row"])
        index = torch.tensor([row["row"] for row in rows])
        audio, visual = sources[number].shard(shard)
        writer.add_many(
            [row["clip"] for row in rows],
            [row["class"] for row in rows],
            audio.subset(index),
            visual.subset(index),
            [row["duration"] for row in rows],
            [row["path"] for row in rows],
            [row["status"] for row in rows],
            [row["reason"] for row in rows],
        )
        if on_progress is not None:
            on_progress(len(writer.done & chosen.keys()), len(chosen))


def _split_origin(sources: Sequence[FeatureStore]) -> SplitOrigin | None:
    origins = [source.header.splits for source in sources if source.header.splits is not None]
    if not origins:
        return None
    ways = {(origin.how, origin.seed) for origin in origins}
    if len(ways) > 1:
        text = " and ".join(
            sorted(how if seed is None else f"{how} with seed {seed}" for how, seed in ways)
        )
        raise EzavError(
            f"the splits of the stores were made in different ways: {text}",
            "draw the splits of all parts over the whole data set, with one seed",
        )
    details = dict.fromkeys(origin.detail for origin in origins if origin.detail)
    return origins[0].model_copy(update={"detail": "; ".join(details)})


def _merged_classes(sources: Sequence[FeatureStore]) -> list[ClassEmbeddings]:
    merged: dict[str, ClassEmbeddings] = {}
    for source in sources:
        for file in source.contents.class_files:
            found = source.load_classes(file)
            known = merged.get(file.encoder)
            merged[file.encoder] = found if known is None else _join(known, found, source.path)
    return list(merged.values())


def _join(known: ClassEmbeddings, more: ClassEmbeddings, path: Path) -> ClassEmbeddings:
    if known.dim != more.dim:
        raise EzavError(
            f"the class embeddings of {more.encoder} in '{path}' have dimension {more.dim}, "
            f"elsewhere {known.dim}",
            "make all parts with one text encoder",
        )
    both = [name for name in more.names if name in set(known.names)]
    if both:
        apart = (known.select(both).vectors - more.select(both).vectors).abs().amax(dim=1)
        if float(apart.max()) > _SAME_VECTOR:
            name = both[int(apart.argmax())]
            raise EzavError(
                f"class '{name}' has another embedding of {more.encoder} in '{path}'",
                "make all parts with one text encoder and one set of prompts",
            )
    names = [name for name in more.names if name not in set(known.names)]
    if not names:
        return known
    vectors = torch.cat([known.vectors, more.select(names).vectors])
    unread = {**known.settings.get("unread", {}), **more.settings.get("unread", {})}
    settings = {**known.settings, **({"unread": unread} if unread else {})}
    return ClassEmbeddings((*known.names, *names), vectors, known.encoder, settings)
