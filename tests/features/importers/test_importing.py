"""Each published layout, written small with real or own class lists, through to the store."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from ezav.errors import EzavError, RefusedError
from ezav.features import FeatureStore
from ezav.features.importers import ImportReport, import_features
from ezav.features.importers import intake as intake_module
from ezav.features.importers.blocks import Block, join, one_token_each
from ezav.features.importers.buffers import Buffers
from ezav.features.importers.files import _read_h5, file_blocks
from ezav.features.importers.layouts import LAYOUTS
from ezav.features.verify import verify_store
from tests.features.importers.published_files import write_cache, write_fixture
from tests.features.importers.small_benchmark import write_class_split
from tests.shared_data import class_lists

SPLIT_FOLDERS = {
    "train": "stage_1_train",
    "val_seen": "stage_1_val_seen",
    "val_unseen": "stage_1_val_unseen",
    "test_seen": "stage_2_test_seen",
    "test_unseen": "stage_2_test_unseen",
}
FEATURES = {"avca": "cls_features", "tcaf": "cls_features_non_averaged"}
FEATURES["clipclap"] = FEATURES["tcaf"]


@pytest.fixture
def small(tmp_path: Path) -> Callable[..., Path]:
    def make(layout: Any, **options: Any) -> Path:
        lists = write_class_split(tmp_path / "lists")
        root = tmp_path / "UCF"
        write_fixture(root, layout, dataset="ucf", setting="cls", class_split=lists, **options)
        return root

    return make


def bring_in(layout: Any, root: Path, **options: Any) -> tuple[ImportReport, FeatureStore]:
    store = root.parent / f"store-{len(list(root.parent.iterdir()))}"
    chosen = {"dataset": "ucf", "setting": "cls", **options}
    return import_features(layout, root, store, **chosen), FeatureStore.open(store)


def clip_features(store: FeatureStore) -> dict[str, tuple[str, str, np.ndarray, np.ndarray]]:
    """clip -> (class, split, audio values, visual values) as the store gives them."""
    found = {}
    for split in store.splits:
        features = store.select(split)
        for row, clip in enumerate(features.clips):
            audio = features.audio.subset(torch.tensor([row])).values.numpy()
            visual = features.visual.subset(torch.tensor([row])).values.numpy()
            found[clip] = features.classes[features.labels[row]], split, audio, visual
    return found


def read_plainly(root: Path, layout: str) -> dict[str, tuple[str, str, np.ndarray, np.ndarray]]:
    """The same from the files, with h5py and pickle and nothing else."""
    found: dict[str, Any] = {}
    for split, folder in SPLIT_FOLDERS.items():
        base = root / "features" / FEATURES[layout]
        for path in (base / "audio" / folder).iterdir():
            parts = []
            for kind in ("audio", "video"):
                file = base / kind / folder / path.name
                if layout == "avca":
                    with h5py.File(file) as content:
                        names = [str(url, "utf-8") for url in content["video_urls"]]
                        parts.append([content["data"][i][None] for i in range(len(names))])
                else:
                    raw = pickle.loads(file.read_bytes())
                    names = [name.decode() for name in raw["video_names"]]
                    parts.append([np.atleast_2d(x).astype(np.float32) for x in raw["features"]])
            name = path.stem.replace("HandStand", "Handstand")
            for clip, audio, visual in zip(names, *parts, strict=True):
                found[clip] = name, split, audio, visual
    return found


@pytest.mark.parametrize("layout", ["avca", "tcaf", "clipclap"])
def test_every_clip_arrives_with_its_features(small: Callable[..., Path], layout: str) -> None:
    root = small(layout, clips=3, extra=["BandMarching"])
    report, store = bring_in(layout, root)
    expected = {c: v for c, v in read_plainly(root, layout).items() if v[0] != "BandMarching"}
    ours = clip_features(store)
    assert ours.keys() == expected.keys()
    for clip, (name, split, audio, visual) in expected.items():
        assert ours[clip][:2] == (name, split)
        assert np.array_equal(ours[clip][2], audio)
        assert np.array_equal(ours[clip][3], visual)
    assert report.left_out == {"BandMarching": 3}
    assert report.variants == {"HandStandPushups": "HandstandPushups"}
    assert report.clips == store.splits
    assert report.clips == {"train": 9, "val_seen": 9, "val_unseen": 3} | {
        "test_seen": 12,
        "test_unseen": 6,
    }
    assert store.classes == (
        "Archery",
        "CleanAndJerk",
        "CliffDiving",
        "HandstandPushups",
        "IceDancing",
        "PlayingCello",
    )
    assert json.loads(json.dumps(report.as_dict()))["misassigned"][0]["wrong"] == 5


def test_temporal_tokens_know_their_time(small: Callable[..., Path]) -> None:
    _, store = bring_in("tcaf", small("tcaf"))
    features = store.select("train")
    assert features.visual.lengths.max() > 1
    for ragged, hop in ((features.audio, 0.96), (features.visual, 16 / 25)):
        for row in range(len(features)):
            times = ragged.subset(torch.tensor([row])).times
            assert times.tolist() == pytest.approx([(i + 0.5) * hop for i in range(len(times))])
    assert features.audio.values.max() > 1, "post-processed VGGish stays 0..255"


def test_clipclap_brings_both_texts_joined_and_alone(small: Callable[..., Path]) -> None:
    root = small("clipclap", text_dim=5)
    _, store = bring_in("clipclap", root)
    assert store.encoders == ("CLIP ViT-B/32 + CLAP WavCaps", "CLIP ViT-B/32", "CLAP WavCaps")
    both = store.class_embeddings()
    clip, clap = (store.class_embeddings(name) for name in store.encoders[1:])
    assert (both.dim, clip.dim, clap.dim) == (10, 5, 5)
    joined = torch.cat([clip.vectors, clap.vectors], dim=1)
    assert torch.allclose(both.vectors, joined / joined.norm(dim=1, keepdim=True), atol=1e-6)
    assert store.header.setting == "CLIP/CLAP"


def test_published_alignment_is_recorded_and_changes_only_the_text(
    small: Callable[..., Path],
) -> None:
    root = small("avca")
    _, by_name = bring_in("avca", root)
    report, published = bring_in("avca", root, text_alignment="published")
    assert by_name.header.text_alignment == "by_name"
    assert published.header.text_alignment == report.text_alignment == "published"
    names = by_name.classes
    # Sorted by manual name, Cliff Diving comes where CleanAndJerk is sorted by its own.
    theirs = published.class_embeddings().vectors[names.index("CleanAndJerk")]
    assert torch.equal(theirs, by_name.class_embeddings().vectors[names.index("CliffDiving")])
    assert torch.equal(by_name.select().visual.values, published.select().visual.values)
    assert by_name.fingerprint != published.fingerprint


@pytest.mark.parametrize("layout", ["avca", "tcaf", "clipclap"])
def test_cached_pickles_give_the_same_store(small: Callable[..., Path], layout: str) -> None:
    root = small(layout, extra=["BandMarching"])
    plan = LAYOUTS[layout]
    folder = root / "features" / FEATURES[layout]
    names = sorted((root / "class-split" / "all_class.txt").read_text().split())
    # A cache holds label ids, so it knows no odd spelling.
    blocks = [
        replace(block, name=block.name.replace("HandStand", "Handstand"))
        for block in file_blocks(folder, plan, "cls", lambda *_: True, Buffers(1 << 20))
        if isinstance(block, Block)
    ]
    cache = root / "_features_processed" / "features"
    write_cache(cache, plan, "cls", blocks, names)
    from_files, one = bring_in(layout, root)
    from_cache, other = bring_in(layout, root, cache=cache)
    assert from_cache.clips == from_files.clips
    assert from_cache.left_out == from_files.left_out == {"BandMarching": 2}
    ours, theirs = clip_features(one), clip_features(other)
    assert ours.keys() == theirs.keys()
    for clip in ours:
        assert ours[clip][:2] == theirs[clip][:2]
        assert np.array_equal(ours[clip][2], theirs[clip][2])
        assert np.array_equal(ours[clip][3], theirs[clip][3])


def test_a_cache_that_names_code_is_refused(small: Callable[..., Path], tmp_path: Path) -> None:
    root = small("avca")
    (tmp_path / "cache").mkdir()
    evil = b"cos\nsystem\n(S'touch pwned'\ntR."
    (tmp_path / "cache" / "trainingcls_split.pkl").write_bytes(evil)
    with pytest.raises(EzavError, match=r"refused to load 'os\.system'"):
        bring_in("avca", root, cache=tmp_path / "cache")
    with pytest.raises(EzavError, match="cannot read"):
        bring_in("avca", root, cache=tmp_path / "nowhere")


def test_a_stopped_import_goes_on(
    small: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = small("avca")
    _, whole = bring_in("avca", root)
    monkeypatch.setattr(intake_module, "CHUNK_BYTES", 200)
    seen: list[int] = []

    def stop(split: str, clips: int) -> None:
        seen.append(clips)
        if len(seen) == 3:
            raise KeyboardInterrupt

    store = root.parent / "stopped"
    choice: dict[str, Any] = {"dataset": "ucf", "setting": "cls"}
    with pytest.raises(KeyboardInterrupt):
        import_features("avca", root, store, **choice, progress=stop)
    with pytest.raises(EzavError, match="not finished"):
        FeatureStore.open(store)
    import_features("avca", root, store, **choice)
    assert FeatureStore.open(store).fingerprint == whole.fingerprint


def test_other_features_are_not_taken_for_those_in_the_store(small: Callable[..., Path]) -> None:
    root = small("avca")
    store = root.parent / "store"
    choice: dict[str, Any] = {"dataset": "ucf", "setting": "cls"}
    import_features("avca", root, store, **choice)
    before = FeatureStore.open(store).fingerprint
    mine = root / "features" / "mine"
    shutil.copytree(root / "features" / "cls_features", mine)
    import_features("avca", root, store, **choice, features="mine")
    with h5py.File(mine / "video" / "stage_1_val_seen" / "Archery.h5", "r+") as file:
        file["data"][1, 3] += 1
    with pytest.raises(EzavError, match="'Archery-val_seen-1' has other features now than in"):
        import_features("avca", root, store, **choice, features="mine")
    assert FeatureStore.open(store).fingerprint == before


def test_a_clip_that_changed_its_class_is_named(small: Callable[..., Path]) -> None:
    root = small("avca")
    store = root.parent / "store"
    choice: dict[str, Any] = {"dataset": "ucf", "setting": "cls"}
    import_features("avca", root, store, **choice)
    for kind in ("audio", "video"):
        train = root / "features" / "cls_features" / kind / "stage_1_train"
        (train / "Archery.h5").rename(train / "aside")
        (train / "CleanAndJerk.h5").rename(train / "Archery.h5")
        (train / "aside").rename(train / "CleanAndJerk.h5")
    with pytest.raises(EzavError, match=r"is of class 'CleanAndJerk' in .* of class 'Archery' now"):
        import_features("avca", root, store, **choice)


def keep_two_clips(root: Path) -> dict[Path, bytes]:
    """Drop the third clip of Archery in train; returns the files as they were."""
    before = {}
    for kind in ("audio", "video"):
        path = root / "features" / "cls_features" / kind / "stage_1_train" / "Archery.h5"
        before[path] = path.read_bytes()
        with h5py.File(path, "r+") as file:
            for name in ("video_urls", "data"):
                rows = file[name][:2]
                del file[name]
                file[name] = rows
    return before


def test_a_store_takes_further_clips_and_does_not_lose_any(small: Callable[..., Path]) -> None:
    root = small("avca", clips=3)
    _, whole = bring_in("avca", root)
    store = root.parent / "store"
    choice: dict[str, Any] = {"dataset": "ucf", "setting": "cls"}
    third = keep_two_clips(root)
    import_features("avca", root, store, **choice)
    for path, content in third.items():
        path.write_bytes(content)
    assert FeatureStore.open(store).splits["train"] == 8
    import_features("avca", root, store, **choice)
    assert FeatureStore.open(store).fingerprint == whole.fingerprint
    assert verify_store(store).sound
    keep_two_clips(root)
    with pytest.raises(EzavError, match=r"holds clip 'Archery-train-2', which .* does not have"):
        import_features("avca", root, store, **choice)
    assert FeatureStore.open(store).fingerprint == whole.fingerprint


def test_clips_of_an_import_that_was_given_up_are_left_out(
    small: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = small("avca", clips=3)
    monkeypatch.setattr(intake_module, "CHUNK_BYTES", 200)
    store = root.parent / "store"
    choice: dict[str, Any] = {"dataset": "ucf", "setting": "cls"}

    def stop(split: str, clips: int) -> None:
        if clips > 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_features("avca", root, store, **choice, progress=stop)
    keep_two_clips(root)
    import_features("avca", root, store, **choice)
    assert FeatureStore.open(store).splits["train"] == 8


def test_real_class_lists(tmp_path: Path) -> None:
    """The 51 classes of UCF's main split and the 48 of cls, out of 101."""
    lists = class_lists("ucf")
    options: dict[str, Any] = {"dataset": "ucf", "setting": "main", "class_split": lists}
    write_fixture(tmp_path / "UCF", "avca", clips=1, **options)
    report, store = bring_in("avca", tmp_path / "UCF", setting="main")
    assert len(store.classes) == 51
    assert report.classes == {"train": 30, "val_seen": 30, "val_unseen": 12} | {
        "test_seen": 42,
        "test_unseen": 9,
    }
    # The same files under the cls lists: three classes of nine are left out.
    report, store = bring_in("avca", tmp_path / "UCF", features="main_features")
    assert report.left_out == {"BandMarching": 1, "BrushingTeeth": 1, "Typing": 1}
    assert len(store.classes) == 48


def test_the_command_reports_what_it_did(
    small: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    import tyro

    from ezav.cli.as_json import json_text
    from ezav.cli.import_ import CLI

    root = small("avca", extra=["BandMarching"])
    store = root.parent / "m[" / "v2]"  # what rich would read as a tag
    words = ["avca", str(root), "--dataset", "ucf", "--out", str(store)]
    command: Any = tyro.cli(CLI, args=[*words, "--text-alignment", "published"])
    result = command.run()
    assert json.loads(json_text(result, 0))["clips"]["test_unseen"] == 4
    command.show(result)
    shown = " ".join(capsys.readouterr().out.split())
    assert "PUBLISHED order" in shown
    assert f"-> {store}, text" in shown
    assert "5 of 8" in shown
    assert "left out: 2 clips of 'BandMarching'" in shown
    assert "'HandStandPushups' is taken for 'HandstandPushups'" in shown


@pytest.mark.parametrize("kind", ["contiguous", "compressed", "big-endian", "user block"])
def test_h5_values_are_those_that_h5py_reads(tmp_path: Path, kind: str) -> None:
    values = np.random.default_rng(0).standard_normal((5, 7)).astype("f4")
    stored = values.astype(">f4") if kind == "big-endian" else values
    block = {"userblock_size": 512} if kind == "user block" else {}
    with h5py.File(tmp_path / "a.h5", "w", **block) as file:
        filters = {"compression": "gzip"} if kind == "compressed" else {}
        file.create_dataset("data", data=stored, **filters)
        file["video_urls"] = [f"clip {row}" for row in range(5)]
    buffers = Buffers(1000)
    for number in range(10):  # the set is full after seven
        read = _read_h5(tmp_path / "a.h5", partial(buffers.take, "audio"))
        assert np.array_equal(read.values, values), number
    assert read.clips[4] == "clip 4"


def test_h5_values_behind_a_link_are_refused(tmp_path: Path) -> None:
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["data"] = values
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["filler"] = np.ones((99, 99), dtype=np.float32)
        file["data"] = h5py.ExternalLink("other.h5", "/data")
        file.create_dataset("video_urls", data=["x", "y", "z"], dtype=h5py.string_dtype())
    with pytest.raises(RefusedError, match="'data' is a link to somewhere else"):
        _read_h5(tmp_path / "a.h5", np.empty)


def test_neighbours_in_memory_are_joined_without_a_copy() -> None:
    buffers, dtype = Buffers(1000), np.dtype("f4")
    drawn = [np.random.default_rng(0).standard_normal((n, 3), dtype="f4") for n in (2, 1, 4)]

    def taken(order: tuple[int, ...]) -> list[Any]:
        arrays = [buffers.take("audio", drawn[which].shape, dtype) for which in range(3)]
        for array, values in zip(arrays, drawn):
            array[:] = values
        return [one_token_each("abcd"[: len(drawn[which])], arrays[which]) for which in order]

    for order in ((0, 1, 2), (0, 2), (2, 1, 0)):
        buffers.turn()
        expected = np.concatenate([drawn[which] for which in order])
        parts = taken(order)
        joined = join(parts)
        assert np.array_equal(joined.values.numpy(), expected), order
        shares = np.shares_memory(joined.values.numpy(), parts[0].values)
        assert shares == (order == (0, 1, 2))
