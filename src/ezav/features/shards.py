"""One shard: the features of many clips in one safetensors file, with their records.

A shard holds `audio.values [ΣT, d]`, `audio.offsets [N+1]`, `audio.times [ΣT]`, the same for
`visual`, and in its metadata one record a clip, so that the index can always be made again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from ezav.errors import DamagedError, EzavError, NotFoundError, UnavailableError
from ezav.features.feature_set import Ragged
from ezav.features.tensor_file import write_safetensors
from ezav.small_files import parse_json

Values = tuple[Tensor, Tensor]
"""One clip's tokens: values `[T, d]`, times `[T]` in seconds."""

_KEY = "ezav"
_DTYPES = (torch.float32, torch.float16)
_PARTS = ("values", "offsets", "times")


class ClipRecord(NamedTuple):
    """What is known of one clip besides its features; `checksum` is over these.

    Example:
        >>> ClipRecord("a", "dog", "", None, "ok", "", 1, 0, "00").class_name
        'dog'
    """

    clip: str
    class_name: str
    path: str
    duration: float | None
    status: str
    reason: str
    audio_tokens: int
    visual_tokens: int
    checksum: str


def pack_records(records: Sequence[ClipRecord]) -> str:
    """Records as JSON, one list a field.

    Example:
        >>> pack_records([])[:14]
        '{"clip": [], "'
    """
    columns = zip(*records) if records else [()] * len(ClipRecord._fields)
    return json.dumps(dict(zip(ClipRecord._fields, columns)))


def unpack_records(text: str) -> list[ClipRecord]:
    """What :func:`pack_records` packed.

    Example:
        >>> record = ClipRecord("a", "dog", "", None, "ok", "", 1, 1, "00")
        >>> unpack_records(pack_records([record])) == [record]
        True
    """
    columns = parse_json(text)
    return [ClipRecord(*row) for row in zip(*(columns[name] for name in ClipRecord._fields))]


def checksums(audio: Ragged, visual: Ragged) -> list[str]:
    """For each of N clips a hash over both modalities' kind, shape, values and times.

    BLAKE3: as safe against collisions as SHA-256, and several times faster.

    Example:
        >>> import torch
        >>> here, missing = Ragged.pooled(torch.ones(1, 2)), Ragged.from_clips([None], 2)
        >>> checksums(here, missing) != checksums(missing, here)
        True
    """
    from blake3 import blake3

    sides = []
    for features in (audio, visual):
        values = features.values.contiguous().numpy().reshape(-1).view("u1").data
        times = features.times.float().contiguous().numpy().view("u1").data
        width = features.dim * features.values.element_size()
        kind = f"{features.values.dtype} {features.dim} "
        sides.append((values, times, width, kind, features.offsets.tolist()))
    hashes = []
    for row in range(len(audio)):
        parts: list[bytes | memoryview] = []
        for values, times, width, kind, offsets in sides:
            start, stop = offsets[row], offsets[row + 1]
            if start == stop:
                parts.append(b"missing;")
                continue
            parts.append(f"{kind}{stop - start};".encode())
            parts.append(values[start * width : stop * width])
            parts.append(times[start * 4 : stop * 4])
        # One call a clip: for pooled features a call costs as much as the bytes.
        hashes.append(blake3(b"".join(parts)).hexdigest(16))
    return hashes


def clip_tokens(features: Ragged, row: int) -> Values | None:
    """One clip's tokens out of a modality; None where it is missing.

    Example:
        >>> features = Ragged.pooled(torch.ones(2, 3), torch.tensor([True, False]))
        >>> clip_tokens(features, 0)[0].shape, clip_tokens(features, 1)
        (torch.Size([1, 3]), None)
    """
    start, stop = features.offsets[row : row + 2].tolist()
    return None if start == stop else (features.values[start:stop], features.times[start:stop])


def storable(features: Ragged, dim: int, modality: str, clips: Sequence[str]) -> Ragged:
    """Features as they go to disk: on the CPU, float32 or float16, of the encoder's dimension.

    Raises:
        EzavError: another dimension than the header says, or a value that is not finite; the
            clip is named.

    Example:
        >>> storable(Ragged.pooled(torch.full((1, 2), torch.nan)), 2, "audio", ["a"])
        Traceback (most recent call last):
        ezav.errors.EzavError: clip 'a': its audio features are not finite; ...
    """
    values, times = features.values.detach().cpu(), features.times.detach().cpu().float()
    offsets = features.offsets.cpu()
    values = values.contiguous() if values.dtype in _DTYPES else values.float().contiguous()
    if values.shape[1] != dim:
        raise EzavError(
            f"clip '{clips[0]}': {modality} features of dimension {values.shape[1]}, but the "
            f"store's {modality} encoder gives {dim}",
            "use the encoder named in the header, or another store",
        )
    # A sum over the row is finite only if the row is (fp16 is summed in fp32, so cannot overflow).
    finite = torch.isfinite(values.sum(dim=1, dtype=torch.float32)) & torch.isfinite(times)
    if not bool(finite.all()):
        token = int((~finite).nonzero()[0, 0])
        row = int(torch.searchsorted(offsets, token, right=True)) - 1
        raise EzavError(
            f"clip '{clips[row]}': its {modality} features are not finite",
            "add it with another status and a reason, or look into the encoder",
        )
    return Ragged(values, offsets, times)


def write_part(path: Path, records: Sequence[ClipRecord], audio: Ragged, visual: Ragged) -> Path:
    """Write a shard under a name that no reader looks at; :func:`settle` makes it the shard.

    Raises:
        EzavError: it cannot be written (disk full); nothing of it is kept.
    """
    tensors = {
        f"{modality}.{part}": getattr(features, part)
        for modality, features in (("audio", audio), ("visual", visual))
        for part in _PARTS
    }
    part = path.with_name(f".{path.name}.part")
    with _writing(path, part):
        write_safetensors(part, tensors, {_KEY: pack_records(records)})
    return part


def settle(part: Path, path: Path) -> None:
    """Wait until a written shard is on the disk, then let it appear in one step.

    Raises:
        EzavError: the disk failed or is full; nothing of it is kept.
    """
    with _writing(path, part):
        sync(part)
        part.replace(path)
        sync(path.parent)


@contextmanager
def _writing(path: Path, part: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        part.unlink(missing_ok=True)
        raise UnavailableError(
            f"cannot write '{path}': {error.strerror}", "is the disk full? free some space"
        ) from error


def read_shard(path: Path) -> tuple[Ragged, Ragged]:
    """Audio and visual features of a shard, memory-mapped: only rows that are used are read.

    Example:
        >>> audio, visual = read_shard(next((store.path / "shards").iterdir()))
        >>> len(audio), audio.dim, visual.dim
        (144, 10, 12)
    """
    from safetensors import safe_open

    with _reading(path), safe_open(path, framework="pt") as file:
        parts = {
            modality: Ragged(*(file.get_tensor(f"{modality}.{part}") for part in _PARTS))
            for modality in ("audio", "visual")
        }
        for modality, part in parts.items():
            if why := _misfit(part):
                raise ValueError(f"its {modality} {why}")
    return parts["audio"], parts["visual"]


def _misfit(part: Ragged) -> str:
    """What of a shard's tensors does not fit together; empty: nothing."""
    values, offsets, times = part.values, part.offsets, part.times
    if values.ndim != 2 or values.dtype not in _DTYPES or times.shape != (len(values),):
        return "features have another shape or type"
    if offsets.ndim != 1 or offsets.dtype != torch.int64 or not len(offsets):
        return "offsets have another shape or type"
    if int(offsets[0]) or int(offsets[-1]) != len(values) or bool((offsets.diff() < 0).any()):
        return "offsets lead outside its features"
    return ""


def read_records(path: Path) -> list[ClipRecord]:
    """The records of a shard's clips, in the order of its rows.

    Example:
        >>> read_records(next((store.path / "shards").iterdir()))[0].class_name
        'class 00'
    """
    from safetensors import safe_open

    with _reading(path), safe_open(path, framework="pt") as file:
        return unpack_records(file.metadata()[_KEY])


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turns every way in which a shard can be damaged into one clear error."""
    from safetensors import SafetensorError

    if not path.is_file():
        raise NotFoundError(
            f"the shard '{path}' is missing", "copy it back or make the store again"
        )
    try:
        yield
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise DamagedError(
            f"the shard '{path}' is damaged: {error}",
            "delete it and extract again, or copy it from a backup",
        ) from error


def sync(path: Path) -> None:
    """Wait until a file (or a folder's list of names) is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
