"""What clips were cut from: no source is on two sides, counted by hand."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from ezav.classes.embeddings import ClassEmbeddings
from ezav.errors import EzavError
from ezav.features import EncoderInfo, FeatureStore, Header, StoreWriter, merge_stores
from ezav.features.header import SplitOrigin
from ezav.features.index import read_index
from ezav.features.redraw import redrawn
from ezav.features.sources import check_sources, read_sources
from ezav.features.splits import draw_splits

CLASSES, TAPES, CLIPS = 10, 6, 5
"""Classes, tapes of each, clips of each tape."""


def collection(tape: str = "{name} tape {tape}") -> tuple[dict[str, str], dict[str, str]]:
    """Clip -> class, clip -> source."""
    names, sources = {}, {}
    for number in range(CLASSES):
        for row in range(TAPES * CLIPS):
            name, clip = f"class {number}", f"{number}/{row}.mp4"
            names[clip] = name
            sources[clip] = tape.format(name=name, tape=row // CLIPS)
    return names, sources


def sides(splits: dict[str, str], sources: dict[str, str]) -> dict[str, set[str]]:
    """Source -> the splits that its clips are in."""
    found: dict[str, set[str]] = {}
    for clip, split in splits.items():
        found.setdefault(sources[clip], set()).add(split)
    return found


@pytest.mark.parametrize("seed", range(5))
def test_a_source_is_in_one_split_and_shares_are_met(seed: int) -> None:
    names, sources = collection()
    splits = draw_splits(list(names), list(names.values()), seed=seed, sources=sources)
    assert all(len(one) == 1 for one in sides(splits, sources).values())
    per_class = Counter((names[clip], split) for clip, split in splits.items())
    tested = {name for name, split in per_class if split == "test_seen"}
    assert len(tested) == 8  # all but a quarter of ten
    assert {per_class[name, "test_seen"] for name in tested} == {CLIPS}  # a fifth of six tapes
    plain = draw_splits(list(names), list(names.values()), seed=seed)
    unseen = {names[clip] for clip, split in splits.items() if split == "test_unseen"}
    assert unseen == {names[clip] for clip, split in plain.items() if split == "test_unseen"}


@pytest.mark.parametrize("seed", range(5))
def test_a_source_of_several_classes_is_on_one_side_in_all_of_them(seed: int) -> None:
    """Every tape has two neighbouring classes; those of unseen classes are tested everywhere."""
    names, sources = collection()
    for clip in sources:
        number, row = int(clip[0]), int(clip.split("/")[1][:-4])
        sources[clip] = f"tape {number // 2}-{row // CLIPS if row < 20 else (number, row)}"
    unseen = ["class 0"]
    splits = draw_splits(list(names), list(names.values()), unseen, seed, sources)
    for found in sides(splits, sources).values():
        assert len({split.startswith("test") for split in found}) == 1
        assert len({split.startswith("val") for split in found}) == 1
    check_sources(splits, sources)


def test_without_sources_nothing_is_read_into_names() -> None:
    clips = [f"v_Walk_g{tape:02d}_c{n}" for tape in range(5) for n in range(4)]
    names = [f"class {n % 5}" for n in range(20)]
    assert draw_splits(clips, names) == draw_splits(clips, names, sources={})


@pytest.mark.parametrize(
    ("tape", "message"),
    [
        ("{name}", "all clips of class 'class .' are of one source"),
        ("tape {tape}", "every source of class 'class .' has clips of unseen classes too"),
    ],
)
def test_sources_that_leave_nothing_to_train_on_are_one_line(tape: str, message: str) -> None:
    names, sources = collection(tape)
    with pytest.raises(EzavError, match=message) as caught:
        draw_splits(list(names), list(names.values()), sources=sources)
    assert "\n" not in str(caught.value)


def test_a_closed_set_trains_on_every_class_and_tests_a_fifth() -> None:
    names, sources = collection()
    for of in ({}, sources):
        splits = draw_splits(list(names), list(names.values()), unseen=(), sources=of)
        assert set(splits.values()) == {"train", "test_seen"}
        count = Counter((names[clip], split) for clip, split in splits.items())
        tested = {count[f"class {n}", "test_seen"] for n in range(CLASSES)}
        assert tested == ({5} if of else {6})


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    names, sources = collection()
    encoders = tuple(EncoderInfo(modality=m, name="r", dimension=2) for m in ("audio", "visual"))
    draw = torch.Generator().manual_seed(0)
    splits = draw_splits(list(names), list(names.values()), sources=sources)
    classes = tuple(dict.fromkeys(names.values()))
    text = ClassEmbeddings(classes, torch.randn(CLASSES, 4, generator=draw), "text")
    with StoreWriter(tmp_path / "store", Header(dataset="d", encoders=encoders)) as writer:
        for clip, name in names.items():
            one = (torch.randn(1, 2, generator=draw), torch.zeros(1))
            writer.add(clip=clip, class_name=name, audio=one, visual=one)
        origin = SplitOrigin(how="drawn", seed=0)
        writer.finish(splits, [text], sources=sources, split_origin=origin)
    return FeatureStore.open(tmp_path / "store")


def test_a_store_keeps_its_sources_and_so_does_a_merged_one(
    store: FeatureStore, tmp_path: Path
) -> None:
    _, sources = collection()
    assert store.sources == sources
    merged = merge_stores([store.path], tmp_path / "merged")
    assert merged.sources == sources
    assert merged.fingerprint == store.fingerprint


def test_an_index_of_before_has_no_sources(store: FeatureStore) -> None:
    path = store.path / "index.parquet"
    table = pq.read_table(path)
    pq.write_table(table.drop_columns(["source"]), path)
    assert set(read_index(store.path).column("source").to_pylist()) == {""}


def test_a_store_is_drawn_again_with_other_unseen_classes(store: FeatureStore) -> None:
    _, sources = collection()
    other = redrawn(store, unseen=["class 3"])
    assert other.split_classes("test_unseen") == ("class 3",)
    assert other.fingerprint != store.fingerprint
    assert other.header.splits is not None
    assert other.header.splits.detail == "unseen: class 3; whole sources"
    drawn = dict(zip(*(other.index.column(n).to_pylist() for n in ("clip", "split"))))
    assert all(len(one) == 1 for one in sides(drawn, sources).values())
    assert redrawn(store) is store
    assert FeatureStore.open(store.path).fingerprint == store.fingerprint  # nothing was written
    closed = redrawn(store, unseen=())
    assert closed.is_closed
    assert closed.splits["test_unseen"] == 0
    assert sum(closed.splits.values()) == sum(store.splits.values())


def test_groups_of_a_file(tmp_path: Path, store: FeatureStore) -> None:
    table = tmp_path / "groups.csv"
    table.write_text("Path;CLASS;take\n0/0.mp4;rain;1\n0/1.mp4;rain;2\n0/2.mp4;;\n")
    found = read_sources(table, ("class", "take"))
    assert found == {"0/0.mp4": "rain/1", "0/1.mp4": "rain/2"}
    for text, message in (
        ("path,source\na,1\na,2\n", "line 3 of .* gives 'a' another source"),
        ("path,source\na,\n", "names no source"),
        ("path,tape\na,1\n", "does not begin with the columns path,source"),
        ("path,source\nnowhere,1\n", "the groups name no clip of the store"),
        ("path,source\nnowhere,1\n0/0.mp4,1\n", "'nowhere', which is no clip of the store"),
    ):
        table.write_text(text)
        with pytest.raises(EzavError, match=message):
            redrawn(store, sources=read_sources(table))
