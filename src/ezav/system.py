"""What differs between systems: locks of files, whose a file is, how a file is opened, signals.

Windows has none of POSIX's `fcntl`, `getuid`, `O_NOFOLLOW` and SIGHUP. What asks here for them can
be imported everywhere; docs/guides/systems.md says what works where.
"""

from __future__ import annotations

import os
import signal
import sys

NO_LINK: int = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
"""For `os.open`: a link is an error, and a pipe does not block."""
BYTES: int = getattr(os, "O_BINARY", 0)
"""For `os.open`: lines are not translated (Windows)."""
ENDINGS: tuple[signal.Signals, ...] = tuple(
    signal.Signals(getattr(signal, name)) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)
)
"""Signals that end a command like Ctrl-C does: of a service manager, of a terminal's closing."""


def lock_file(handle: int, *, wait: bool = False) -> None:
    """Keep an open file from other processes, until it is closed or this process ends.

    Raises:
        BlockingIOError: another process has it, and `wait` is not said.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryFile() as file:
        ...     lock_file(file.fileno())
    """
    if sys.platform == "win32":
        _lock_far_byte(handle, wait)
    else:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)


if sys.platform == "win32":
    import msvcrt

    def _lock_far_byte(handle: int, wait: bool) -> None:
        # Such locks keep others from reading, too: so of a byte that no file has.
        at = os.lseek(handle, 0, os.SEEK_CUR)
        os.lseek(handle, 1 << 30, os.SEEK_SET)
        try:
            while True:
                try:
                    # Of the two the one that waits gives up after ten seconds.
                    msvcrt.locking(handle, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
                    return
                except OSError as error:
                    if not wait:
                        raise BlockingIOError(*error.args) from error
        finally:
            os.lseek(handle, at, os.SEEK_SET)


def user() -> int | None:
    """The number of the user, as the owner of files; None where files have no such number."""
    return os.getuid() if hasattr(os, "getuid") else None


def is_gone(process: int) -> bool:
    """Whether there is no process of that number; False where the system does not say.

    Example:
        >>> is_gone(os.getpid())
        False
    """
    if os.name != "posix":  # there a signal of number 0 is none
        return False
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return True
    except PermissionError:
        pass
    return False


def is_mine(owner: int) -> bool:
    """Whether a file of this owner (`st_uid`) is one's own, as far as the system knows owners.

    Example:
        >>> is_mine(0 if user() is None else user())
        True
    """
    return user() in (None, owner)
