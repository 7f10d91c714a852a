"""Stores are verified byte by byte, merged from parts, and shown on the command line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from ezav.classes.embeddings import ClassEmbeddings
from ezav.cli.main import COMMANDS, main
from ezav.errors import EzavError
from ezav.features.header import SplitOrigin
from ezav.features.merge import merge_stores
from ezav.features.shards import pack_records, read_records
from ezav.features.store import FeatureStore
from ezav.features.verify import verify_store
from ezav.features.writer import StoreWriter
from tests.features.small_store import (
    CLASSES,
    HEADER,
    embeddings,
    make_clip,
    splits_of,
    write_store,
)

CLIPS = [make_clip(number) for number in range(25)]
SEEN = [clip for clip in CLIPS if splits_of(CLIPS)[clip["clip"]] != "test_unseen"]


def write_part(
    path: Path,
    clips: Sequence[dict[str, Any]],
    text: ClassEmbeddings | None = None,
    seed: int = 0,
    all_of: Sequence[dict[str, Any]] | None = None,
    **changes: str,
) -> Path:
    """A part of the data set: some of the clips, the splits drawn over all of them.

    `all_of` names all clips of the part where some were added to it before.
    """
    everywhere = {**splits_of(CLIPS), **changes}
    with StoreWriter(path, HEADER, shard_clips=4) as writer:
        for clip in clips:
            writer.add(**clip)
        writer.finish(
            {clip["clip"]: everywhere[clip["clip"]] for clip in all_of or clips},
            [text or embeddings()],
            split_origin=SplitOrigin(how="drawn", seed=seed),
            whole=False,
        )
    return path


def test_parts_merge_into_the_whole(tmp_path: Path) -> None:
    write_store(tmp_path / "whole")
    parts = [write_part(tmp_path / str(i), CLIPS[i::3]) for i in range(3)]
    merged = merge_stores(parts, tmp_path / "merged")
    whole = FeatureStore.open(tmp_path / "whole")
    assert merged.fingerprint == whole.fingerprint
    layout = ["shard", "row"]
    assert merged.index.drop_columns(layout).equals(whole.index.drop_columns(layout))
    assert merged.contents.whole
    assert not FeatureStore.open(parts[0]).contents.whole
    assert merged.header.splits == SplitOrigin(how="drawn", seed=0)
    assert verify_store(tmp_path / "merged").sound


def test_overlapping_parts_count_a_clip_once_and_prefer_the_readable(tmp_path: Path) -> None:
    failed = dict(CLIPS[3], audio=None, visual=None, status="unreadable", reason="network")
    first = write_part(tmp_path / "a", [*CLIPS[:3], failed, *CLIPS[4:15]])
    second = write_part(tmp_path / "b", [*CLIPS[3:5], *CLIPS[10:]])
    merged = merge_stores([first, second], tmp_path / "out")
    assert merged.select().clips == tuple(sorted(clip["clip"] for clip in CLIPS))
    assert merged.contents.unreadable == 0


def test_unreadable_clips_stay_in_the_index(tmp_path: Path) -> None:
    failed = dict(make_clip(99), audio=None, visual=None, status="unreadable", reason="network")
    with StoreWriter(tmp_path / "a", HEADER) as writer:
        for clip in [*CLIPS, failed]:
            writer.add(**clip)
        writer.finish(splits_of(CLIPS), [embeddings()])
    merged = merge_stores([tmp_path / "a"], tmp_path / "out")
    assert merged.contents.unreadable == 1
    assert merged.index.slice(25, 1).column("reason").to_pylist() == ["network"]


def test_a_merge_goes_on_where_it_stopped(tmp_path: Path) -> None:
    parts = [write_part(tmp_path / str(i), CLIPS[i::3]) for i in range(3)]

    def stop(done: int, total: int) -> None:
        if done > 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        merge_stores(parts, tmp_path / "out", on_progress=stop)
    shards = sorted((tmp_path / "out" / "shards").iterdir())
    stamps = [path.stat().st_mtime_ns for path in shards]
    merged = merge_stores(parts, tmp_path / "out")
    assert [path.stat().st_mtime_ns for path in shards] == stamps
    assert len(merged.select()) == 25


def test_a_clip_that_a_part_can_read_now_is_taken(tmp_path: Path) -> None:
    failed = dict(CLIPS[3], audio=None, visual=None, status="unreadable", reason="network")
    first = write_part(tmp_path / "a", CLIPS[10:])
    second = write_part(tmp_path / "b", [*CLIPS[:3], failed, *CLIPS[4:10]])
    assert merge_stores([first, second], tmp_path / "out").contents.unreadable == 1
    write_part(second, [CLIPS[3]], all_of=CLIPS[:10])
    merged = merge_stores([first, second], tmp_path / "out")
    assert merged.contents.unreadable == 0
    assert len(merged.select()) == 25
    assert verify_store(tmp_path / "out").sound
    shards = len(merged.contents.shards)
    assert len(merge_stores([first, second], tmp_path / "out").contents.shards) == shards


def test_class_embeddings_of_parts_are_joined(tmp_path: Path) -> None:
    text = embeddings()
    without_eel = [clip for clip in CLIPS[:15] if clip["class_name"] != "eel"]
    first = write_part(tmp_path / "a", without_eel, text.select(CLASSES[:4]))
    rest = [clip for clip in CLIPS if clip not in without_eel]
    merged = merge_stores([first, write_part(tmp_path / "b", rest, text)], tmp_path / "out")
    assert torch.equal(merged.class_embeddings().vectors, text.vectors)


class TestConflicts:
    def test_another_part(self, tmp_path: Path) -> None:
        first = write_part(tmp_path / "a", SEEN)
        with pytest.raises(EzavError, match="'test_unseen' has no clip"):
            merge_stores([first], tmp_path / "out")
        assert not merge_stores([first], tmp_path / "part", whole=False).contents.whole

    def test_the_same_clip_with_other_features_or_splits(self, tmp_path: Path) -> None:
        first = write_part(tmp_path / "a", CLIPS[:15])
        other = [dict(CLIPS[14], visual=CLIPS[13]["visual"]), *CLIPS[15:]]
        with pytest.raises(EzavError, match="'clip0014' has different features"):
            merge_stores([first, write_part(tmp_path / "b", other)], tmp_path / "out")
        split = next(s for s in ("train", "val_seen") if splits_of(CLIPS)["clip0014"] != s)
        moved = write_part(tmp_path / "c", CLIPS[14:], clip0014=split)
        with pytest.raises(EzavError, match="'clip0014' has different splits"):
            merge_stores([first, moved], tmp_path / "out")

    def test_a_store_merged_from_others_is_left_as_it_is(self, tmp_path: Path) -> None:
        out = tmp_path / "out"
        halves = [write_part(tmp_path / str(i), CLIPS[i::2]) for i in range(2)]
        merge_stores(halves[:1], out, whole=False)
        shards = sorted((out / "shards").iterdir())
        with pytest.raises(EzavError, match="holds clip 'clip0000', which none of the stores has"):
            merge_stores(halves[1:], out, whole=False)
        assert sorted((out / "shards").iterdir()) == shards
        assert len(merge_stores(halves, out).select()) == 25

    def test_parts_that_were_made_anew(self, tmp_path: Path) -> None:
        first = write_part(tmp_path / "a", CLIPS[:15])
        second = write_part(tmp_path / "b", CLIPS[15:])
        before = merge_stores([first, second], tmp_path / "out")
        other = [dict(CLIPS[15], visual=CLIPS[12]["visual"]), *CLIPS[16:]]
        with pytest.raises(EzavError, match="'clip0015' has other features now than in the store"):
            merge_stores([first, write_part(tmp_path / "c", other)], tmp_path / "out")
        assert FeatureStore.open(tmp_path / "out").fingerprint == before.fingerprint

    def test_other_text_other_draw_other_encoder_itself(self, tmp_path: Path) -> None:
        first = write_part(tmp_path / "a", CLIPS[:15])
        text = write_part(tmp_path / "b", CLIPS[15:], embeddings(5))
        with pytest.raises(EzavError, match="has another embedding of random words"):
            merge_stores([first, text], tmp_path / "out")
        draw = write_part(tmp_path / "c", CLIPS[15:], seed=1)
        with pytest.raises(EzavError, match="drawn with seed 0 and drawn with seed 1"):
            merge_stores([first, draw], tmp_path / "out")
        with StoreWriter(tmp_path / "d", HEADER.model_copy(update={"dataset": "large"})) as writer:
            writer.add(**CLIPS[20])
            writer.finish({"clip0020": "train"}, [], whole=False)
        with pytest.raises(EzavError, match="another dataset: 'large' there, 'small' now"):
            merge_stores([first, tmp_path / "d"], tmp_path / "out")
        with pytest.raises(EzavError, match="merged into itself"):
            merge_stores([first], tmp_path / "a")
        assert not (tmp_path / "out" / "index.parquet").exists()


class TestVerify:
    def test_a_changed_number_a_missing_shard_and_other_text(self, tmp_path: Path) -> None:
        write_store(tmp_path, shard_clips=10)
        assert verify_store(tmp_path).problems == ()
        shard = tmp_path / "shards" / "00001.safetensors"
        tensors, records = load_file(shard), read_records(shard)
        kept = {"ezav": pack_records(records)}
        tensors["visual.values"][0, 0] += 1
        save_file(tensors, shard, kept)
        (problem,) = verify_store(tmp_path).problems
        assert (
            problem
            == "clip 'clip0010' has other features than were written, in '00001.safetensors'"
        )
        tensors["visual.values"][0, 0] = torch.nan
        save_file(tensors, shard, kept)
        assert any("not finite" in problem for problem in verify_store(tmp_path).problems)
        shard.unlink()
        embeddings(3).save(next((tmp_path / "classes").iterdir()))
        first, second = verify_store(tmp_path).problems
        assert "missing" in first
        assert "class embeddings of random words 1 are not those" in second

    def test_clips_that_changed_places(self, tmp_path: Path) -> None:
        write_store(tmp_path, shard_clips=10)
        shard = tmp_path / "shards" / "00000.safetensors"
        tensors, records = load_file(shard), read_records(shard)
        records[0], records[1] = records[1], records[0]
        save_file(tensors, shard, {"ezav": pack_records(records)})
        problems = verify_store(tmp_path).problems
        assert len(problems) == 2
        assert all("not where the index says" in problem for problem in problems)


class TestCommandLine:
    @pytest.fixture(autouse=True)
    def _command(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(COMMANDS, "features", "feature stores")

    def test_info(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        write_store(tmp_path / "s")
        assert main(["features", "info", str(tmp_path / "s"), "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["splits"]["test_unseen"] == {"classes": 1, "clips": 5}
        assert found["missing"] == {"audio": 7, "visual": 0}
        assert found["tokens"] == {"audio": "0–3", "visual": "1–3"}
        assert found["fingerprint"] == FeatureStore.open(tmp_path / "s").fingerprint
        assert main(["features", "info", str(tmp_path / "s")]) == 0
        shown = capsys.readouterr().out
        assert "snow 1 (7-d)" in shown
        assert "test_unseen" in shown

    def test_verify_ends_with_status_1_when_something_is_wrong(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        write_store(tmp_path / "s")
        assert main(["features", "verify", str(tmp_path / "s")]) == 0
        assert "sound" in capsys.readouterr().out
        next((tmp_path / "s" / "shards").iterdir()).unlink()
        assert main(["features", "verify", str(tmp_path / "s")]) == 1
        assert "is missing" in capsys.readouterr().out

    def test_merge(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        parts = [str(write_part(tmp_path / str(i), CLIPS[i::2])) for i in range(2)]
        out = str(tmp_path / "out")
        assert main(["features", "merge", *parts, "--out", out]) == 0
        assert "25 clips of 5 classes, 0 unreadable" in capsys.readouterr().out
        seen = str(write_part(tmp_path / "seen", SEEN))
        assert main(["features", "merge", seen, "--out", str(tmp_path / "x")]) == 1
        assert main(["features", "merge", seen, "--out", str(tmp_path / "x"), "--part"]) == 0
        assert main(["features", "info", str(tmp_path / "none")]) == 1
        assert "no feature store at" in capsys.readouterr().err
