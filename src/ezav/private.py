"""Temporary folders that nobody else looks into, and that none stays behind after a kill."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ezav.system import NO_LINK, is_mine, lock_file

_PREFIX = "ezav-"
_LOCK = ".in-use"


@contextmanager
def private_folder(what: str) -> Iterator[Path]:
    """A new temporary folder that nobody else may look into, for as long as the block runs.

    What processes that were killed have left of theirs is removed first.

    Args:
        what: it is for, a word of its name.

    Example:
        >>> with private_folder("example") as folder:
        ...     folder.is_dir()
        True
        >>> folder.exists()
        False
    """
    sweep_leftovers()
    while True:
        with tempfile.TemporaryDirectory(prefix=f"{_PREFIX}{what}-") as name:
            # The system takes the lock back when this process ends, however it ends.
            held = os.open(Path(name, _LOCK), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                lock_file(held, wait=True)
                if not Path(name, _LOCK).exists():
                    continue  # another process swept it away before the lock was taken
                yield Path(name)
                return
            finally:
                os.close(held)


def sweep_leftovers() -> None:
    """Remove the folders of processes that are no more: one's own, with a lock nobody holds."""
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
