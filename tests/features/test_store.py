"""What is written to a feature store is read from it, clip by clip."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from ezav.errors import EzavError
from ezav.features import splits as splits_module
from ezav.features.feature_set import Ragged
from ezav.features.header import Header, SplitOrigin
from ezav.features.store import FeatureStore
from ezav.features.writer import StoreWriter
from tests.features.small_store import (
    AUDIO,
    CLASSES,
    HEADER,
    VISUAL,
    embeddings,
    make_clip,
    splits_of,
    write_store,
)


@pytest.mark.parametrize("shard_clips", [1, 7, 100])
def test_every_clip_comes_back_as_it_went_in(tmp_path: Path, shard_clips: int) -> None:
    clips = {clip["clip"]: clip for clip in write_store(tmp_path / "s", shard_clips=shard_clips)}
    store = FeatureStore.open(tmp_path / "s")
    features = store.select()
    assert features.clips == tuple(sorted(clips))
    for row, name in enumerate(features.clips):
        assert store.classes[int(features.labels[row])] == clips[name]["class_name"]
        for modality in ("audio", "visual"):
            tokens = getattr(features, modality).gather(torch.tensor([row]))
            if clips[name][modality] is None:
                assert not tokens.mask.any()
                continue
            values, times = clips[name][modality]
            assert torch.equal(tokens.values[0], values)
            assert torch.equal(tokens.times[0], times)


def test_splits_select_exactly_their_clips(tmp_path: Path) -> None:
    clips = write_store(tmp_path)
    splits = splits_of(clips)
    store = FeatureStore.open(tmp_path)
    assert sum(store.splits.values()) == len(clips)
    for split in splits_module.SPLITS:
        expected = {name for name, where in splits.items() if where == split}
        assert set(store.select(split).clips) == expected
        assert store.splits[split] == len(expected)
        classes = {c["class_name"] for c in clips if c["clip"] in expected}
        assert store.split_classes(split) == tuple(sorted(classes))
    stage = store.select(*splits_module.STAGE_2.train)
    assert len(stage) == sum(store.splits[split] for split in splits_module.STAGE_2.train)
    with pytest.raises(EzavError, match="no split named 'dev'"):
        store.select("dev")


def test_what_features_take_is_known_before_they_are_read(tmp_path: Path) -> None:
    write_store(tmp_path)
    store = FeatureStore.open(tmp_path)
    for splits in ((), ("train",), ("train", "test_unseen")):
        features = store.select(*splits)
        values = (features.audio.values, features.visual.values)
        assert store.bytes_of(*splits) == sum(v.numel() * v.element_size() for v in values)


def test_a_split_without_clips_is_an_empty_feature_set(tmp_path: Path) -> None:
    with StoreWriter(tmp_path, HEADER) as writer:
        writer.add(**make_clip(1))
        writer.finish({"clip0001": "train"}, [], whole=False)
    features = FeatureStore.open(tmp_path).select("test_seen")
    assert len(features) == 0
    assert (features.audio.dim, features.visual.dim) == (AUDIO, VISUAL)


def test_class_embeddings_come_in_the_order_of_the_classes(tmp_path: Path) -> None:
    clips = [make_clip(number) for number in range(25)]
    first, second = embeddings(1).select(CLASSES[::-1]), embeddings(2, encoder="other/words", dim=3)
    with StoreWriter(tmp_path, HEADER) as writer:
        for clip in clips:
            writer.add(**clip)
        writer.finish(splits_of(clips), [first, second])
    store = FeatureStore.open(tmp_path)
    assert store.class_embeddings().names == store.classes == CLASSES
    assert torch.equal(store.class_embeddings().vectors, first.select(CLASSES).vectors)
    assert torch.equal(store.class_embeddings("other/words").vectors, second.vectors)
    assert [(e.name, e.dimension) for e in store.header.encoders if e.modality == "text"] == [
        ("random words 1", 6),
        ("other/words", 3),
    ]
    with pytest.raises(EzavError, match="no class embeddings of 'third'"):
        store.class_embeddings("third")


def test_half_precision_stays_half_on_disk_and_is_single_in_memory(tmp_path: Path) -> None:
    clip = make_clip(1)
    clip["audio"] = (clip["audio"][0].half().numpy(), clip["audio"][1].numpy())
    with StoreWriter(tmp_path, HEADER) as writer:
        writer.add(**clip)
        writer.finish({"clip0001": "train"}, [], whole=False)
    store = FeatureStore.open(tmp_path)
    assert store.select(dtype=None).audio.values.dtype == torch.float16
    assert store.select().audio.values.dtype == torch.float32
    assert np.array_equal(store.select().audio.values.half().numpy(), clip["audio"][0])


def test_many_at_once_equals_one_by_one(tmp_path: Path) -> None:
    clips = write_store(tmp_path / "one")
    with StoreWriter(tmp_path / "many", HEADER) as writer:
        for part in (clips[20:], clips[:3], clips[3:20]):
            writer.add_many(
                [c["clip"] for c in part],
                [c["class_name"] for c in part],
                Ragged.from_clips([c["audio"] for c in part]),
                Ragged.from_clips([c["visual"] for c in part]),
                [c["duration"] for c in part],
                [c["path"] for c in part],
            )
        writer.finish(splits_of(clips), [embeddings()])
    one, many = FeatureStore.open(tmp_path / "one"), FeatureStore.open(tmp_path / "many")
    assert one.fingerprint == many.fingerprint
    layout = ["shard", "row"]
    assert one.index.drop_columns(layout).equals(many.index.drop_columns(layout))
    assert torch.equal(one.select("train").visual.values, many.select("train").visual.values)


def test_the_fingerprint_sees_features_splits_classes_and_text(tmp_path: Path) -> None:
    clips = [make_clip(number) for number in range(25)]

    def print_of(name: str, clips: list[Any], splits: dict[str, str], seed: int = 0) -> str:
        with StoreWriter(tmp_path / name, HEADER) as writer:
            for clip in clips:
                writer.add(**clip)
            writer.finish(splits, [embeddings(seed)])
        return FeatureStore.open(tmp_path / name).fingerprint

    splits = splits_of(clips)
    base = print_of("base", clips, splits)
    assert print_of("again", clips[::-1], splits) == base
    values, times = clips[6]["visual"]
    nudged = [dict(c, visual=(values + 1e-6, times)) if c is clips[6] else c for c in clips]
    moved = dict(splits)
    one, other = (next(c for c, s in splits.items() if s == w) for w in ("train", "val_seen"))
    moved[one], moved[other] = "val_seen", "train"
    assert len({base, print_of("a", nudged, splits), print_of("b", clips, splits, 1)}) == 3
    assert print_of("c", clips, moved) != base


def test_the_index_is_plain_parquet_with_one_row_a_clip(tmp_path: Path) -> None:
    write_store(tmp_path)
    table = pq.read_table(tmp_path / "index.parquet")
    assert table.num_rows == 25
    assert set(table.column_names) >= {"clip", "class", "split", "shard", "row", "status", "reason"}
    assert table.column("duration").to_pylist() == [1.0 + n for n in range(25)]


def test_unreadable_clips_are_in_the_index_and_nowhere_else(tmp_path: Path) -> None:
    clips = [make_clip(number) for number in range(25)]
    bad = {"clip": "bad", "class_name": "ant", "audio": None, "visual": None}
    with StoreWriter(tmp_path, HEADER) as writer:
        for clip in clips:
            writer.add(**clip)
        writer.add(**bad, status="unreadable", reason="moov atom not found")
        assert writer.failed == {"bad": "moov atom not found"}
        writer.finish({**splits_of(clips), "bad": "train"}, [embeddings()])
    store = FeatureStore.open(tmp_path)
    assert "bad" not in store.select().clips
    assert sum(store.splits.values()) == 25
    assert store.contents.unreadable == 1
    row = store.index.slice(0, 1).to_pylist()[0]
    assert (row["clip"], row["reason"]) == ("bad", "moov atom not found")


def test_how_the_splits_were_made_is_recorded(tmp_path: Path) -> None:
    clips = [make_clip(number) for number in range(25)]
    with StoreWriter(tmp_path, HEADER) as writer:
        for clip in clips:
            writer.add(**clip)
        origin = SplitOrigin(how="drawn", seed=3)
        writer.finish(splits_of(clips), [embeddings()], split_origin=origin)
    assert FeatureStore.open(tmp_path).header.splits == origin


class TestRefusals:
    def test_no_folder_no_store_not_finished(self, tmp_path: Path) -> None:
        with pytest.raises(EzavError, match="no feature store at"):
            FeatureStore.open(tmp_path / "none")
        with pytest.raises(EzavError, match="is not a feature store"):
            FeatureStore.open(tmp_path)
        with StoreWriter(tmp_path / "begun", HEADER) as writer:
            writer.add(**make_clip(1))
        with pytest.raises(EzavError, match="not finished; run the command"):
            FeatureStore.open(tmp_path / "begun")

    def test_another_format_version(self, tmp_path: Path) -> None:
        write_store(tmp_path)
        path = tmp_path / "index.parquet"
        table = pq.read_table(path)
        contents = json.loads(table.schema.metadata[b"ezav"])
        contents["header"]["format_version"] = 99
        contents["header"]["new_field"] = 1
        pq.write_table(
            table.replace_schema_metadata({b"ezav": json.dumps(contents).encode()}), path
        )
        with pytest.raises(EzavError, match="format version 99, this ezav reads version 1"):
            FeatureStore.open(tmp_path)
        header = json.loads((tmp_path / "header.json").read_text())
        header["format_version"] = 2
        (tmp_path / "header.json").write_text(json.dumps(header))
        with pytest.raises(EzavError, match="format version 2"):
            StoreWriter(tmp_path, HEADER)

    def test_a_parquet_file_of_someone_else(self, tmp_path: Path) -> None:
        write_store(tmp_path)
        table = pq.read_table(tmp_path / "index.parquet").replace_schema_metadata(None)
        pq.write_table(table, tmp_path / "index.parquet")
        with pytest.raises(EzavError, match="not the index of a feature store"):
            FeatureStore.open(tmp_path)
        (tmp_path / "index.parquet").write_bytes(b"junk")
        with pytest.raises(EzavError, match="cannot be read"):
            FeatureStore.open(tmp_path)

    def test_a_damaged_or_missing_shard(self, tmp_path: Path) -> None:
        write_store(tmp_path, shard_clips=10)
        shard = tmp_path / "shards" / "00001.safetensors"
        shard.write_bytes(shard.read_bytes()[:-100])
        with pytest.raises(EzavError, match=r"00001.safetensors' is damaged"):
            FeatureStore.open(tmp_path).select()
        shard.unlink()
        with pytest.raises(EzavError, match="missing"):
            FeatureStore.open(tmp_path).select()

    def test_a_folder_with_something_else_is_left_alone(self, tmp_path: Path) -> None:
        (tmp_path / "holiday.mp4").touch()
        with pytest.raises(EzavError, match="not empty and is no feature store"):
            StoreWriter(tmp_path, HEADER)
        assert [found.name for found in tmp_path.iterdir()] == ["holiday.mp4"]

    def test_another_encoder_and_a_second_writer(self, tmp_path: Path) -> None:
        with (
            StoreWriter(tmp_path, HEADER),
            pytest.raises(EzavError, match="another process is writing"),
        ):
            StoreWriter(tmp_path, HEADER)
        other = HEADER.encoders[0].model_copy(update={"name": "vggish"})
        changed = Header(dataset="small", encoders=(other, HEADER.encoders[1]))
        with StoreWriter(tmp_path, changed):  # nothing was added yet: it is begun anew
            pass
        assert "vggish" in (tmp_path / "header.json").read_text()
        write_store(tmp_path, 25)
        with pytest.raises(EzavError, match=r"has another encoder: noise 1 .* vggish 1"):
            StoreWriter(tmp_path, changed)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"clip": "clip0002"}, "in the store already"),
            ({"audio": None, "visual": None}, "neither audio nor visual"),
            ({"visual": (torch.ones(1, 3), torch.zeros(1))}, "dimension 3, but"),
            ({"audio": (torch.full((1, AUDIO), torch.nan), torch.zeros(1))}, "not finite"),
            ({"audio": (torch.full((1, AUDIO), torch.inf), torch.zeros(1))}, "not finite"),
            ({"class_name": " "}, "both need a name"),
            ({"status": "unreadable"}, "without a reason"),
        ],
    )
    def test_clips_that_make_no_sense(
        self, tmp_path: Path, change: dict[str, Any], message: str
    ) -> None:
        with StoreWriter(tmp_path, HEADER) as writer:
            writer.add(**make_clip(2))
            with pytest.raises(EzavError, match=message):
                writer.add(**{**make_clip(3), **change})
            assert writer.done == {"clip0002"}

    def test_finishing_too_early(self, tmp_path: Path) -> None:
        clips = [make_clip(number) for number in range(25)]
        splits = splits_of(clips)
        with StoreWriter(tmp_path, HEADER) as writer:
            with pytest.raises(EzavError, match="not one clip could be read"):
                writer.finish({}, [])
            for clip in clips:
                writer.add(**clip)
            with pytest.raises(EzavError, match="is in no split"):
                writer.finish({k: v for k, v in splits.items() if k != "clip0003"}, [])
            with pytest.raises(EzavError, match="never added"):
                writer.finish({**splits, "ghost": "train"}, [])
            with pytest.raises(EzavError, match="lack 'ant' and 1 more"):
                writer.finish(splits, [embeddings().select(CLASSES[2:])])
            with pytest.raises(EzavError, match="has no clip"):
                writer.finish(dict.fromkeys(splits, "train"), [embeddings()])
            assert not (tmp_path / "index.parquet").exists()
            writer.finish(splits, [embeddings()])
