"""The two readers, and what their files may hold at most."""

from __future__ import annotations

import math
import mmap
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from tokenize import TokenError
from typing import Any, BinaryIO

import numpy as np

from ezav.data_pickle.arrays import PLAIN, Maker
from ezav.data_pickle.machine import Machine, budget_of
from ezav.errors import DamagedError, EzavError, RefusedError
from ezav.safe_io import cannot_read

_EACH = 64
"""Bytes that a value takes besides what it holds, about."""
_DEEP = 64
"""How deep containers may lie in each other."""


def load_data_pickle(
    path: str | Path,
    makers: Mapping[tuple[str, str], Maker] | None = None,
    size_of: Callable[[Any], int | None] = lambda value: None,
) -> Any:
    """Read a pickle that holds numpy arrays and plain containers; refuse all else by name.

    Nothing in the file is executed. What it holds may take 64 MiB and 32 times its own size, be
    it by claims, by references to one thing from many places, or by empty containers.

    Args:
        path: the file.
        makers: (module, name) -> what to call where the file names it; besides numpy's.
        size_of: the bytes of a value that a maker made; None for any other value.

    Raises:
        EzavError: the file is missing, damaged, too much, or names anything but data.

    Example:
        >>> import pickle, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "a.pkl"
        ...     _ = path.write_bytes(pickle.dumps({"x": np.arange(2)}))
        ...     assert load_data_pickle(path)["x"].tolist() == [0, 1]
        ...     _ = path.write_bytes(pickle.dumps(os.system))
        ...     load_data_pickle(path)
        Traceback (most recent call last):
        ezav.errors.RefusedError: ...: refused to load 'posix.system' from a pickle; ...
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            return _unpickle(file, path, makers or {}, size_of)
    except OSError as error:
        raise cannot_read(path, error) from error


def load_data_npy(path: str | Path) -> Any:
    """Read a ``.npy`` file; an object array (a pickled dict, say) as :func:`load_data_pickle` does.

    Returns an ndarray, or the pickled object itself when the array is a 0-d object array.

    Raises:
        EzavError: the file is missing, damaged, or its pickle names anything but data.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.save(f"{folder}/a.npy", np.eye(2))
        ...     load_data_npy(f"{folder}/a.npy").tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            version = np.lib.format.read_magic(file)
            if version != (1, 0):  # numpy would ask for as much memory as is said there
                length = int.from_bytes(file.read(4), "little")
                if length > size:
                    raise ValueError(f"it claims {length:,} bytes of header")
                file.seek(-4, os.SEEK_CUR)
            read_header = (
                np.lib.format.read_array_header_1_0
                if version == (1, 0)
                else np.lib.format.read_array_header_2_0
            )
            shape, _, dtype = read_header(file)
            if dtype.names is not None or dtype.subdtype is not None:
                raise ValueError("it holds records, not numbers or text")
            if not dtype.hasobject:
                claimed = math.prod(shape) * max(dtype.itemsize, 1)
                if claimed > size:
                    raise ValueError(f"its header claims {claimed:,} bytes of numbers")
                file.seek(0)
                return np.lib.format.read_array(file, allow_pickle=False)
            array = _unpickle(file, path, {}, lambda value: None)
            if isinstance(array, np.ndarray) and shape == ():
                return array.item()
            return array
    except OSError as error:
        raise cannot_read(path, error) from error
    except (ValueError, OverflowError, RecursionError, SyntaxError, TokenError) as error:
        raise DamagedError(f"'{path}' is not a numpy .npy file: {error}") from error


def _unpickle(
    file: BinaryIO,
    path: Path,
    makers: Mapping[tuple[str, str], Maker],
    size_of: Callable[[Any], int | None],
) -> Any:
    start = file.tell()
    try:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            found = Machine(data, start, makers).load()
            _measure(found, budget_of(len(data)), size_of)
            return found
    except EzavError as error:
        raise type(error)(f"'{path}': {error.message}", error.hint) from None
    except OSError:
        raise
    except Exception as error:  # whatever its bytes lead to
        raise DamagedError(f"'{path}' is not a readable pickle: {error}") from error


def _measure(root: Any, budget: int, size_of: Callable[[Any], int | None]) -> None:
    """Walk what was built as its readers will, shared parts as often as they are named."""
    todo: list[tuple[Any, int]] = [(root, 0)]
    while todo:
        value, depth = todo.pop()
        inside: Any = ()
        if isinstance(value, np.ndarray):
            budget -= value.nbytes
            inside = value.ravel() if value.dtype.hasobject else ()
        elif isinstance(value, dict):
            inside = [*value, *value.values()]
        elif isinstance(value, list | tuple | set | frozenset):
            inside = value
        elif isinstance(value, str | bytes | bytearray):
            budget -= len(value)
        elif not isinstance(value, PLAIN):
            size = size_of(value)
            if size is None:
                raise RefusedError(f"refused a pickle that leaves a {type(value).__name__} half")
            budget -= size
        budget -= _EACH
        if budget < 0:
            raise RefusedError("refused a pickle that holds far more than its size")
        if depth > _DEEP:
            raise RefusedError(f"refused a pickle nested deeper than {_DEEP}")
        if len(inside) > budget // _EACH:  # before it is listed
            raise RefusedError("refused a pickle that holds far more than its size")
        todo.extend((one, depth + 1) for one in inside)
