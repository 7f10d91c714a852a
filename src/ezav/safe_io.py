"""Files in and out, safely: atomic writes, and pickles that can hold data but run no code."""

from __future__ import annotations

import importlib
import io
import math
import os
import pickle
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError

from ezav.errors import DamagedError, EzavError, NotFoundError, RefusedError, UnavailableError

# What a pickle of numpy arrays in plain containers needs, and nothing that can run code.
_ALLOWED_GLOBALS: dict[tuple[str, str], Any] = {
    ("builtins", "set"): set,
    ("builtins", "frozenset"): frozenset,
    ("builtins", "bytearray"): bytearray,
    ("builtins", "complex"): complex,
    ("builtins", "slice"): slice,
    ("collections", "OrderedDict"): dict,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}
_NUMPY_FUNCTIONS = {
    ("multiarray", "_reconstruct"),
    ("multiarray", "scalar"),
    ("numeric", "_frombuffer"),
}


class _DataOnlyUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        module = {"__builtin__": "builtins"}.get(module, module)  # as protocol 2 writes it
        if (module, name) in _ALLOWED_GLOBALS:
            return _ALLOWED_GLOBALS[(module, name)]
        # Files written by numpy 1 name numpy.core, by numpy 2 numpy._core.
        if module.startswith("numpy.") and (module.split(".")[-1], name) in _NUMPY_FUNCTIONS:
            return getattr(importlib.import_module(module.replace(".core.", "._core.")), name)
        if (module, name) == ("_codecs", "encode"):
            return _latin1_encode
        raise RefusedError(
            f"refused to load '{module}.{name}' from a pickle",
            "only numpy arrays and plain containers are read; convert the file if you trust it",
        )


def _latin1_encode(text: str, encoding: str = "latin1") -> bytes:
    """Protocol-2 pickles spell bytes as ``_codecs.encode(text, 'latin1')``."""
    if encoding not in {"latin1", "latin-1", "iso-8859-1"}:
        raise RefusedError(f"refused the codec '{encoding}' in a pickle")
    return text.encode("latin1")


def load_data_pickle(path: str | Path) -> Any:
    """Read a pickle that holds numpy arrays and plain containers; refuse all else by name.

    Nothing in the file is executed: a global other than numpy's array constructors is an error.

    Raises:
        EzavError: the file is missing, damaged, or names anything but data.

    Example:
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
            return _unpickle(file, path)
    except OSError as error:
        raise cannot_read(path, error) from error


def load_data_npy(path: str | Path) -> Any:
    """Read a ``.npy`` file; an object array (a pickled dict, say) through the restricted reader.

    Returns an ndarray, or the pickled object itself when the array is a 0-d object array.

    Raises:
        EzavError: the file is missing, damaged, or its pickle names anything but data.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.save(f"{folder}/a.npy", np.eye(2))
        ...     load_data_npy(f"{folder}/a.npy").tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            read_header = (
                np.lib.format.read_array_header_1_0
                if version == (1, 0)
                else np.lib.format.read_array_header_2_0
            )
            shape, _, dtype = read_header(file)
            if not dtype.hasobject:
                claimed = math.prod(shape) * dtype.itemsize
                if claimed > os.fstat(file.fileno()).st_size:
                    raise ValueError(f"its header claims {claimed:,} bytes of numbers")
                file.seek(0)
                return np.lib.format.read_array(file, allow_pickle=False)
            array = _unpickle(file, path)
            if isinstance(array, np.ndarray) and shape == ():
                return array.item()
            return array
    except OSError as error:
        raise cannot_read(path, error) from error
    except ValueError as error:
        raise DamagedError(f"'{path}' is not a numpy .npy file: {error}") from error


def _unpickle(file: io.BufferedReader, path: Path) -> Any:
    try:
        return _DataOnlyUnpickler(file).load()
    except EzavError as error:
        raise type(error)(f"'{path}': {error.message}", error.hint) from None
    except Exception as error:
        raise DamagedError(f"'{path}' is not a readable pickle: {error}") from error


def cannot_read(path: str | Path, error: OSError, hint: str | None = None) -> EzavError:
    """The error of a file that the system does not give: it is not there, or not to be had.

    Example:
        >>> raise cannot_read("a.npy", FileNotFoundError(2, "No such file or directory"))
        Traceback (most recent call last):
        ezav.errors.NotFoundError: cannot read 'a.npy': No such file or directory
        >>> cannot_read("a.npy", PermissionError(13, "Permission denied")).cause
        'unavailable'
    """
    absent = isinstance(error, FileNotFoundError | NotADirectoryError)
    cause = NotFoundError if absent else UnavailableError
    return cause(f"cannot read '{path}': {error.strerror or error}", hint)


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside ``path``; on success it takes its place in one step.

    A reader sees the old file or the whole new one, never a half-written one; on an error
    or an interrupt the temporary file is removed.

    Raises:
        EzavError: the folder cannot be written or the disk is full.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with atomic_path(f"{folder}/a.txt") as temporary:
        ...         _ = temporary.write_text("whole")
        ...         before = Path(f"{folder}/a.txt").exists()
        ...     print(before, Path(f"{folder}/a.txt").read_text())
        False whole
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        os.close(handle)
    except OSError as error:
        raise UnavailableError(f"cannot write '{path}': {error.strerror}") from error
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        os.replace(temporary, path)
    except (OSError, SafetensorError) as error:  # the latter from a full disk, too
        why = getattr(error, "strerror", None) or error
        raise UnavailableError(f"cannot write '{path}': {why}") from error
    finally:
        temporary.unlink(missing_ok=True)


def check_writable(path: str | Path) -> None:
    """Try before long work whether its result can be written to a file; its folder is made.

    Raises:
        EzavError: it is a folder, or one that cannot be written to.

    Example:
        >>> check_writable("/")
        Traceback (most recent call last):
        ezav.errors.EzavError: cannot write '/': it is a folder
    """
    path = Path(path)
    if path.is_dir():
        raise EzavError(f"cannot write '{path}': it is a folder")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise UnavailableError(f"cannot write '{path}': {error.strerror}") from error


def write_text(path: str | Path, text: str) -> None:
    """Write a text file in one step (see :func:`atomic_path`).

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_text(f"{folder}/made/a.txt", "text")
        ...     Path(f"{folder}/made/a.txt").read_text()
        'text'
    """
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def cache_folder() -> Path:
    """Where what can be made again is kept: `EZAV_CACHE`, or `~/.cache/ezav`.

    Example:
        >>> cache_folder().is_absolute()
        True
    """
    return Path(os.environ.get("EZAV_CACHE") or Path.home() / ".cache" / "ezav")
