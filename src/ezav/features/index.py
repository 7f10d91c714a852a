"""The index of a store: one Parquet row a clip, and in its metadata what the store holds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from ezav.errors import DamagedError, RefusedError
from ezav.features.header import Contents, parse_contents
from ezav.features.pages import texts_size, unpacked_size
from ezav.features.shards import ClipRecord, sync
from ezav.manifest import digest
from ezav.safe_io import atomic_path
from ezav.small_files import parse_json

if TYPE_CHECKING:
    from ezav.classes.embeddings import ClassEmbeddings

INDEX_FILE = "index.parquet"
OK = "ok"

SCHEMA = pa.schema(
    [
        ("clip", pa.string()),
        ("class", pa.string()),
        ("split", pa.string()),
        ("path", pa.string()),
        ("shard", pa.int32()),
        ("row", pa.int32()),
        ("audio_tokens", pa.int32()),
        ("visual_tokens", pa.int32()),
        ("duration", pa.float64()),
        ("status", pa.string()),
        ("reason", pa.string()),
        ("checksum", pa.string()),
        ("source", pa.string()),
    ]
)
_LATER = {"source": ""}
"""Columns that came later, and what they hold in an index of before."""
_KEY = b"ezav"
_DIGESTS = b"ezav.sha256"
"""SHA-256 of the contents, of the header beside the index, and of each file of class embeddings;
of clips the rows have theirs."""
_OWN = "contents"
_HEADER = "header.json"
_FREE = 1 << 26
_RATIO = 64
"""An index may take 64 MiB, and 64 bytes for each of its own."""
_TEXTS = [field.name for field in SCHEMA if field.type == pa.string()]
_AGAIN = "make the store again"


def make_index(
    records: Mapping[str, tuple[ClipRecord, int, int]],
    splits: Mapping[str, str],
    sources: Mapping[str, str] | None = None,
) -> pa.Table:
    """The index of clip -> (record, shard, row), sorted by clip whatever the shards' layout.

    Example:
        >>> record = ClipRecord("a", "dog", "", None, OK, "", 1, 1, "00")
        >>> make_index({"a": (record, 0, 3)}, {"a": "train"}).to_pylist()[0]["row"]
        3
    """
    rows = [(*records[clip], splits.get(clip, "")) for clip in sorted(records)]
    columns = {
        "clip": [record.clip for record, *_ in rows],
        "class": [record.class_name for record, *_ in rows],
        "split": [split for *_, split in rows],
        "path": [record.path for record, *_ in rows],
        "shard": [shard for _, shard, _, _ in rows],
        "row": [row for _, _, row, _ in rows],
        "audio_tokens": [record.audio_tokens for record, *_ in rows],
        "visual_tokens": [record.visual_tokens for record, *_ in rows],
        "duration": [record.duration for record, *_ in rows],
        "status": [record.status for record, *_ in rows],
        "reason": [record.reason for record, *_ in rows],
        "checksum": [record.checksum for record, *_ in rows],
        "source": [(sources or {}).get(record.clip, "") for record, *_ in rows],
    }
    return pa.table(columns, schema=SCHEMA)


def fingerprint(index: pa.Table, class_checksums: Iterable[str]) -> str:
    """A hash of what the store means: clips, classes, splits, sources, features, embeddings.

    Neither the layout in shards, nor paths, nor the order of writing enters.

    Example:
        >>> record = ClipRecord("a", "dog", "", None, OK, "", 1, 1, "00")
        >>> here, there = (make_index({"a": (record, 0, n)}, {"a": "train"}) for n in (3, 5))
        >>> fingerprint(here, []) == fingerprint(there, [])
        True
        >>> fingerprint(here, []) == fingerprint(here, ["other text"])
        False
    """
    digest = hashlib.blake2b(digest_size=16)
    names = ["clip", "class", "split", "status", "checksum"]
    if any(index.column("source").to_pylist()):  # else it is as it was before there were any
        names.append("source")
    columns = [index.column(name).to_pylist() for name in names]
    for row in zip(*columns):
        digest.update("\0".join(row).encode() + b"\n")
    for text in class_checksums:
        digest.update(text.encode())
    return digest.hexdigest()


def class_checksum(embeddings: ClassEmbeddings) -> str:
    """A hash over the encoder, the names and the vectors.

    Example:
        >>> import torch
        >>> from ezav.classes import ClassEmbeddings
        >>> one, other = (ClassEmbeddings((name,), torch.ones(1, 2)) for name in ("dog", "cat"))
        >>> class_checksum(one) == class_checksum(other)
        False
    """
    digest = hashlib.blake2b(digest_size=16)
    digest.update("\0".join((embeddings.encoder, *embeddings.names)).encode())
    digest.update(embeddings.vectors.cpu().contiguous().numpy().data)
    return digest.hexdigest()


def write_index(folder: Path, index: pa.Table, contents: Contents) -> None:
    """Write index and contents in one step: this makes a store finished."""
    text = contents.model_dump_json().encode()
    names = [file.file for file in contents.class_files]
    files = {name: digest(folder / "classes" / name) for name in names}
    files[_OWN] = hashlib.sha256(text).hexdigest()
    if (folder / _HEADER).is_file():
        files[_HEADER] = digest(folder / _HEADER)
    metadata = {_KEY: text, _DIGESTS: json.dumps(files).encode()}
    with atomic_path(folder / INDEX_FILE) as temporary:
        pq.write_table(
            index.replace_schema_metadata(metadata),
            temporary,
            compression="zstd",
            write_page_checksum=True,
        )
        sync(temporary)
    sync(folder)


def read_contents(folder: Path) -> Contents:
    """What the store holds, without reading its rows.

    Example:
        >>> contents = read_contents(store.path)
        >>> len(contents.classes), contents.unreadable
        (12, 0)
    """
    path = folder / INDEX_FILE
    metadata = _metadata(path)
    if _KEY not in metadata:
        raise DamagedError(
            f"'{path}' is a Parquet file, but not the index of a feature store",
            "make one with 'ezav extract' or 'ezav import'",
        )
    told = _digests(metadata, path).get(_OWN)
    if told is not None and told != hashlib.sha256(metadata[_KEY]).hexdigest():
        raise DamagedError(f"the index '{path}' was changed after it was written", _AGAIN)
    return parse_contents(metadata[_KEY], path)


def read_digests(folder: Path) -> dict[str, str]:
    """File of class embeddings -> SHA-256; empty for a store of before.

    Example:
        >>> [len(digest) for digest in read_digests(store.path).values()]
        [64]
    """
    path = folder / INDEX_FILE
    digests = _digests(_metadata(path), path)
    return {name: one for name, one in digests.items() if name not in (_OWN, _HEADER)}


def check_header(folder: Path) -> None:
    """Refuse a finished store whose header beside the index is not the one that was written.

    Raises:
        DamagedError: it is another.

    Example:
        >>> check_header(store.path)
    """
    path = folder / INDEX_FILE
    told = _digests(_metadata(path), path).get(_HEADER)
    if told is not None and told != digest(folder / _HEADER):
        raise DamagedError(f"'{folder / _HEADER}' was changed after it was written", _AGAIN)


def _digests(metadata: Mapping[bytes, bytes], path: Path) -> dict[str, str]:
    try:
        found = parse_json(metadata.get(_DIGESTS, b"{}"))
    except ValueError as error:
        raise DamagedError(f"the index '{path}' is damaged: {error}", _AGAIN) from error
    return found if isinstance(found, dict) else {}


def _metadata(path: Path) -> dict[bytes, bytes]:
    try:
        return pq.read_schema(path, memory_map=True).metadata or {}
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise DamagedError(f"the index '{path}' cannot be read: {error}", _AGAIN) from error


def read_index(folder: Path) -> pa.Table:
    """All rows of the index.

    Example:
        >>> read_index(store.path).select(["clip", "class", "split"]).to_pylist()[0]
        {'clip': 'clip0000', 'class': 'class 00', 'split': 'val_seen'}
    """
    path = folder / INDEX_FILE
    try:
        there = set(pq.read_schema(path, memory_map=True).names)
        names = [name for name in SCHEMA.names if name in there or name not in _LATER]
        with pq.ParquetFile(
            path,
            memory_map=True,
            page_checksum_verification=True,
            read_dictionary=[name for name in names if name in _TEXTS],
        ) as file:
            return _rows(file, path, names)
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        raise DamagedError(f"the index '{path}' cannot be read: {error}", _AGAIN) from error


def _rows(file: pq.ParquetFile, path: Path, names: list[str]) -> pa.Table:
    """All rows of these columns; how long their texts are is known before they are written out.

    A column of one long text, a million times, is small on disk: it is read as numbers that
    stand for texts.
    """
    size, found = path.stat().st_size, file.metadata
    allowed = _FREE + _RATIO * size
    claimed = sum(found.row_group(row).total_byte_size for row in range(found.num_row_groups))
    if found.num_rows > size or max(claimed, unpacked_size(file, path)) > allowed:
        raise RefusedError(f"refused the index '{path}': it claims far more than its size")
    table = file.read(columns=names)
    if sum(texts_size(table.column(name)) for name in set(names) & set(_TEXTS)) > allowed:
        raise RefusedError(f"refused the index '{path}': it takes far more than its size")
    for name in set(SCHEMA.names) - set(names):
        table = table.append_column(name, pa.array([_LATER[name]] * table.num_rows, pa.string()))
    return table.replace_schema_metadata(None).select(SCHEMA.names).cast(SCHEMA)
