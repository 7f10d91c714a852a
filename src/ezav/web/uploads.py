"""Visitors' files: a private folder for them, and that none stays behind."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from ezav.system import NO_LINK, is_mine, lock_file

_PREFIX = "ezav-serve-"
_LOCK = ".in-use"
_ENDING = re.compile(r"\.[A-Za-z0-9]{1,8}\Z")


@contextmanager
def private_folder() -> Iterator[Path]:
    """A new folder that nobody else may look into, for as long as the block runs.

    What servers that were killed have left of theirs is removed first.

    Example:
        >>> with private_folder() as folder:
        ...     folder.is_dir()
        True
        >>> folder.exists()
        False
    """
    sweep_leftovers()
    while True:
        with tempfile.TemporaryDirectory(prefix=_PREFIX) as name:
            # The system takes the lock back when this process ends, however it ends.
            held = os.open(Path(name, _LOCK), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                lock_file(held, wait=True)
                if not Path(name, _LOCK).exists():
                    continue  # another server swept it away before the lock was taken
                yield Path(name)
                return
            finally:
                os.close(held)


def sweep_leftovers() -> None:
    """Remove the folders of servers that are no more: one's own, with a lock that nobody holds."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):  # another sweeps too, or it is not ours after all
            if folder.is_symlink() or not is_mine(folder.lstat().st_uid):
                continue
            held = os.open(folder / _LOCK, os.O_RDWR | NO_LINK)
            try:
                lock_file(held)
                shutil.rmtree(folder)
            finally:
                os.close(held)


@asynccontextmanager
async def arrived(pieces: AsyncIterator[bytes], folder: Path, called: str) -> AsyncIterator[Path]:
    """The body of a request as a file of ours, for as long as the block runs.

    Args:
        called: by the visitor. No path here: only a plain ending of it is kept.
    """
    ending = _ENDING.search(called)
    suffix = ending.group() if ending else ""
    handle, name = tempfile.mkstemp(dir=folder, prefix="upload-", suffix=suffix)
    try:
        with os.fdopen(handle, "wb") as file:
            async for piece in pieces:
                file.write(piece)
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)
