"""Reader of the pickles that the released codes cache: whole splits, classes as label ids."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ezav.data_pickle import Maker, load_data_pickle
from ezav.errors import DamagedError, NotFoundError
from ezav.features.importers.blocks import (
    Block,
    LeftOut,
    Modality,
    as_list,
    frame_rates,
    one_token_each,
    pair,
    tokens_in_time,
)
from ezav.features.importers.class_split import ClassSplit
from ezav.features.importers.files import Wanted
from ezav.features.importers.layouts import Features, Layout

_PARTS = {
    "training": ("train",),
    "val": ("val_seen", "val_unseen"),
    "test": ("test_seen", "test_unseen"),
}
"""Cached file -> its splits; `train_val` repeats training and val."""


def cached_blocks(
    folder: Path, layout: Layout, setting: str, classes: ClassSplit, wanted: Wanted
) -> Iterator[Block | LeftOut]:
    """The clips of `{training,val,test}<setting>_split.pkl`, one class at a time.

    A cache is one pickle, so the memory needed is that of its largest file. Which of a file's
    splits a clip belongs to follows from its class, by the class lists.

    Raises:
        EzavError: a file is missing, names anything but data, or its parts do not match.
    """
    for part, splits in _PARTS.items():
        path = folder / f"{part}{setting}_split.pkl"
        content = _load(path)
        labels = _vector(content, "audio", path)
        if not np.array_equal(labels, _vector(content, "video", path)):
            raise DamagedError(f"audio and video of '{path}' differ in their targets")
        if len(labels) and not 0 <= labels.min() <= labels.max() < len(classes.names):
            raise DamagedError(
                f"'{path}' has the label {labels.max()}, but the data set has "
                f"{len(classes.names)} classes"
            )
        for label in np.unique(labels):
            name = classes.names[label]
            rows = np.flatnonzero(labels == label)
            # A class outside the setting counts as left out of the file's last split.
            split = next((s for s in splits if name in classes.splits[s]), splits[-1])
            if not wanted(split, name):
                yield LeftOut(split, name, len(rows))
                continue
            spec = layout.features(setting)
            audio = _modality(content["audio"], rows, spec, 0, path)
            visual = _modality(content["video"], rows, spec, 1, path)
            audio, visual = pair(audio, visual, f"{path} ({name})")
            yield Block(split, name, audio, visual)


def _modality(
    content: dict[str, Any], rows: np.ndarray, spec: Features, which: int, path: Path
) -> Modality:
    clips = [_clean(content["url"][row]) for row in rows]
    data = content["data"]
    if isinstance(data, Tensor):
        data = data.numpy()
    if isinstance(data, np.ndarray) and data.dtype != object and data.ndim == 2:
        return one_token_each(clips, data[rows])
    fps = content.get("fps") if spec.by_frames(which) else None
    if fps is not None:
        fps = frame_rates([fps[row] for row in rows], clips, path)
    hops = spec.hops(which, len(rows), fps)
    return tokens_in_time(clips, [data[row] for row in rows], hops, str(path))


def _vector(content: dict[str, Any], modality: str, path: Path) -> np.ndarray:
    part = content.get(modality)
    if not isinstance(part, dict) or not {"data", "target", "url"} <= set(part):
        raise DamagedError(
            f"'{path}' is not a cache of features: {modality} lacks data, target or url"
        )
    names = ["data", "target", "url"] + (["fps"] if part.get("fps") is not None else [])
    lengths = {len(as_list(part[name], f"{name} of {modality}", path)) for name in names}
    try:
        labels = np.asarray(part["target"]).astype(np.int64)
    except (TypeError, ValueError) as error:
        raise DamagedError(
            f"target of {modality} in '{path}' holds no label ids: {error}"
        ) from error
    if len(lengths) > 1 or labels.ndim != 1:
        raise DamagedError(f"{', '.join(names)} of {modality} in '{path}' differ in length")
    return labels


def _clean(name: Any) -> str:
    """TCaF stores `str(b"name")`, which reads `b'name'`."""
    text = str(name)
    return text[2:-1] if text[:2] in ("b'", 'b"') and text[-1:] == text[1] else text


def _load(path: Path) -> dict[str, Any]:
    makers: dict[tuple[str, str], Maker] = {
        ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
        ("torch.storage", "_load_from_bytes"): _load_storage,
    }
    try:
        content = load_data_pickle(path, makers, _size_of)
    except NotFoundError as error:
        hint = "`cache` names the folder of the pickles: .../_features_processed/<features>"
        raise NotFoundError(error.message, hint) from error
    if not isinstance(content, dict):
        raise DamagedError(f"'{path}' is not a cache of features")
    return content


def _size_of(value: Any) -> int | None:
    return value.numel() * value.element_size() if isinstance(value, Tensor) else None


def _load_storage(data: bytes) -> Tensor:
    """A storage as a flat tensor of its elements."""
    if data[:2] == b"PK":  # an archive, which could be compressed
        raise ValueError("a tensor whose storage is an archive")
    storage = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    if not isinstance(storage, torch.storage.TypedStorage):
        raise ValueError("a tensor whose storage is something else")
    if storage._untyped_storage.nbytes() > len(data):
        raise ValueError("a tensor that claims more than it holds")
    return torch.empty(0, dtype=storage.dtype).set_(storage._untyped_storage)


def _rebuild_tensor(
    storage: Tensor, offset: int, size: Sequence[int], stride: Sequence[int], *_: Any
) -> Tensor:
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if min((offset, *size, *stride)) < 0 or (0 not in size and last >= len(storage)):
        raise ValueError("a tensor larger than its storage")
    return storage.as_strided(tuple(size), tuple(stride), offset)
