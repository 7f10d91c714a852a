"""Promises: writing stays in the folder; an index reads no other file; what changed is noticed."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ezav.errors import DamagedError, EzavError, RefusedError
from ezav.features import FeatureStore, StoreWriter
from ezav.features.begin import LOCK_FILE
from ezav.features.index import INDEX_FILE, SCHEMA, read_index
from ezav.features.merge import merge_stores
from ezav.features.verify import verify_store
from ezav.safe_io import atomic_path, write_text
from tests import worlds
from tests.features.small_store import HEADER, make_clip
from tests.security.limits import answer


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "store"
    worlds.store(folder)
    return folder


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "store"))


NAMES = (
    "header.json",
    LOCK_FILE,
    INDEX_FILE,
    "shards",
    "classes",
    "shards/00000.journal",
    "shards/00000.safetensors",
    "shards/.00000.safetensors.part",
    "classes/random.safetensors",
    ".header.json.x.part",
)
KINDS = ("link to a file", "link to nothing", "link to a folder", "hard link", "folder", "pipe")


def _outside(folder: Path) -> dict[str, bytes | str]:
    return {path.name: _what_is(path) for path in folder.iterdir()}


def _what_is(path: Path) -> bytes | str:
    """Of a file what it holds; of anything else, which may itself be planted there, its kind."""
    if path.is_symlink():
        return f"link to {path.readlink()}"
    return path.read_bytes() if path.is_file() else f"mode {path.stat().st_mode}"


def _plant(place: Path, kind: str, outside: Path) -> None:
    if not place.parent.is_dir() or os.path.lexists(place):
        return
    if kind == "link to a file":
        place.symlink_to(outside / "file")
    elif kind == "link to nothing":
        place.symlink_to(outside / "new")
    elif kind == "link to a folder":
        place.symlink_to(outside)
    elif kind == "hard link":
        os.link(outside / "file", place)
    elif kind == "folder":
        place.mkdir()
    else:
        os.mkfifo(place)


def _written(folder: Path) -> None:
    """Everything that writing a store does."""
    with StoreWriter(folder, HEADER, shard_clips=2) as writer:
        for number in range(3):
            writer.add(**make_clip(number))
        writer.finish(
            {f"clip{n:04d}": "train" for n in range(3)}, [_text(HEADER.dataset)], whole=False
        )


def _text(encoder: str) -> object:
    from ezav.classes.embeddings import ClassEmbeddings

    return ClassEmbeddings(("ant", "bee", "cat", "dog", "eel"), torch.eye(5), "random")


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(planted=st.dictionaries(st.sampled_from(NAMES), st.sampled_from(KINDS), max_size=4))
def test_writing_a_store_changes_nothing_outside(
    planted: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("planted")
    outside, folder = root / "outside", root / "store"
    outside.mkdir()
    folder.mkdir()
    (outside / "file").write_bytes(b"mine")
    (outside / "00000.journal").write_bytes(b"mine too")
    (folder / "header.json").write_text(HEADER.model_dump_json())
    for name, kind in sorted(planted.items()):
        _plant(folder / name, kind, outside)
    before = _outside(outside)
    with contextlib.suppress(EzavError, OSError):
        _written(folder)
    assert _outside(outside) == before


@pytest.mark.parametrize("name", ["shards", "classes", "shards/00000.journal", LOCK_FILE])
def test_a_link_where_a_store_is_written_is_named(name: str, tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "store"
    for made in (outside, folder, folder / "shards"):
        made.mkdir()
    (outside / "00000.journal").write_bytes(b"mine")
    (folder / "header.json").write_text(HEADER.model_dump_json())
    if name == "shards":
        (folder / "shards").rmdir()
    target = outside if "." not in name else outside / "00000.journal"
    (folder / name).symlink_to(target)
    with pytest.raises(RefusedError, match=r"refused to write .*: it is a link"):
        _written(folder)
    assert _outside(outside) == {"00000.journal": b"mine"}


def test_a_file_written_in_one_step_takes_the_place_of_a_link(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "a").symlink_to(tmp_path / "mine")
    write_text(tmp_path / "a", "new")
    with atomic_path(tmp_path / "a") as path:
        path.write_text("newer")
    assert (tmp_path / "mine").read_text() == "mine"
    assert not (tmp_path / "a").is_symlink()


def _rewrite(folder: Path, change: Callable[[dict[str, object]], None]) -> None:
    """The index with other contents, and without digests, as anyone can write it."""
    path = folder / INDEX_FILE
    table = pq.read_table(path)
    contents = json.loads(table.schema.metadata[b"ezav"])
    change(contents)
    metadata = {b"ezav": json.dumps(contents).encode()}
    pq.write_table(table.replace_schema_metadata(metadata), path)


@pytest.mark.parametrize("name", ["../secret.safetensors", "/etc/passwd", "..", "a/b.safetensors"])
@pytest.mark.parametrize("which", ["shards", "class_files"])
def test_an_index_names_files_of_its_own_store_alone(name: str, which: str, store: Path) -> None:
    def change(contents: dict[str, object]) -> None:
        if which == "shards":
            contents["shards"] = [name]
        else:
            contents["class_files"][0]["file"] = name  # type: ignore[index]

    _rewrite(store, change)
    with pytest.raises(DamagedError, match=f"{which}.*String should match pattern"):
        FeatureStore.open(store)


def test_an_index_names_no_pickle(store: Path) -> None:
    _rewrite(store, lambda c: c["class_files"][0].update(file="a.npy"))  # type: ignore[index]
    with pytest.raises(DamagedError, match="String should match pattern"):
        FeatureStore.open(store)


def _read_all(folder: Path) -> tuple[object, ...]:
    found = FeatureStore.open(folder)
    features, text = found.select(), found.class_embeddings()
    values = features.audio.values.tolist(), features.visual.values.tolist()
    return found.contents, found.index.to_pylist(), values, text.vectors.tolist(), text.settings


@pytest.mark.parametrize("place", ["shards", "classes", INDEX_FILE])
def test_a_flipped_byte_is_noticed_or_changes_nothing(place: str, store: Path) -> None:
    wanted = _read_all(store)
    file = store / place
    if file.is_dir():
        (file,) = file.glob("*.safetensors")
    data = bytearray(file.read_bytes())
    noticed = 0
    for at in range(3, len(data), max(1, len(data) // 100)):
        data[at] ^= 1
        file.write_bytes(bytes(data))
        try:
            assert _read_all(store) == wanted, at
        except EzavError:
            noticed += 1
        data[at] ^= 1
    assert noticed > 50


def test_other_features_are_noticed_before_they_are_used(store: Path) -> None:
    (file,) = (store / "shards").glob("*.safetensors")
    data = bytearray(file.read_bytes())
    data[-100] ^= 1
    file.write_bytes(bytes(data))
    with pytest.raises(DamagedError, match="has other features than were written"):
        FeatureStore.open(store).select("train")


def test_other_features_are_not_merged_as_if_they_were_right(store: Path, tmp_path: Path) -> None:
    (file,) = (store / "shards").glob("*.safetensors")
    data = bytearray(file.read_bytes())
    data[-100] ^= 1
    file.write_bytes(bytes(data))
    with pytest.raises(DamagedError, match="has other features than were written"):
        merge_stores([store], tmp_path / "merged")


def test_a_store_of_before_opens(store: Path) -> None:
    wanted = FeatureStore.open(store).select()
    _rewrite(store, lambda contents: None)
    found = FeatureStore.open(store)
    assert torch.equal(found.select().audio.values, wanted.audio.values)
    assert found.class_embeddings().names == found.classes
    assert verify_store(store).sound


def _bomb(path: Path, rows: int, text: str, tokens: int = 1) -> None:
    metadata = pq.read_schema(path).metadata
    columns = {
        field.name: pa.DictionaryArray.from_arrays(
            pa.array([0] * rows, pa.int32()), pa.array([text])
        )
        if field.type == pa.string()
        else pa.array([tokens] * rows, field.type)
        for field in SCHEMA
    }
    table = pa.table(columns).replace_schema_metadata(metadata)
    pq.write_table(table, path, compression="zstd", store_schema=False)


def test_an_index_takes_what_its_size_allows(store: Path) -> None:
    _bomb(store / INDEX_FILE, 300_000, "x" * 100_000)
    assert (store / INDEX_FILE).stat().st_size < 1 << 20
    told = answer(
        "from pathlib import Path\nfrom ezav.features.index import read_index\n"
        f"read_index(Path({str(store)!r}))"
    )
    assert told.startswith("RefusedError: refused the index")


def _varint(value: int) -> bytes:
    """A whole number of Thrift's compact protocol, which is never negative here."""
    value, found = 2 * value, bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])


def test_a_page_cannot_take_more_than_the_footer_says(store: Path) -> None:
    """One page of half a gigabyte in a file whose footer says 64 bytes."""
    path = store / INDEX_FILE
    table = read_index(store).slice(0, 1)
    long = pa.array(["x" * (1 << 29)])
    table = table.set_column(table.column_names.index("path"), "path", long)
    metadata = pq.read_schema(path).metadata
    pq.write_table(
        table.replace_schema_metadata(metadata),
        path,
        compression="zstd",
        use_dictionary=False,
        write_statistics=False,
    )
    group = pq.read_metadata(path).row_group(0)
    sizes = {group.total_byte_size, group.column(3).total_uncompressed_size}
    data = bytearray(path.read_bytes())
    for size in sizes:
        told = _varint(size)
        small = _varint(64)  # of the same length, which Thrift takes as well
        assert data.count(told) >= 1
        padded = bytes([*(byte | 128 for byte in small), *[128] * 9])[: len(told) - 1] + b"\0"
        data = data.replace(told, padded)
    path.write_bytes(bytes(data))
    assert pq.read_metadata(path).row_group(0).total_byte_size == 64
    assert path.stat().st_size < 1 << 20
    told_size = answer(
        "from pathlib import Path\nfrom ezav.features.index import read_index\n"
        f"read_index(Path({str(store)!r}))"
    )
    assert told_size.startswith("RefusedError: refused the index")


def test_pages_that_are_none_are_an_error_of_the_user(store: Path) -> None:
    path = store / INDEX_FILE
    whole = path.read_bytes()
    begin = pq.read_metadata(path).row_group(0).column(0).dictionary_page_offset
    for damage in (b"\x00", b"\xff" * 40, b"\x15\x04\x15\xfe\xff\xff\xff\x0f", b"\x1c" * 60):
        path.write_bytes(whole[:begin] + damage + whole[begin + len(damage) :])
        with pytest.raises(EzavError):
            read_index(store)


def test_an_index_cannot_claim_more_tokens_than_its_shards_hold(store: Path) -> None:
    path = store / INDEX_FILE
    table = read_index(store)
    many = pa.array([1 << 30] * len(table), pa.int32())
    table = table.set_column(table.column_names.index("audio_tokens"), "audio_tokens", many)
    metadata = {b"ezav": pq.read_schema(path).metadata[b"ezav"]}
    pq.write_table(table.replace_schema_metadata(metadata), path)
    told = answer(
        f"from ezav.features import FeatureStore\nFeatureStore.open({str(store)!r}).select()"
    )
    assert "claims more than its shards hold" in told


def test_an_index_whose_columns_have_no_text_for_names_is_refused(store: Path) -> None:
    table = pq.read_table(store / INDEX_FILE).replace_schema_metadata(None)
    pq.write_table(table, store / INDEX_FILE, store_schema=False)
    damaged = (store / INDEX_FILE).read_bytes().replace(b"clip", b"cl\xc3(")
    (store / INDEX_FILE).write_bytes(damaged)
    with pytest.raises(DamagedError, match="cannot be read"):
        FeatureStore.open(store)
