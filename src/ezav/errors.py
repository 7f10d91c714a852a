"""The errors a user may meet: one line that says what is wrong, where, and what to do.

:class:`EzavError` alone is a value that cannot be used; its subclasses name the other causes, so
that a program may catch one and not the others.
"""

from __future__ import annotations

from typing import ClassVar

from ezav.letters import shown


class EzavError(Exception):
    """A mistake in the input, told in one line.

    The command line prints the message without a traceback and ends with status 1;
    in Python it is an ordinary exception.

    Args:
        message: what is wrong and where, in one sentence.
        hint: what to do about it, in one sentence. Arguments are named as Python has them, in
            backticks (`` `retry=True` ``); the command line writes its own flags for them.

    Example:
        >>> str(EzavError("no class named 'dgo'", "did you mean 'dog'?"))
        "no class named 'dgo'; did you mean 'dog'?"
        >>> str(EzavError("no class named 'dog\\x1b[2J'"))
        "no class named 'dog\\\\x1b[2J'"
    """

    cause: ClassVar[str] = "invalid"
    """What went wrong, in a word for programs: `invalid`, `not_found`, `damaged`, …"""

    def __init__(self, message: str, hint: str | None = None) -> None:
        self.message = _one_line(message)
        self.hint = None if hint is None else _one_line(hint)
        super().__init__(self.message if self.hint is None else f"{self.message}; {self.hint}")


class NotFoundError(EzavError):
    """What was named is not there: a file, a folder, a class, an encoder, a split.

    Example:
        >>> issubclass(NotFoundError, EzavError), NotFoundError.cause
        (True, 'not_found')
    """

    cause = "not_found"


class DamagedError(EzavError):
    """What is there cannot be read, or is not what it says it is.

    Example:
        >>> DamagedError("'a.npy' is not a numpy .npy file").cause
        'damaged'
    """

    cause = "damaged"


class UnavailableError(EzavError):
    """What is needed is missing on this machine: a package, weights, a device, memory.

    Example:
        >>> UnavailableError("device 'cuda' is not usable here").cause
        'unavailable'
    """

    cause = "unavailable"


class RefusedError(EzavError):
    """It could be done, and is not without the caller's word: importing code that a folder names,
    overwriting finished work, going beyond a limit.

    Example:
        >>> RefusedError("'runs/a' exists already", "remove it first").cause
        'refused'
    """

    cause = "refused"


def _one_line(text: str) -> str:
    """Spaces inside a line stay as they are: a path may hold two. Nothing in it acts on a terminal,
    for it may quote a file of others."""
    return shown(" ".join(line.strip() for line in text.splitlines() if line.strip()))


__all__ = ["DamagedError", "EzavError", "NotFoundError", "RefusedError", "UnavailableError"]
