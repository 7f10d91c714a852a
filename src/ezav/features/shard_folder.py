"""The shards of a store: each compared with what was written, clips of several gathered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from ezav.errors import DamagedError
from ezav.features.feature_set import Ragged
from ezav.features.header import MODALITIES, Contents
from ezav.features.mapped import mapped_room
from ezav.features.shards import checksums, read_shard

AGAIN = "copy the store again, or make it anew"
_CHEAP = 2 << 30
_COMPARED = ("clip", "row", "checksum")


class ShardFolder:
    """The shards of one store.

    Args:
        path: the folder of the store.
        contents: what it holds.
        index: gives its index, which is read only when a shard is.
    """

    def __init__(self, path: Path, contents: Contents, index: Callable[[], pa.Table]) -> None:
        self.path = path
        self.contents = contents
        self._index = index
        self._compared: set[int] = set()
        self._left = _CHEAP

    def path_of(self, number: int) -> Path:
        """The file of the shard that the index calls `number`."""
        if not 0 <= number < len(self.contents.shards):
            raise DamagedError(f"the index of '{self.path}' names a shard that it lacks", AGAIN)
        return self.path / "shards" / self.contents.shards[number]

    def read(self, number: int) -> tuple[Ragged, Ragged]:
        """Both modalities of a shard, whose clips are what was written.

        Raises:
            EzavError: it is missing or damaged, or holds other features than were written.
        """
        path = self.path_of(number)
        parts = read_shard(path)
        for part, modality in zip(parts, MODALITIES):
            if part.dim != self.contents.header.dim(modality):
                raise DamagedError(f"'{path}' has {modality} features of another size", AGAIN)
        size = path.stat().st_size
        if number in self._compared or size > self._left:
            return parts
        self._left -= size
        index = self._index()
        rows = index.filter(pc.equal(index.column("shard"), number))
        hashes = checksums(*parts)
        for clip, row, told in zip(*(rows.column(n).to_pylist() for n in _COMPARED)):
            if not 0 <= row < len(hashes) or hashes[row] != told:
                raise DamagedError(
                    f"clip '{clip}' in '{path}' has other features than were written",
                    "ezav verify tells all; copy the store again or make it anew",
                )
        self._compared.add(number)
        return parts

    def gather(
        self,
        shard: Tensor,
        row: Tensor,
        counts: list[Tensor],
        dtype: torch.dtype | None,
        mapped: bool,
    ) -> list[Ragged]:
        """Both modalities of the clips at (shard, row), each shard mapped once."""
        result: list[Ragged | None] = [None, None]
        offsets = [torch.cat([count.new_zeros(1), count.cumsum(0)]) for count in counts]
        numbers = sorted(set(shard.tolist()))
        self._refuse_claims(numbers, [int(one[-1]) for one in offsets])
        for number in numbers:
            here = (shard == number).nonzero()[:, 0]
            for modality, part in enumerate(self.read(number)):
                if not torch.equal(_lengths(part, row[here]), counts[modality][here]):
                    raise DamagedError(
                        f"'{self.path_of(number)}' does not hold what the index says", AGAIN
                    )
                if result[modality] is None:
                    total = int(offsets[modality][-1])
                    room = mapped_room if mapped else torch.empty
                    values = room(total, part.dim, dtype=dtype or part.values.dtype)
                    times = torch.empty(total)
                    result[modality] = Ragged(values, offsets[modality], times, mapped)
                target = result[modality]
                assert target is not None
                source = _token_rows(part.offsets, row[here], counts[modality][here])
                place = _token_rows(offsets[modality], here, counts[modality][here])
                target.values[place] = part.values[source].to(target.values.dtype)
                target.times[place] = part.times[source]
        return [
            Ragged.from_clips([], self.contents.header.dim(modality)) if found is None else found
            for found, modality in zip(result, MODALITIES)
        ]

    def _refuse_claims(self, numbers: list[int], tokens: list[int]) -> None:
        """Refuse an index that counts more tokens than its shards have bytes for."""
        paths = [self.path_of(number) for number in numbers]
        if not all(path.is_file() for path in paths):
            return  # reading them tells
        held = sum(path.stat().st_size for path in paths)
        half = 2  # bytes of the smallest number that a shard holds
        if held < sum(half * n * self.contents.header.dim(m) for n, m in zip(tokens, MODALITIES)):
            raise DamagedError(
                f"the index of '{self.path}' claims more than its shards hold", AGAIN
            )


def _lengths(part: Ragged, rows: Tensor) -> Tensor:
    """How many tokens some rows have; -1 where there is no such row."""
    there = (rows >= 0) & (rows < len(part))
    if not len(part):
        return torch.full_like(rows, -1)
    return torch.where(there, part.lengths[rows.where(there, rows.new_zeros(()))], -1)


def _token_rows(offsets: Tensor, clips: Tensor, counts: Tensor) -> Tensor:
    """The token rows of some clips, one after the other: `offsets[c] … offsets[c] + counts[c]`."""
    start = counts.cumsum(0) - counts
    return torch.arange(int(counts.sum())) + (offsets[clips] - start).repeat_interleave(counts)
