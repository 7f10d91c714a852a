"""A recogniser in one file: a ZIP of its folder, unpacked into a private one, within limits."""

from __future__ import annotations

import atexit
import shutil
import zipfile
from contextlib import ExitStack
from fnmatch import fnmatch
from functools import lru_cache
from pathlib import Path

from ezav.errors import DamagedError, NotFoundError, RefusedError
from ezav.private import private_folder

_SMALL, _TIMES = 64 * 2**20, 20
"""All that is taken may have so many bytes, or so many times those of the file."""
_MEMBERS = 1000
_PIECE = 1 << 20


def is_packed(path: Path) -> bool:
    """Whether a recogniser may be in this file.

    Example:
        >>> is_packed(Path("no/such.zip"))
        False
    """
    return path.suffix.lower() == ".zip" and path.is_file()


def unpacked(path: Path, files: tuple[str, ...], first: tuple[str, ...]) -> Path:
    """The folder of a recogniser in a ZIP file, until this process ends.

    Args:
        path: the file.
        files: patterns of the names that are taken; all else is left where it is.
        first: names of which one is there, in the folder that is taken.

    Raises:
        NotFoundError: there is no recogniser in it.
        RefusedError: it would be far larger than the file.
        DamagedError: it is no ZIP file.
    """
    stat = path.stat()
    return _unpacked(path.resolve(), stat.st_mtime_ns, stat.st_size, files, first)


@lru_cache(maxsize=16)
def _unpacked(
    path: Path, _changed: int, _size: int, files: tuple[str, ...], first: tuple[str, ...]
) -> Path:
    kept = ExitStack()
    atexit.register(kept.close)
    folder = kept.enter_context(private_folder("unpacked")) / "recogniser"
    folder.mkdir()
    try:
        with zipfile.ZipFile(path) as archive:
            for info in _members(path, archive, files, first):
                # Only what follows the last slash is a name here, and one of ours.
                target = folder / info.filename.rpartition("/")[2]
                with archive.open(info) as packed, target.open("xb") as file:
                    shutil.copyfileobj(packed, file, _PIECE)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError) as error:
        raise DamagedError(f"'{path}' cannot be unpacked: {error}", "get it again") from error
    return folder


def _members(
    path: Path, archive: zipfile.ZipFile, files: tuple[str, ...], first: tuple[str, ...]
) -> list[zipfile.ZipInfo]:
    every = archive.infolist()
    places = {
        place
        for place, _, name in (info.filename.rpartition("/") for info in every)
        if name in first
    }
    if len(places) != 1 or len(every) > _MEMBERS:
        raise NotFoundError(
            f"'{path}' holds {'no recogniser' if not places else 'more than one recogniser'}",
            "unpack it, and name the folder",
        )
    (place,) = places
    found = {}
    for info in every:
        where, _, name = info.filename.rpartition("/")
        if where != place or not any(fnmatch(name, pattern) for pattern in files):
            continue
        found[name] = info
    size = sum(info.file_size for info in found.values())
    if size > max(_SMALL, _TIMES * path.stat().st_size):
        raise RefusedError(f"'{path}' would be {size:,} bytes")
    return list(found.values())
