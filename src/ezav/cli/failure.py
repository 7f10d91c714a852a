"""What a command that fails says: one line for people, one JSON object for programs."""

from __future__ import annotations

import errno
import signal
from collections.abc import Mapping
from dataclasses import dataclass

from ezav.cli.ending import Ended
from ezav.cli.flags import in_flags
from ezav.errors import EzavError
from ezav.naming import shown

FAILED = 1
USAGE = 2
INTERRUPTED = 130
_SIGNALLED = 128  # and the number of the signal, as shells have it

_CAUSES = {
    errno.ENOENT: "not_found",
    errno.EISDIR: "invalid",
    errno.ENOTDIR: "invalid",
    errno.EEXIST: "invalid",
}
"""Errors of the system that are not what the machine lacks."""


class UsageError(EzavError):
    """Arguments that the command does not take."""

    cause = "usage"


@dataclass(frozen=True)
class Failure:
    """Why a command did not do what was asked.

    Attributes:
        cause: in a word for programs: that of the :class:`~ezav.errors.EzavError`, `usage`,
            `interrupted`, or `unexpected` for a fault of ezav itself.
        message: what is wrong and where, in one line.
        hint: what to do about it, in one line; None where there is nothing to say.
        status: what the command ends with.
    """

    cause: str
    message: str
    hint: str | None = None
    status: int = FAILED

    def line(self) -> str:
        """The failure as one line.

        Example:
            >>> Failure("not_found", "no run at 'r'", "give a run folder").line()
            "no run at 'r'; give a run folder"
        """
        return self.message if self.hint is None else f"{self.message}; {self.hint}"

    def as_dict(self) -> dict[str, object]:
        """The failure as programs read it.

        Example:
            >>> Failure("not_found", "no run at 'r'").as_dict()["error"]
            {'cause': 'not_found', 'message': "no run at 'r'", 'hint': None}
        """
        error = {"cause": self.cause, "message": self.message, "hint": self.hint}
        return {"error": error, "status": self.status}


def failure_of(error: BaseException, flags: Mapping[str, str], goes_on: bool = False) -> Failure:
    """What to say of an error.

    Args:
        error: what ended the command.
        flags: argument -> flag of the command, as :func:`ezav.cli.flags.flags_of` gives them.
        goes_on: the command, interrupted and called again, goes on where it stopped.

    Example:
        >>> failure_of(EzavError("`out` is a folder"), {"out": "--out"}).line()
        '--out is a folder'
        >>> failure_of(FileNotFoundError(2, "No such file", "a"), {})
        Failure(cause='not_found', message="No such file ('a')", hint=None, status=1)
    """
    if isinstance(error, EzavError):
        hint = None if error.hint is None else in_flags(error.hint, flags)
        status = USAGE if isinstance(error, UsageError) else FAILED
        return Failure(error.cause, in_flags(error.message, flags), hint, status)
    if isinstance(error, KeyboardInterrupt):
        hint = "what was finished is kept" if goes_on else None
        if isinstance(error, Ended):
            name = signal.Signals(error.number).name
            return Failure("interrupted", f"ended by {name}", hint, _SIGNALLED + error.number)
        return Failure("interrupted", "interrupted", hint, INTERRUPTED)
    if isinstance(error, OSError):
        where = f" ('{shown(str(error.filename))}')" if error.filename else ""
        cause = _CAUSES.get(error.errno or 0, "unavailable")
        return Failure(cause, f"{error.strerror or error}{where}")
    return Failure("unexpected", f"{type(error).__name__}: {error}")
