"""Writes features and class lists as files of the published layouts."""

from __future__ import annotations

import csv
import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from ezav.features.importers.blocks import Block, Modality
from ezav.features.importers.class_split import DATASETS, LISTS, ClassSplit
from ezav.features.importers.layouts import Features, Layout
from ezav.safe_io import atomic_path


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
                _write_pickle(path, part, arrays_of(part, spec, kind))


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


def arrays_of(part: Modality, spec: Features, kind: str) -> list[np.ndarray]:
    """One array a clip, as published: vectors, or tokens in time; VGGish tokens are bytes."""
    if spec.hop is None:
        return list(part.values)
    tokens = kind == "audio" and spec.audio[0] == "VGGish"
    values = part.values.astype(np.uint8) if tokens else part.values
    ends = part.counts.cumsum()
    return [values[end - count : end] for end, count in zip(ends, part.counts)]
