"""Files written safely: in one step, and never through a link."""

from __future__ import annotations

import errno
import glob
import os
import re
import stat
import tempfile
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

from safetensors import SafetensorError

from ezav.errors import EzavError, NotFoundError, RefusedError, UnavailableError
from ezav.system import BYTES, NO_LINK, is_gone, is_mine, user


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


def open_for_writing(path: str | Path) -> int:
    """A descriptor of a plain file to read and write, made if it is not there; as it is.

    A folder of others' may hold links under the names that are written: none is followed.

    Raises:
        RefusedError: it is a link, has a second name (a hard link), or is no plain file.
        OSError: the system does not let it be written.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     os.symlink("elsewhere", f"{folder}/a")
        ...     open_for_writing(f"{folder}/a")
        Traceback (most recent call last):
        ezav.errors.RefusedError: refused to write '...a': it is a link
    """
    flags = os.O_RDWR | os.O_CREAT | NO_LINK | BYTES
    if not NO_LINK and os.path.islink(path):
        raise RefusedError(f"refused to write '{path}': it is a link")
    try:
        handle = os.open(path, flags, 0o644)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise RefusedError(f"refused to write '{path}': it is a link") from error
        raise
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        os.close(handle)
        raise RefusedError(f"refused to write '{path}': it is no file of this folder alone")
    return handle


def own_folder(path: Path) -> None:
    """Make a folder, if it is not there, inside one that may have come from others.

    Raises:
        RefusedError: a link is there.
        OSError: it cannot be made.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     os.symlink("/", f"{folder}/a")
        ...     own_folder(Path(f"{folder}/a"))
        Traceback (most recent call last):
        ezav.errors.RefusedError: refused to write into '...a': it is a link
    """
    if path.is_symlink():
        raise RefusedError(f"refused to write into '{path}': it is a link")
    path.mkdir(exist_ok=True)


def refuse_links(root: str | Path, path: str | Path) -> None:
    """Refuse to write to a path where a folder on the way to it, below `root`, is a link.

    Args:
        root: the folder that the user named; it may be a link itself.
        path: what is to be written, inside it.

    Raises:
        RefusedError: the path or a folder on the way is a link.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     os.symlink("/", f"{folder}/a")
        ...     refuse_links(folder, f"{folder}/a/b/c")
        Traceback (most recent call last):
        ezav.errors.RefusedError: refused to write into '...a': it is a link
    """
    place = Path(root)
    for part in Path(path).relative_to(root).parts:
        place = place / part
        if place.is_symlink():
            raise RefusedError(f"refused to write into '{place}': it is a link")


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
        mine = f".{path.name}.{os.getpid()}."
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=mine, suffix=".part")
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


def write_whole(handle: int, data: bytes) -> None:
    """Write all of it at the place where an open file stands, or nothing.

    Raises:
        OSError: it cannot be written; the file ends where it stood, as far as the disk lets it.

    Example:
        >>> with tempfile.TemporaryFile() as file:
        ...     write_whole(file.fileno(), b"whole")
        ...     file.seek(0), file.read()
        (0, b'whole')
    """
    at = os.lseek(handle, 0, os.SEEK_CUR)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(handle, rest) :]
    except OSError:
        with suppress(OSError):  # the first error is the one to be told
            os.ftruncate(handle, at)
            os.lseek(handle, at, os.SEEK_SET)
        raise


def check_ending(path: str | Path, endings: Collection[str], what: str) -> None:
    """Refuse a file whose name ends with none of the formats that there are.

    Args:
        path: the file that shall be written.
        endings: in small letters, with their dots.
        what: what is written, in the plural.

    Raises:
        EzavError: it does.

    Example:
        >>> check_ending("a.xlsx", (".csv", ".json"), "answers")
        Traceback (most recent call last):
        ezav.errors.EzavError: 'a.xlsx': answers cannot be written as '.xlsx'; end the name with ...
    """
    path = Path(path)
    if path.suffix.lower() not in endings:
        raise EzavError(
            f"'{path}': {what} cannot be written as '{path.suffix or path.name}'",
            f"end the name with {', '.join(endings)}",
        )


def check_writable(path: str | Path) -> None:
    """Try before long work whether its result can be written to a file; its folder is made.

    What a process that was killed has left beside it of the same file goes.

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
        _remove_parts(path)
    except OSError as error:
        raise UnavailableError(f"cannot write '{path}': {error.strerror}") from error


def _remove_parts(path: Path) -> None:
    """Remove what :func:`atomic_path` had begun of a file in processes that are no more."""
    for part in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        begun_by = re.fullmatch(r"\.(\d+)\.\w{8}\.part", part.name[len(path.name) + 1 :])
        if begun_by and is_gone(int(begun_by.group(1))):
            with suppress(OSError):  # another call does the same
                part.unlink()


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

    Where there is no home folder, or it cannot be written to, it is a folder of the user's own
    beside temporary files, and that is said once (a warning).

    Raises:
        UnavailableError: that one belongs to somebody else.

    Example:
        >>> cache_folder().is_absolute()
        True
    """
    given = os.environ.get("EZAV_CACHE")
    return Path(given) if given else _own_cache(os.environ.get("HOME"))


@lru_cache
def _own_cache(home: str | None) -> Path:
    """The cache of a user with that home folder; asked and told once."""
    try:
        folder = Path(home or Path.home()) / ".cache" / "ezav"
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
        why = "it is read-only"
    except (OSError, RuntimeError) as error:  # the latter: the system knows no home of the user's
        why = getattr(error, "strerror", None) or str(error)
    own = Path(tempfile.gettempdir()) / f"ezav-cache-{user() or 0}"
    try:
        own.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise UnavailableError(f"no folder to keep things in: {error}", "set EZAV_CACHE") from error
    if own.is_symlink() or not is_mine(own.stat().st_uid):
        raise UnavailableError(f"'{own}' belongs to somebody else", "set EZAV_CACHE to a folder")
    warnings.warn(
        f"the home folder cannot keep what ezav makes ({why}); it is in '{own}', or where "
        "EZAV_CACHE says",
        stacklevel=3,
    )
    return own
