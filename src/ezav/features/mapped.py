"""Room for features larger than memory: a temporary file, memory-mapped."""

from __future__ import annotations

import os
import tempfile

import torch
from torch import Tensor

from ezav.errors import UnavailableError
from ezav.safe_io import cache_folder


def mapped_room(rows: int, dim: int, dtype: torch.dtype) -> Tensor:
    """An uninitialised tensor `[rows, dim]` in a file that nobody else sees.

    The file has no name by the time this returns, so that it is gone with the last use of the
    tensor, however the process ends.

    Raises:
        EzavError: no room on the disk.

    Example:
        >>> mapped_room(2, 3, torch.float32).shape
        torch.Size([2, 3])
    """
    size = rows * dim * dtype.itemsize
    if not size:
        return torch.empty(rows, dim, dtype=dtype)
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix="features-") as file:
            # Reserved before it is mapped: a write to a page without room would kill the process.
            os.posix_fallocate(file.fileno(), 0, size)
            return torch.from_file(file.name, shared=True, size=rows * dim, dtype=dtype).view(
                rows, dim
            )
    except OSError as error:
        raise UnavailableError(
            f"no room for {size / 2**30:.1f} GiB of features in '{folder}': {error.strerror}",
            "set EZAV_CACHE to a folder on a larger disk",
        ) from error
