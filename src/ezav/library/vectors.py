"""One vector a window, kept in one file of the index, and those nearest to another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ezav.errors import DamagedError, UnavailableError
from ezav.features.feature_set import FeatureSet
from ezav.safe_io import atomic_path, refuse_links

if TYPE_CHECKING:
    from ezav.library.index import Library

_ROWS = 24
"""Bits of a key that say which window; those above are the recording's number."""


@dataclass(frozen=True, eq=False)
class Vectors:
    """N windows of a library as vectors.

    Attributes:
        keys: long `[N]`: which window, see :meth:`window`.
        times: float64 `[N, 2]`, where each begins and ends, in seconds.
        values: float16 `[N, d]`.
    """

    keys: Tensor
    times: Tensor
    values: Tensor

    def __len__(self) -> int:
        return len(self.keys)

    def window(self, row: int) -> tuple[int, int]:
        """The number of the recording, and which of its windows it is."""
        key = int(self.keys[row])
        return key >> _ROWS, key & ((1 << _ROWS) - 1)

    def nearest(self, query: Tensor, count: int) -> tuple[list[int], list[float]]:
        """The rows of the largest inner products with a vector `[d]`, and those, largest first.

        Every vector is looked at (usearch, exact).

        Raises:
            DamagedError: the vectors are of another dimension.
            UnavailableError: usearch is not installed.

        Example:
            >>> some = Vectors(torch.arange(3), torch.zeros(3, 2), torch.eye(3).half())
            >>> some.nearest(torch.tensor([0.0, 1.0, 0.5]), 2)
            ([1, 2], [1.0, 0.5])
        """
        check_installed()
        from usearch.compiled import MetricKind
        from usearch.index import search

        if not len(self):
            return [], []
        if self.values.shape[1] != len(query):
            raise DamagedError(
                f"the index holds vectors of {self.values.shape[1]} numbers, not {len(query)}",
                "delete the index: it is made again",
            )
        values, wanted = self.values.numpy(), query.half().numpy()
        found = search(values, wanted, min(count, len(self)), MetricKind.IP, exact=True)
        rows = [int(row) for row in found.keys]
        # The distances are rounded as the vectors are; these are not.
        near = self.values[rows].float() @ query.float()
        order = near.argsort(descending=True, stable=True)
        return [rows[at] for at in order.tolist()], near[order].tolist()


def check_installed() -> None:
    """Refuse to go on without usearch.

    Raises:
        UnavailableError: it is not installed.

    Example:
        >>> check_installed()
    """
    if find_spec("usearch") is None:
        raise UnavailableError(
            "usearch is not installed, which finds the nearest vectors", "pip install 'ezav[find]'"
        )


def vectors_of(library: Library, name: str, make: Callable[[FeatureSet], Tensor]) -> Vectors:
    """The vectors of all windows; only those of new recordings are made.

    Args:
        library: its recordings.
        name: of the vectors: what is made differently is called differently.
        make: features of N windows to vectors `[N, d]`.

    Raises:
        DamagedError: windows cannot be read.
        UnavailableError: the vectors cannot be written.
    """
    path = library.at / f"{name}.safetensors"
    kept = _read(path)
    wanted = {one.number: one for one in library.recordings if one.windows}
    numbers = kept.keys >> _ROWS if kept is not None else torch.zeros(0, dtype=torch.long)
    there = set(numbers.tolist())
    if kept is not None and there == wanted.keys():
        return kept
    parts: list[Vectors] = []
    if kept is not None:
        stays = torch.isin(numbers, torch.tensor([*wanted.keys()], dtype=torch.long))
        parts.append(Vectors(kept.keys[stays], kept.times[stays], kept.values[stays]))
    for number in wanted.keys() - there:
        row = 0
        for some in library.windows(wanted[number]):
            keys = (number << _ROWS) + torch.arange(row, row + len(some))
            parts.append(Vectors(keys, some.times, make(some.features).half()))
            row += len(some)
    if not parts:
        return Vectors(numbers, torch.zeros(0, 2, dtype=torch.float64), torch.zeros(0, 1).half())
    order = torch.cat([one.keys for one in parts]).argsort()
    found = Vectors(
        torch.cat([one.keys for one in parts])[order],
        torch.cat([one.times for one in parts])[order],
        torch.cat([one.values for one in parts])[order],
    )
    refuse_links(library.at, path)
    with atomic_path(path) as temporary:
        tensors = {"keys": found.keys, "times": found.times, "values": found.values}
        save_file(tensors, temporary)
    return found


def _read(path: object) -> Vectors | None:
    """What an earlier call kept; None where there is nothing, or nothing to be trusted."""
    try:
        with safe_open(path, framework="pt") as file:
            keys, times, values = (file.get_tensor(name) for name in ("keys", "times", "values"))
    except (OSError, SafetensorError):
        return None
    count = len(keys)
    whole = (
        keys.dtype == torch.long
        and keys.ndim == 1
        and times.shape == (count, 2)
        and times.dtype == torch.float64
        and values.ndim == 2
        and len(values) == count
        and values.dtype == torch.half
        and values.numpy().flags.aligned  # of another header, it may lie anywhere
        and bool(values.isfinite().all())
    )
    return Vectors(keys, times, values) if whole else None
