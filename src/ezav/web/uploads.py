"""Visitors' files: a private folder for them, whose they are, and that none stays behind."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ezav.system import NO_LINK, is_mine, lock_file

_SWEEP_SECONDS = 5.0
_PREFIX = "ezav-serve-"
_LOCK = ".in-use"


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


class Uploads:
    """Which visitor's files are in the folder, and when they go.

    Args:
        folder: where uploads are kept.
        seconds: how long at most.
    """

    def __init__(self, folder: Path, seconds: float) -> None:
        self.folder = folder.resolve()
        self._seconds = seconds
        self._lock = threading.Lock()
        self._of: dict[str, set[Path]] = defaultdict(set)
        self._kept: set[Path] = set()

    def remember(self, session: str, upload: str) -> None:
        """A session uses a file."""
        path = Path(upload).resolve()
        if path.is_relative_to(self.folder):
            with self._lock:
                self._of[session].add(path)

    def forget(self, session: str) -> None:
        """Remove the files of a session, but for those that another one uses."""
        with self._lock:
            mine = self._of.pop(session, set())
            others = set().union(*self._of.values()) if self._of else set()
        for path in mine - others - self._kept:
            path.unlink(missing_ok=True)

    def keep_what_is_there(self) -> None:
        """What is the page's own (examples) stays until the server ends."""
        self._kept |= set(self.folder.rglob("*"))

    def size(self) -> int:
        """Bytes of all uploads that are there."""
        total = 0
        for path in list(self.folder.rglob("*")):
            try:
                if path.is_file() and path not in self._kept:
                    total += path.stat().st_size
            except FileNotFoundError:
                continue
        return total

    def sweep(self, now: float | None = None) -> None:
        """Remove files that were uploaded too long ago, whoever uses them, and empty folders."""
        limit = (time.time() if now is None else now) - self._seconds
        for path in list(self.folder.rglob("*")):
            try:
                if path in self._kept or path.stat().st_mtime >= limit:
                    continue
                if path.is_dir():
                    path.rmdir()
                else:
                    path.unlink()
            except OSError:  # gone meanwhile, or a folder that holds a newer file
                continue

    @contextmanager
    def sweeping(self) -> Iterator[None]:
        """Sweep every few seconds while the block runs."""
        over = threading.Event()

        def run() -> None:
            while not over.wait(_SWEEP_SECONDS):
                self.sweep()

        thread = threading.Thread(target=run, name="ezav-sweep", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
