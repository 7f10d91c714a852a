"""One process at a time for what is written under a name, and a folder that appears whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from safetensors import SafetensorError

from ezav.errors import UnavailableError
from ezav.safe_io import open_for_writing
from ezav.system import lock_file

_held: set[Path] = set()


@contextmanager
def alone(path: str | Path, what: str | Path = "") -> Iterator[None]:
    """Keep other processes from what is written to a file or folder, while the block runs.

    The lock is a file beside it, `.NAME.lock`, that goes with the block. The system takes it back
    from a process that was killed: then the file is in nobody's way, and goes with the next block.
    Blocks of one process for one path may stand in each other.

    Args:
        path: what is written; it need not be there.
        what: how messages call it; by default the path.

    Raises:
        UnavailableError: another process has it, or the folder cannot be written to.
        RefusedError: a link lies in the place of the lock.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with alone(f"{folder}/run"):
        ...         print(os.listdir(folder))
        ...     print(os.listdir(folder))
        ['.run.lock']
        []
    """
    place = Path(path).resolve()
    if place in _held:
        yield
        return
    lock = place.with_name(f".{place.name}.lock")
    handle = _taken(lock, what or path)
    _held.add(place)
    try:
        yield
    finally:
        _held.discard(place)
        if os.name == "posix":  # before the lock is given back: nobody may hold what is removed
            with suppress(OSError):
                lock.unlink()
        os.close(handle)
        if os.name != "posix":  # Windows removes no open file
            with suppress(OSError):
                lock.unlink()


def _taken(lock: Path, what: str | Path) -> int:
    while True:
        try:
            lock.parent.mkdir(parents=True, exist_ok=True)
            handle = open_for_writing(lock)
        except OSError as error:
            raise UnavailableError(f"cannot write '{what}': {error.strerror}") from error
        try:
            lock_file(handle)
            mine, there = os.fstat(handle), lock.stat()
            if (mine.st_dev, mine.st_ino) == (there.st_dev, there.st_ino):
                return handle
        except BlockingIOError:
            os.close(handle)
            raise UnavailableError(
                f"another process is writing '{what}'", "wait for it, or choose another `out`"
            ) from None
        except FileNotFoundError:
            pass
        os.close(handle)  # its holder removed it between the two calls


@contextmanager
def whole_folder(folder: str | Path) -> Iterator[Path]:
    """Give a new folder to write into, which takes its place in one step when the block ends well.

    What a kill left half-written beside it goes first: call it under :func:`alone`. A folder that
    holds something is given itself: what else lies there stays.

    Raises:
        UnavailableError: it cannot be written, or the disk is full.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as root:
        ...     with whole_folder(f"{root}/run") as inside:
        ...         _ = (inside / "a").write_text("text")
        ...         print(os.path.exists(f"{root}/run"))
        ...     print(os.listdir(root), os.listdir(f"{root}/run"))
        False
        ['run'] ['a']
    """
    folder = Path(folder).resolve()
    if folder.is_dir() and any(folder.iterdir()):
        yield folder
        return
    partial = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        yield partial
        if folder.exists():
            folder.rmdir()
        partial.rename(folder)
    except (OSError, SafetensorError) as error:  # the latter from a full disk, too
        why = getattr(error, "strerror", None) or error
        raise UnavailableError(f"cannot write '{folder}': {why}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
