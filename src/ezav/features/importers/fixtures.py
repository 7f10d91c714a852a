"""Writes feature files in the published layouts: small random ones for tests, or given ones."""

from __future__ import annotations

import csv
import pickle
import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from ezav.features.importers.blocks import Block, Modality, one_token_each, tokens_in_time
from ezav.features.importers.class_split import DATASETS, LISTS, ClassSplit, read_class_split
from ezav.features.importers.layouts import LAYOUTS, Features, Layout, LayoutName
from ezav.features.splits import SPLITS
from ezav.safe_io import atomic_path


def write_fixture(
    root: str | Path,
    layout: LayoutName,
    *,
    dataset: str,
    setting: str,
    class_split: str | Path,
    clips: int = 2,
    dims: tuple[int, int] = (6, 10),
    text_dim: int = 8,
    extra: Sequence[str] = (),
    seed: int = 0,
) -> ClassSplit:
    """A whole data set folder as users download it, with few clips and random features.

    Args:
        root: the folder to write: `class-split/` (copied) and `features/<customary name>/`.
        layout: "avca", "tcaf" or "clipclap".
        dataset, setting: as for the import.
        class_split: a published class-split folder; its classes and spellings are used.
        clips: of each class in each split.
        dims: audio and visual dimensions.
        text_dim: dimension of each text embedding file (random rows).
        extra: classes outside the setting that also get a file in `stage_2_test_unseen`.
        seed: of all random numbers.
    """
    root, plan = Path(root), LAYOUTS[layout]
    shutil.copytree(class_split, root / "class-split", copy_function=shutil.copyfile)
    classes = read_class_split(class_split, dataset, setting, plan.text_column(dataset))
    folder = root / "features" / plan.features(setting).folder
    generator = np.random.default_rng(seed)
    blocks = small_blocks(classes, plan, setting, clips, dims, extra, generator)
    write_features(folder, plan, setting, blocks)
    for _, files, _ in plan.text_files(dataset):
        rows = {
            name: generator.normal(size=text_dim).astype(np.float32)
            for name in classes.text_names.values()
        }
        write_text_file(folder / "text" / files[0], rows)
    return classes


def small_blocks(
    classes: ClassSplit,
    layout: Layout,
    setting: str,
    clips: int,
    dims: tuple[int, int],
    extra: Sequence[str],
    generator: np.random.Generator,
) -> Iterator[Block]:
    """Random features of the types and lengths that the layout's real files have."""
    spec = layout.features(setting)
    spelled = {name: spelling for spelling, name in classes.variants.items()}
    for split in SPLITS:
        names = [*classes.splits[split], *(extra if split == "test_unseen" else ())]
        for name in names:
            urls = [f"{name}-{split}-{number}" for number in range(clips)]
            parts = [_random(urls, dims[which], spec, which, generator) for which in (0, 1)]
            yield Block(split, spelled.get(name, name), *parts)


def _random(
    clips: Sequence[str], dim: int, spec: Features, which: int, generator: np.random.Generator
) -> Modality:
    if spec.hop is None:
        values = generator.random((len(clips), dim), dtype=np.float32)
        half = which == 1 and spec.visual[0].startswith("CLIP")
        return one_token_each(clips, values.astype(np.float16) if half else values)
    # Real clips differ in length; every clip has at least one token.
    lengths = generator.integers(1, 6, size=len(clips))
    arrays: list[np.ndarray] = [generator.random((n, dim), dtype=np.float32) for n in lengths]
    if spec.audio[0] == "VGGish" and which == 0:
        arrays = [(array * 255).astype(np.uint8) for array in arrays]
    fps = [25] * len(clips)
    return tokens_in_time(clips, arrays, spec.hops(which, len(clips), fps), "random features")


def write_features(folder: Path, layout: Layout, setting: str, blocks: Iterable[Block]) -> None:
    """Class files under `folder/{audio,video}/<split>/`, one pair a block."""
    spec = layout.features(setting)
    for block in blocks:
        for kind, part in (("audio", block.audio), ("video", block.visual)):
            path = folder / kind / LISTS[block.split] / f"{block.name}{layout.suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            if layout.suffix == ".h5":
                _write_h5(path, part)
            else:
                _write_pickle(path, part, _arrays(part, spec, kind))


def write_class_lists(
    folder: Path, classes: ClassSplit, dataset: str, setting: str, text_column: str
) -> None:
    """A `class-split` folder as published: all classes, the name table, the lists of a setting."""
    lists = folder / f"{setting}_split"
    lists.mkdir(parents=True, exist_ok=True)
    (folder / "all_class.txt").write_text("\n".join(classes.names) + "\n", encoding="utf-8")
    kind, columns = ("w2v", ["original", "manual"])
    if text_column == "clip_class_name":
        kind, columns = ("clip", ["original", "manual", text_column])
    path = folder / f"{DATASETS[dataset].table}_{kind}_class_names.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(columns)
        for name, text in classes.text_names.items():
            table.writerow([name] + [text] * (len(columns) - 1))
    for split, names in classes.splits.items():
        (lists / f"{LISTS[split]}.txt").write_text("\n".join(names) + "\n", encoding="utf-8")


def write_text_file(path: Path, rows: Mapping[str, np.ndarray]) -> None:
    """A text embedding file as published: `np.save` of a dict."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.save(file, np.array(dict(rows), dtype=object), allow_pickle=True)


def write_cache(
    folder: Path,
    layout: Layout,
    setting: str,
    blocks: Iterable[Block],
    label_ids: Sequence[str],
) -> None:
    """The pickles that the released codes cache: `{training,val,train_val,test}<split>.pkl`.

    Averaged features are torch tensors, as AVCA caches them; temporal ones lists of arrays with
    names spelled `b'name'`, as TCaF does.
    """
    spec = layout.features(setting)
    parts: dict[str, list[Block]] = defaultdict(list)
    label = {name: row for row, name in enumerate(label_ids)}
    for block in blocks:
        part = {"train": "training", "val": "val", "test": "test"}[block.split.split("_")[0]]
        parts[part].append(block)
    parts["train_val"] = parts["training"] + parts["val"]
    folder.mkdir(parents=True, exist_ok=True)
    for part, members in parts.items():
        target = torch.tensor([label[b.name] for b in members for _ in b.clips], dtype=torch.long)
        content = {}
        for kind in ("audio", "visual"):
            chosen: list[Modality] = [getattr(block, kind) for block in members]
            urls = [clip for one in chosen for clip in one.clips]
            entry: dict[str, object] = {"target": target}
            if layout.suffix == ".h5":
                entry["data"] = torch.from_numpy(np.concatenate([one.values for one in chosen]))
                entry["url"] = np.array(urls)
            else:
                entry["data"] = [array for one in chosen for array in _arrays(one, spec, kind)]
                entry["url"] = np.array([f"b'{url}'" for url in urls])
                entry["fps"] = [25] * len(urls)
            content["video" if kind == "visual" else kind] = entry
        with (folder / f"{part}{setting}_split.pkl").open("wb") as file:
            pickle.dump(content, file)


def _write_h5(path: Path, part: Modality) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        file["data"] = part.values.astype(np.float32)
        file.create_dataset("video_urls", data=list(part.clips), dtype=h5py.string_dtype())


def _write_pickle(path: Path, part: Modality, arrays: list[np.ndarray]) -> None:
    content = {
        "features": arrays,
        "video_names": [clip.encode() for clip in part.clips],
        "fps": [25] * len(arrays),
    }
    with path.open("wb") as file:
        pickle.dump(content, file)


def _arrays(part: Modality, spec: Features, kind: str) -> list[np.ndarray]:
    """One array a clip, as published: vectors, or tokens in time; VGGish tokens are bytes."""
    if spec.hop is None:
        return list(part.values)
    tokens = kind == "audio" and spec.audio[0] == "VGGish"
    values = part.values.astype(np.uint8) if tokens else part.values
    ends = part.counts.cumsum()
    return [values[end - count : end] for end, count in zip(ends, part.counts)]
