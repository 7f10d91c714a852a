"""One shard: the features of many clips in one safetensors file, with their records.

A shard holds `audio.values [ΣT, d]`, `audio.offsets [N+1]`, `audio.times [ΣT]`, the same for
`visual`, and in its metadata one record a clip, so that the index can always be made again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ezav.errors import EzavError
from ezav.features.feature_set import Ragged
from ezav.safe_io import atomic_path

Values = tuple[Tensor, Tensor]
"""One clip's tokens: values `[T, d]`, times `[T]` in seconds."""

_KEY = "ezav"
_DTYPES = (torch.float32, torch.float16)


@dataclass(frozen=True, slots=True)
class ClipRecord:
    """What is known of one clip besides its features; `checksum` is over these."""

    clip: str
    class_name: str
    path: str
    duration: float | None
    status: str
    reason: str
    audio_tokens: int
    visual_tokens: int
    checksum: str

    def to_json(self) -> str:
        """One line of JSON."""
        # Not asdict: its deep copies cost more than the writing of a pooled clip.
        facts = {name: getattr(self, name) for name in self.__slots__}
        return json.dumps(facts, ensure_ascii=False)


def checksum(audio: Values | None, visual: Values | None) -> str:
    """A hash over both modalities' kind, shape, values and times.

    Example:
        >>> import torch
        >>> one = (torch.ones(1, 2), torch.zeros(1))
        >>> checksum(one, None) != checksum(None, one)
        True
    """
    digest = hashlib.sha256()  # in hardware on today's processors
    for tokens in (audio, visual):
        if tokens is None:
            digest.update(b"missing;")
            continue
        values, times = tokens
        digest.update(f"{values.dtype}{tuple(values.shape)};".encode())
        for tensor in (values, times):
            digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()[:32]


def clip_tokens(features: Ragged, row: int) -> Values | None:
    """One clip's tokens out of a modality; None where it is missing."""
    start, stop = features.offsets[row : row + 2].tolist()
    return None if start == stop else (features.values[start:stop], features.times[start:stop])


def storable(features: Ragged, dim: int, modality: str, clips: Sequence[str]) -> Ragged:
    """Features as they go to disk: on the CPU, float32 or float16, of the encoder's dimension.

    Raises:
        EzavError: another dimension than the header says, or a value that is not finite; the
            clip is named.
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


def write_shard(path: Path, records: Sequence[ClipRecord], audio: Ragged, visual: Ragged) -> None:
    """Write a shard in one step; on the disk when this returns."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    tensors = {
        f"{modality}.{part}": getattr(features, part).contiguous()
        for modality, features in (("audio", audio), ("visual", visual))
        for part in ("values", "offsets", "times")
    }
    text = "\n".join(record.to_json() for record in records)
    with atomic_path(path) as temporary:
        try:
            save_file(tensors, temporary, {_KEY: text})
        except SafetensorError as error:  # it wraps the system's error in a text of its own
            raise EzavError(
                f"cannot write '{path}': {error}", "is the disk full? free some space"
            ) from error
        sync(temporary)
    sync(path.parent)


def read_shard(path: Path) -> tuple[Ragged, Ragged]:
    """Audio and visual features of a shard, memory-mapped: only rows that are used are read."""
    from safetensors import safe_open

    with _reading(path), safe_open(path, framework="pt") as file:
        parts = {
            modality: Ragged(*(file.get_tensor(f"{modality}.{part}") for part in _PARTS))
            for modality in ("audio", "visual")
        }
    return parts["audio"], parts["visual"]


_PARTS = ("values", "offsets", "times")


def read_records(path: Path) -> list[ClipRecord]:
    """The records of a shard's clips, in the order of its rows."""
    from safetensors import safe_open

    with _reading(path), safe_open(path, framework="pt") as file:
        text = file.metadata()[_KEY]
    return parse_records(text.split("\n"))


def parse_records(lines: Iterable[str]) -> list[ClipRecord]:
    """Records from lines of JSON."""
    return [ClipRecord(**json.loads(line)) for line in lines]


class _reading:
    """Turns every way in which a shard can be damaged into one clear error."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        if not self.path.is_file():
            raise EzavError(
                f"the shard '{self.path}' is missing", "copy it back or make the store again"
            )

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        from safetensors import SafetensorError

        if isinstance(error, SafetensorError | KeyError | TypeError | ValueError):
            raise EzavError(
                f"the shard '{self.path}' is damaged: {error}",
                "delete it and extract again, or copy it from a backup",
            ) from error


def sync(path: Path) -> None:
    """Wait until a file (or a folder's list of names) is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
