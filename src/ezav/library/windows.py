"""The windows of one recording on disk: tokens, times, small pictures; a part for some hundreds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ezav.answers.sheet import pictures_of
from ezav.errors import DamagedError, EzavError
from ezav.extraction.encoded import EncodedClip
from ezav.features.feature_set import FeatureSet, Ragged
from ezav.features.header import MODALITIES
from ezav.safe_io import atomic_path
from ezav.small_files import parse_json


@dataclass(frozen=True, eq=False)
class Windows:
    """N windows of a recording, in order.

    Attributes:
        times: float64 `[N, 2]`, where each begins and ends in the recording, in seconds.
        features: their tokens; clips and labels mean nothing.
    """

    times: Tensor
    features: FeatureSet

    def __len__(self) -> int:
        return len(self.times)


def write_windows(path: Path, clips: Sequence[EncodedClip], features: FeatureSet) -> None:
    """Write a part in one step.

    Args:
        path: the file.
        clips: the windows; `start`, `duration` and `shown` are kept of them.
        features: their tokens.

    Raises:
        UnavailableError: it cannot be written.
    """
    pictures = [json.dumps(pictures_of(clip.shown)).encode() for clip in clips]
    sizes = torch.tensor([0, *(len(one) for one in pictures)])
    tensors = {
        "times": torch.tensor(
            [(clip.start, clip.start + clip.duration) for clip in clips], dtype=torch.float64
        ),
        "pictures": torch.frombuffer(bytearray(b"".join(pictures)), dtype=torch.uint8),
        "pictures.offsets": sizes.cumsum(0),
    }
    for name in MODALITIES:
        side: Ragged = getattr(features, name)
        tensors[f"{name}.values"] = _small(side.values)
        tensors[f"{name}.offsets"], tensors[f"{name}.times"] = side.offsets, side.times
    with atomic_path(path) as temporary:
        save_file({name: value.contiguous() for name, value in tensors.items()}, temporary)


def _small(values: Tensor) -> Tensor:
    """In half precision, where that holds them."""
    half = values.half()
    return half if bool(half.isfinite().all()) else values


def read_windows(path: Path) -> Windows:
    """Read a part, without its pictures.

    Raises:
        DamagedError: it is not there, or is not what was written.
    """
    names = [f"{side}.{name}" for side in MODALITIES for name in ("values", "offsets", "times")]
    found = _tensors(path, ["times", *names])
    try:
        times = found["times"]
        if times.shape != (len(times), 2) or times.dtype != torch.float64:
            raise ValueError("times of another shape")
        audio, visual = (_ragged(found, side, len(times)) for side in MODALITIES)
        if not bool(times.isfinite().all()):
            raise ValueError("times that are none")
    except (ValueError, IndexError, TypeError, RuntimeError) as error:
        raise _damaged(path) from error
    count = len(times)
    labels = torch.zeros(count, dtype=torch.long)
    features = FeatureSet(
        audio=audio, visual=visual, labels=labels, clips=("",) * count, classes=("",)
    )
    return Windows(times=times, features=features)


def _ragged(found: dict[str, Tensor], side: str, count: int) -> Ragged:
    values, offsets = found[f"{side}.values"], found[f"{side}.offsets"]
    if not values.is_floating_point() or not bool(values.isfinite().all()):
        raise ValueError("tokens that are none")
    if offsets.shape != (count + 1,) or offsets.dtype != torch.long:
        raise ValueError("offsets of another shape")
    if int(offsets[0]) != 0 or int(offsets[-1]) != len(values) or bool((offsets.diff() < 0).any()):
        raise ValueError("offsets that lead nowhere")
    return Ragged(values, offsets, found[f"{side}.times"])


def read_pictures(path: Path, row: int) -> tuple[str, ...]:
    """The small pictures of one window: JPEGs in base 64.

    Raises:
        DamagedError: as :func:`read_windows`.
    """
    found = _tensors(path, ["pictures", "pictures.offsets"])
    try:
        begin, end = found["pictures.offsets"][row : row + 2].tolist()
        told = parse_json(found["pictures"][begin:end].numpy().tobytes())
        return tuple(map(str, told))
    except (ValueError, IndexError, TypeError, RuntimeError) as error:
        raise _damaged(path) from error


def _tensors(path: Path, names: Sequence[str]) -> dict[str, Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in names}
    except (OSError, SafetensorError) as error:
        raise _damaged(path) from error


def _damaged(path: Path) -> EzavError:
    return DamagedError(
        f"'{path}' is not what was written there", "delete the index: it is made again"
    )
