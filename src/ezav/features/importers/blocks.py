"""What every layout's reader gives: the clips of one class in one split."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ezav.errors import DamagedError, EzavError
from ezav.features.feature_set import Ragged


@dataclass(frozen=True, slots=True)
class Modality:
    """One modality of n clips as a file holds it.

    Attributes:
        clips: n names.
        values: float32 or float16 `[ΣT, d]`.
        counts: long `[n]`, tokens of each clip.
        times: float32 `[ΣT]`, the middle of each token in seconds; 0 where there is one a clip.

    Example:
        >>> two = one_token_each(["a", "b"], np.eye(2))
        >>> two.ordered(["b", "a"]).values.tolist()
        [[0.0, 1.0], [1.0, 0.0]]
    """

    clips: Sequence[str]
    values: np.ndarray
    counts: np.ndarray
    times: np.ndarray

    def ordered(self, clips: Sequence[str]) -> Modality:
        """The same clips in another order."""
        row = {clip: index for index, clip in enumerate(self.clips)}
        order = np.array([row[clip] for clip in clips], dtype=np.int64)
        starts = np.concatenate([[0], self.counts.cumsum()])
        tokens = np.concatenate([np.arange(starts[i], starts[i + 1]) for i in order])
        return Modality(clips, self.values[tokens], self.counts[order], self.times[tokens])


@dataclass(frozen=True, slots=True)
class Block:
    """The features of the clips of one class in one split.

    Attributes:
        split: one of `SPLITS`.
        name: the class, as the file spells it.
        audio, visual: the features of the same n clips, in the same order.
    """

    split: str
    name: str
    audio: Modality
    visual: Modality

    @property
    def clips(self) -> Sequence[str]:
        """The n clip names."""
        return self.audio.clips

    @property
    def bytes(self) -> int:
        """The size of the features."""
        return self.audio.values.nbytes + self.visual.values.nbytes


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Clips of a class that is not in the setting's list: only their number matters."""

    split: str
    name: str
    clips: int


def pair(audio: Modality, visual: Modality, where: str) -> tuple[Modality, Modality]:
    """Both modalities in the order of the audio clips.

    Raises:
        EzavError: a clip twice, or in only one of the two.

    Example:
        >>> sound = one_token_each(["a", "b"], np.eye(2))
        >>> _, picture = pair(sound, one_token_each(["b", "a"], np.eye(2)), "cat.h5")
        >>> picture.clips
        ['a', 'b']
        >>> pair(sound, one_token_each(["a"], np.eye(1)), "cat.h5")
        Traceback (most recent call last):
        ezav.errors.EzavError: the clip 'b' of 'cat.h5' is only in the audio file ...
    """
    names = list(audio.clips)
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise EzavError(f"the clip '{twice}' is in '{where}' twice")
    if names == list(visual.clips):
        return audio, visual
    odd = sorted(set(names) ^ set(visual.clips))
    if odd or len(visual.clips) > len(names):
        odd = odd or [name for name in visual.clips if list(visual.clips).count(name) > 1]
        kind = "audio" if odd[0] in set(names) else "video"
        raise EzavError(
            f"the clip '{odd[0]}' of '{where}' is only in the {kind} file or in it twice",
            "audio and video files must hold the same clips",
        )
    return audio, visual.ordered(names)


def as_float(values: np.ndarray) -> np.ndarray:
    """Half and single precision stay; bytes (post-processed VGGish) fit half precision exactly.

    Example:
        >>> as_float(np.array([1, 255], np.uint8)).dtype, as_float(np.array([1.0])).dtype
        (dtype('float16'), dtype('float32'))
    """
    if values.dtype == np.uint8:
        return values.astype(np.float16)
    if values.dtype in (np.float32, np.float16):
        return values
    if not np.issubdtype(values.dtype, np.number) or np.iscomplexobj(values):
        raise DamagedError(f"features of type {values.dtype} are not numbers")
    return values.astype(np.float32)


def as_list(value: Any, name: str, path: Path) -> Sequence[Any]:
    """One entry a clip, as a pickle holds them.

    Raises:
        EzavError: it is no list.

    Example:
        >>> as_list((1, 2), "fps", Path("a.pkl"))
        (1, 2)
    """
    is_array = isinstance(value, np.ndarray | Tensor) and value.ndim > 0
    if not is_array and not isinstance(value, list | tuple):
        raise DamagedError(f"{name} in '{path}' is no list, but {value!r:.40}")
    entries: Sequence[Any] = value
    return entries


def frame_rates(fps: Any, clips: Sequence[str], path: Path) -> list[float] | None:
    """Frames a second of each clip, as a pickle holds them; None if it does not say.

    Raises:
        EzavError: not one for each clip, or one that is no positive number; the clip is named.

    Example:
        >>> frame_rates(["25", 12.5], ["a", "b"], Path("a.pkl"))
        [25.0, 12.5]
        >>> frame_rates([25, 0], ["a", "b"], Path("a.pkl"))
        Traceback (most recent call last):
        ezav.errors.EzavError: clip 'b' in 'a.pkl' has 0 frames a second; ...
    """
    if fps is None:
        return None
    if len(as_list(fps, "fps", path)) != len(clips):
        raise EzavError(f"'{path}' has {len(fps)} fps for {len(clips)} clips")
    rates = []
    for clip, rate in zip(clips, fps):
        try:
            rates.append(float(rate))
        except (TypeError, ValueError):
            rates.append(math.nan)
        if not 0 < rates[-1] < math.inf:
            raise EzavError(
                f"clip '{clip}' in '{path}' has {rate!r} frames a second",
                "correct fps in the file, or leave it out for 25 a second",
            )
    return rates


def join(parts: Sequence[Modality]) -> Ragged:
    """Several files' worth of one modality as one.

    Example:
        >>> parts = [one_token_each(["a"], np.eye(1)), one_token_each(["b", "c"], np.ones((2, 1)))]
        >>> join(parts).offsets.tolist()
        [0, 1, 2, 3]
    """
    counts = torch.from_numpy(np.concatenate([part.counts for part in parts]))
    offsets = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    times = torch.from_numpy(np.concatenate([part.times for part in parts]))
    return Ragged(_joined([part.values for part in parts]), offsets, times)


def _joined(arrays: Sequence[np.ndarray]) -> Tensor:
    """Matrices `[T, d]` one below the other; without a copy where they lie so in memory."""
    base = arrays[0].base
    ends = [array.ctypes.data + array.nbytes for array in arrays]
    if (
        isinstance(base, np.ndarray)
        and base.dtype == np.uint8
        and all(a.base is base and a.flags.c_contiguous for a in arrays)
        and all(a.ctypes.data == end for a, end in zip(arrays[1:], ends))
        and len({(a.dtype, a.shape[1]) for a in arrays}) == 1
    ):
        start = arrays[0].ctypes.data - base.ctypes.data
        whole = base[start : start + ends[-1] - arrays[0].ctypes.data]
        return torch.from_numpy(whole.view(arrays[0].dtype).reshape(-1, arrays[0].shape[1]))
    values = [torch.from_numpy(array) for array in arrays]
    dtype = torch.float32 if any(v.dtype == torch.float32 for v in values) else torch.float16
    return torch.cat([v.to(dtype) for v in values])


def one_token_each(clips: Sequence[str], values: np.ndarray) -> Modality:
    """A matrix `[n, d]`: one vector a clip.

    Example:
        >>> one_token_each(["a", "b"], np.zeros((2, 3))).counts.tolist()
        [1, 1]
    """
    counts = np.ones(len(values), dtype=np.int64)
    return Modality(clips, as_float(values), counts, np.zeros(len(values), dtype=np.float32))


def tokens_in_time(
    clips: Sequence[str], arrays: Sequence[np.ndarray], hops: Sequence[float] | None, where: str
) -> Modality:
    """Lists of `[d]` or `[T, d]`; `hops` are seconds a token, one a clip.

    Raises:
        EzavError: the lists differ in length or an array has another shape; the clip is named.

    Example:
        >>> one = tokens_in_time(["a"], [np.zeros((3, 2))], [0.5], "a.pkl")
        >>> one.times.tolist()
        [0.25, 0.75, 1.25]
    """
    if len(arrays) != len(clips):
        raise EzavError(f"'{where}' has {len(arrays)} features for {len(clips)} clips")
    rows = []
    for clip, array in zip(clips, arrays):
        try:
            row = np.asarray(array)
        except ValueError as error:  # rows of different lengths
            raise EzavError(
                f"the features of clip '{clip}' in '{where}' are no matrix: {error}"
            ) from error
        if row.ndim not in (1, 2) or row.shape[-1] == 0:
            raise EzavError(
                f"the features of clip '{clip}' in '{where}' have the shape {list(row.shape)}",
                "a clip has one vector, or a matrix of one row a token",
            )
        rows.append(row[None] if row.ndim == 1 else row)
    if len({row.shape[1] for row in rows}) > 1:
        raise EzavError(f"the clips in '{where}' have features of different dimensions")
    counts = np.array([len(row) for row in rows], dtype=np.int64)
    values = as_float(np.concatenate(rows)) if rows else np.zeros((0, 0), dtype=np.float32)
    if hops is None:
        times = np.zeros(len(values), dtype=np.float32)
    else:
        middles = [(np.arange(n) + 0.5) * hop for n, hop in zip(counts, hops, strict=True)]
        times = np.concatenate(middles or [np.zeros(0)]).astype(np.float32)
    return Modality(clips, values, counts, times)
