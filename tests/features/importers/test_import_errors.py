"""Files that are not as they should be: one line that names what and where."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from ezav.errors import EzavError
from ezav.features import FeatureStore
from ezav.features.importers import import_features
from ezav.features.importers.class_split import read_class_split
from ezav.features.importers.layouts import LAYOUTS
from tests.features.importers.published_files import small_blocks, write_cache, write_fixture
from tests.features.importers.small_benchmark import write_class_split

AUDIO = "features/cls_features/audio"
VIDEO = "features/cls_features/video"


def write_h5(path: Path, names: list[str], data: np.ndarray | None = None, **more: Any) -> None:
    path.unlink(missing_ok=True)
    rows = np.ones((len(names), 6 if "audio" in str(path) else 10)) if data is None else data
    with h5py.File(path, "w") as file:
        file["data"] = rows.astype(np.float32)
        file.create_dataset("video_urls", data=names, dtype=h5py.string_dtype())


def both(root: Path, place: str, names: list[str]) -> None:
    write_h5(root / AUDIO / place, names)
    write_h5(root / VIDEO / place, names)


def drop_class(root: Path) -> None:
    (root / AUDIO / "stage_1_train/Archery.h5").unlink()
    (root / VIDEO / "stage_1_train/Archery.h5").unlink()


def drop_video(root: Path) -> None:
    (root / VIDEO / "stage_1_val_seen/Archery.h5").unlink()


def rename_clip(root: Path) -> None:
    write_h5(root / VIDEO / "stage_1_train/Archery.h5", ["Archery-train-0", "another"])


def twice_in_video(root: Path) -> None:
    both(root, "stage_1_train/Archery.h5", ["one", "two"])
    write_h5(root / VIDEO / "stage_1_train/Archery.h5", ["one", "two", "two"])


def damage(root: Path) -> None:
    (root / AUDIO / "stage_1_train/Archery.h5").write_bytes(b"not hdf5")


def no_urls(root: Path) -> None:
    path = root / AUDIO / "stage_1_train/Archery.h5"
    path.unlink()
    with h5py.File(path, "w") as file:
        file["features"] = np.ones((2, 6))


def not_finite(root: Path) -> None:
    data = np.ones((2, 10))
    data[1, 3] = np.nan
    names = ["Archery-train-0", "Archery-train-1"]
    write_h5(root / VIDEO / "stage_1_train/Archery.h5", names, data)


def audio_for_video(root: Path) -> None:
    names = ["Archery-val_seen-0", "Archery-val_seen-1"]
    write_h5(root / VIDEO / "stage_1_val_seen/Archery.h5", names, np.ones((2, 6)))
    write_h5(root / AUDIO / "stage_1_val_seen/Archery.h5", names)


def two_spellings(root: Path) -> None:
    both(root, "stage_1_train/Handstand_Pushups.h5", ["a1", "a2"])


def no_text(root: Path) -> None:
    shutil.rmtree(root / "features/cls_features/text")


def other_folder(root: Path) -> None:
    (root / "features/cls_features").rename(root / "features/mine")


@pytest.mark.parametrize(
    ("harm", "word"),
    [
        (drop_class, "class 'Archery' has no clip in train"),
        (
            lambda root: both(root, "stage_1_train/Archery.h5", []),
            "class 'Archery' has no clip in train",
        ),
        (
            lambda root: both(root, "stage_1_val_seen/Archery.h5", ["Archery-train-0"]),
            "clip 'Archery-train-0' of class 'Archery' is in two places: train and val_seen",
        ),
        (
            lambda root: both(root, "stage_1_train/Archery.h5", ["same", "same"]),
            "'same' is in .*Archery.h5' twice",
        ),
        (drop_video, "'Archery' of stage_1_val_seen has only audio features"),
        (rename_clip, "clip 'Archery-train-1' of .* only in the audio file"),
        (twice_in_video, "clip 'two' of .* in it twice"),
        (damage, "Archery.h5' is not a readable HDF5 file"),
        (no_urls, "has no dataset 'data'; it holds features"),
        (not_finite, "clip 'Archery-train-1': its visual features are not finite"),
        (audio_for_video, "class .Archery. in val_seen has features of 6 audio and 6 visual"),
        (two_spellings, "class 'HandstandPushups' has two feature files in train"),
        (no_text, "no text embeddings 'word_embeddings_ucf_normed.npy'"),
        (other_folder, "choose as `features` one of mine"),
        (lambda root: shutil.rmtree(root / AUDIO / "stage_1_val_seen"), "no folder"),
        (lambda root: shutil.rmtree(root / "class-split"), "no class list at"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, harm: Callable[[Path], None], word: str) -> None:
    root = tmp_path / "UCF"
    lists = write_class_split(tmp_path / "lists")
    write_fixture(root, "avca", dataset="ucf", setting="cls", class_split=lists)
    harm(root)
    with pytest.raises(EzavError, match=word) as caught:
        import_features("avca", root, tmp_path / "store", dataset="ucf", setting="cls")
    assert "\n" not in str(caught.value)
    with pytest.raises(EzavError, match=r"not finished|no feature store|not a feature store"):
        FeatureStore.open(tmp_path / "store")


def test_clips_in_another_order_are_matched_by_name(tmp_path: Path) -> None:
    root = tmp_path / "UCF"
    lists = write_class_split(tmp_path / "lists")
    write_fixture(root, "avca", dataset="ucf", setting="cls", class_split=lists)
    path = root / VIDEO / "stage_1_train/Archery.h5"
    with h5py.File(path) as file:
        names, data = [str(u, "utf-8") for u in file["video_urls"]], file["data"][()]
    write_h5(path, names[::-1], data[::-1])
    import_features("avca", root, tmp_path / "store", dataset="ucf", setting="cls")
    features = FeatureStore.open(tmp_path / "store").select("train")
    row = features.clips.index(names[0])
    assert np.array_equal(features.visual.values[row], data[0])


def test_features_of_another_setting_are_refused(tmp_path: Path) -> None:
    root = tmp_path / "UCF"
    lists = write_class_split(tmp_path / "lists")
    write_fixture(
        root, "avca", dataset="ucf", setting="cls", class_split=lists, clips=1, dims=(512, 512)
    )
    with pytest.raises(EzavError, match="those of avca main, not of avca cls"):
        import_features("avca", root, tmp_path / "store", dataset="ucf", setting="cls")


def test_layouts_and_settings_that_do_not_exist(tmp_path: Path) -> None:
    with pytest.raises(EzavError, match="no data set 'kinetics'"):
        import_features("avca", tmp_path, tmp_path / "s", dataset="kinetics", setting="cls")
    with pytest.raises(EzavError, match=r"no setting 'main'; give `setting` as cls"):
        import_features("clipclap", tmp_path, tmp_path / "s", dataset="ucf", setting="main")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda c: c.update(fps=[25]), "1 fps for 2 clips"),
        (lambda c: c.update(features=c["features"][:1]), "1 features for 2 clips"),
        (lambda c: c["features"].append(c["features"].pop()[None]), r"the shape \[1, "),
        (lambda c: c.pop("video_names"), "lacks features and video_names"),
        (lambda c: c.update(video_names=[1, 2]), "a clip name in .* is not text: 1"),
        (lambda c: c.update(features=[np.array(["a"])] * 2), "are not numbers"),
        (lambda c: c.update(fps=25), "fps in .*Archery.pkl' is no list, but 25"),
        (lambda c: c.update(fps=[25, 0]), "clip 'Archery-train-1' .* has 0 frames a second"),
        (lambda c: c.update(fps=[None, 25]), "clip 'Archery-train-0' .* has None frames a second"),
        (lambda c: c.update(fps=["x", 25]), "has 'x' frames a second"),
        (lambda c: c.update(video_names=7), "video_names in .* is no list, but 7"),
        (lambda c: c.update(video_names="ab"), "video_names in .* is no list, but 'ab'"),
        (lambda c: c.update(features=3), "features in .* is no list, but 3"),
        (
            lambda c: c.update(features=[[[1.0], [1.0, 2.0]]] * 2),
            "features of clip 'Archery-train-0' in .* are no matrix",
        ),
    ],
)
def test_odd_pickles_are_named(
    tmp_path: Path, change: Callable[[dict[str, Any]], Any], word: str
) -> None:
    root = tmp_path / "UCF"
    lists = write_class_split(tmp_path / "lists")
    write_fixture(root, "tcaf", dataset="ucf", setting="cls", class_split=lists)
    path = root / "features/cls_features_non_averaged/video/stage_1_train/Archery.pkl"
    content = pickle.loads(path.read_bytes())
    change(content)
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(EzavError, match=word):
        import_features("tcaf", root, tmp_path / "store", dataset="ucf", setting="cls")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda part: part.update(fps=25), "fps of video in .* is no list"),
        (lambda part: part.update(fps=part["fps"][1:]), "of video in .* differ in length"),
        (lambda part: part.update(fps=[0] * len(part["fps"])), "has 0 frames a second"),
        (lambda part: part.update(url=7), "url of video in .* is no list"),
        (lambda part: part.update(target=["x"] * len(part["url"])), "holds no label ids"),
    ],
)
def test_odd_caches_are_named(
    tmp_path: Path, change: Callable[[dict[str, Any]], Any], word: str
) -> None:
    root, cache = tmp_path / "UCF", tmp_path / "cache"
    lists = write_class_split(tmp_path / "lists")
    classes = write_fixture(root, "tcaf", dataset="ucf", setting="cls", class_split=lists)
    plan = LAYOUTS["tcaf"]
    draw = np.random.default_rng(0)
    blocks = small_blocks(replace(classes, variants={}), plan, "cls", 2, (6, 10), (), draw)
    write_cache(cache, plan, "cls", blocks, classes.names)
    path = cache / "trainingcls_split.pkl"
    content = pickle.loads(path.read_bytes())
    change(content["video"])
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(EzavError, match=word):
        import_features("tcaf", root, tmp_path / "s", dataset="ucf", setting="cls", cache=cache)


@pytest.mark.parametrize(
    "name", ["all_class.txt", "ucf_w2v_class_names.csv", "cls_split/stage_1_train.txt"]
)
def test_class_lists_in_another_encoding_are_named(tmp_path: Path, name: str) -> None:
    lists = write_class_split(tmp_path / "lists")
    whole = (lists / name).read_bytes()
    (lists / name).write_bytes(whole + "Fußball\n".encode("latin-1"))
    with pytest.raises(EzavError, match=f"{Path(name).name}' is not UTF-8: .* save it as UTF-8"):
        read_class_split(lists, "ucf", "cls")
    without = read_class_split(write_class_split(tmp_path / "same"), "ucf", "cls")
    (lists / name).write_bytes(b"\xef\xbb\xbf" + whole)  # as some editors save UTF-8
    assert read_class_split(lists, "ucf", "cls") == without
