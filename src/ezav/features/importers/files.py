"""Readers of the feature files: HDF5 (AVCA) and pickles (TCaF, ClipClap), one class each."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ezav.data_pickle import load_data_pickle
from ezav.errors import DamagedError, EzavError, NotFoundError, RefusedError, UnavailableError
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
from ezav.features.importers.buffers import Buffers
from ezav.features.importers.class_split import LISTS
from ezav.features.importers.h5_texts import check_heaps
from ezav.features.importers.layouts import Features, Layout
from ezav.features.splits import SPLITS
from ezav.naming import clean, refuse_twins

if TYPE_CHECKING:
    from h5py.h5d import DatasetID
    from h5py.h5f import FileID

_FREE = 1 << 24
"""Bytes that a dataset may always take; above, `_RATIO` for each that is stored."""
_RATIO = 64
_COPY = "copy the values into the file itself"
_PLAIN = (np.dtype("f4"), np.dtype("f2"))
Take = Callable[[tuple[int, ...], np.dtype], np.ndarray]
"""(shape, type) -> an array to read into."""
Wanted = Callable[[str, str], bool]
"""(split, spelling of a class) -> its features are needed, not only the names of its clips."""


def file_blocks(
    folder: Path, layout: Layout, setting: str, wanted: Wanted, buffers: Buffers
) -> Iterator[Block | LeftOut]:
    """Every class file of `folder/{audio,video}/<split>/`, one class in memory at a time.

    Features that need no conversion are read into `buffers`.

    Raises:
        EzavError: a folder or file is missing or damaged, or audio and video do not match.
    """
    for split in SPLITS:
        audio_files = _class_files(folder / "audio" / LISTS[split], layout.suffix)
        video_files = _class_files(folder / "video" / LISTS[split], layout.suffix)
        if odd := sorted(set(audio_files) ^ set(video_files)):
            kind = "audio" if odd[0] in audio_files else "video"
            raise EzavError(
                f"the class '{odd[0]}' of {LISTS[split]} has only {kind} features in '{folder}'",
                "audio and video need the same class files",
            )
        for spelling in sorted(audio_files):
            audio_file, video_file = audio_files[spelling], video_files[spelling]
            if not wanted(split, spelling):
                yield LeftOut(split, spelling, len(_names(audio_file, layout)))
                continue
            if layout.suffix == ".h5":
                audio = _read_h5(audio_file, partial(buffers.take, "audio"))
                visual = _read_h5(video_file, partial(buffers.take, "visual"))
            else:
                spec = layout.features(setting)
                audio, visual = _read_pickle(audio_file, spec, 0), _read_pickle(video_file, spec, 1)
            audio, visual = pair(audio, visual, str(audio_file))
            yield Block(split, spelling, audio, visual)


def _class_files(folder: Path, suffix: str) -> dict[str, Path]:
    if not folder.is_dir():
        raise NotFoundError(
            f"no folder '{folder}'",
            "the features of all five splits are needed: unpack the whole archive",
        )
    found = sorted(path for path in folder.iterdir() if path.suffix == suffix)
    if not found:
        raise NotFoundError(f"no class file *{suffix} in '{folder}'", "is this another layout?")
    files: dict[str, Path] = {}
    for path in found:
        other = files.setdefault(clean(path.stem), path)
        if other != path:
            refuse_twins([other.stem, path.stem])
    refuse_twins(files)
    return files


def _names(path: Path, layout: Layout) -> list[str]:
    if layout.suffix == ".h5":
        with _open_h5(path) as file:
            return _h5_names(file, path)
    return _pickle_names(_load(path), path)


def _read_h5(path: Path, take: Take) -> Modality:
    with _open_h5(path) as file:
        values = _h5_array(file, "data", path, take)
        clips = _h5_names(file, path)
    if values.ndim != 2 or len(values) != len(clips):
        raise DamagedError(
            f"'{path}' holds data of shape {list(values.shape)} for {len(clips)} video_urls"
        )
    return one_token_each(clips, values)


def _h5_names(file: FileID, path: Path) -> list[str]:
    return [_text(name, path) for name in _h5_array(file, "video_urls", path, np.empty).tolist()]


@contextmanager
def _open_h5(path: Path) -> Iterator[FileID]:
    """The file, through h5py's low-level interface: half the time for small files."""
    try:
        from h5py import h5f
    except ModuleNotFoundError as error:
        raise UnavailableError(
            "reading .h5 files needs h5py", "pip install 'ezav[import]'"
        ) from error
    try:
        file = h5f.open(bytes(path), h5f.ACC_RDONLY)
    except OSError as error:
        raise DamagedError(f"'{path}' is not a readable HDF5 file: {error}") from error
    try:
        yield file
    except (OSError, KeyError, TypeError, RuntimeError, MemoryError) as error:
        raise DamagedError(f"'{path}' is a damaged HDF5 file: {error}") from error
    finally:
        file.close()


def _h5_array(file: FileID, name: str, path: Path, take: Take) -> np.ndarray:
    from h5py import h5s, h5t

    dataset = _h5_dataset(file, name, path)
    array = take(dataset.shape, dataset.dtype)
    if not array.size:
        return array
    if array.dtype.hasobject:
        check_heaps(file, dataset)
        return _h5_texts(dataset, array, path)
    # None unless the values lie in one piece as they are; then the system reads them twice as
    # fast as HDF5, and Python's lock is free meanwhile.
    place = dataset.get_offset() if array.dtype in _PLAIN else None
    if place is None or file.get_create_plist().get_userblock():
        dataset.read(h5s.ALL, h5s.ALL, array, h5t.py_create(dataset.dtype))
        return array
    rest, handle = array.reshape(-1).view("u1").data, file.get_vfd_handle()
    while rest:
        read = os.preadv(handle, [rest], place)
        if not read:
            raise OSError("it ends in the middle of the features")
        place, rest = place + read, rest[read:]
    return array


def _h5_dataset(file: FileID, name: str, path: Path) -> DatasetID:
    """A dataset whose values lie in this file, and are about as many as it has room for."""
    from h5py import h5d, h5l, h5t

    key = name.encode()
    if key not in file:
        keys = ", ".join(one.decode(errors="replace") for one in file) or "nothing"
        raise DamagedError(f"'{path}' has no dataset '{name}'", f"it holds {keys}")
    if file.links.get_info(key).type != h5l.TYPE_HARD:
        raise RefusedError(f"refused '{path}': its '{name}' is a link to somewhere else", _COPY)
    dataset = h5d.open(file, key)
    how = dataset.get_create_plist()
    if how.get_layout() == h5d.VIRTUAL or how.get_external_count():
        raise RefusedError(f"refused '{path}': its '{name}' lies in other files", _COPY)
    try:
        kind = dataset.dtype
    except (TypeError, ValueError) as error:  # numbers of a kind that numpy has not
        raise DamagedError(f"'{path}' has no numbers that can be read in '{name}'") from error
    if kind.kind not in "fiuS" and h5t.check_string_dtype(kind) is None:
        raise DamagedError(f"'{path}' has neither numbers nor text in '{name}'")
    claimed = math.prod(dataset.shape) * kind.itemsize
    stored = dataset.get_storage_size()
    if claimed > _FREE + _RATIO * min(stored, os.fstat(file.get_vfd_handle()).st_size):
        raise RefusedError(f"refused '{path}': its '{name}' claims {claimed:,} bytes of {stored:,}")
    return dataset


def _h5_texts(dataset: DatasetID, array: np.ndarray, path: Path) -> np.ndarray:
    """Texts of any length, some at a time: many may be one and the same long one."""
    from h5py import h5s, h5t

    if array.ndim != 1:
        raise DamagedError(f"'{path}' has names of shape {list(array.shape)}")
    size = path.stat().st_size
    step, left = max(1, _FREE // size), _FREE + _RATIO * size
    space, kind = dataset.get_space(), h5t.py_create(dataset.dtype)
    for start in range(0, len(array), step):
        part = array[start : start + step]
        space.select_hyperslab((start,), (len(part),))
        dataset.read(h5s.create_simple((len(part),)), space, part, kind)
        left -= sum(len(text) for text in part)
        if left < 0:
            raise RefusedError(f"refused '{path}': its names take far more than its size")
    return array


def _read_pickle(path: Path, spec: Features, which: int) -> Modality:
    content = _load(path)
    clips = _pickle_names(content, path)
    fps = frame_rates(content.get("fps"), clips, path) if spec.by_frames(which) else None
    hops = spec.hops(which, len(clips), fps)
    return tokens_in_time(clips, as_list(content["features"], "features", path), hops, str(path))


def _load(path: Path) -> dict[str, Any]:
    content = load_data_pickle(path)
    if not isinstance(content, dict) or not {"features", "video_names"} <= set(content):
        raise DamagedError(f"'{path}' is not a feature pickle: it lacks features and video_names")
    return content


def _pickle_names(content: dict[str, Any], path: Path) -> list[str]:
    return [_text(name, path) for name in as_list(content["video_names"], "video_names", path)]


def _text(name: Any, path: Path) -> str:
    if isinstance(name, bytes | np.bytes_):
        try:
            return name.decode("utf-8")
        except UnicodeDecodeError as error:
            raise DamagedError(f"a clip name in '{path}' is not UTF-8: {name!r}") from error
    if not isinstance(name, str):
        raise DamagedError(f"a clip name in '{path}' is not text: {name!r}")
    return name
