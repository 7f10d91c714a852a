"""The errors a user may meet: one line that says what is wrong, where, and what to do."""

from __future__ import annotations


class EzavError(Exception):
    """A mistake in the input, told in one line.

    The command line prints the message without a traceback and ends with status 1;
    in Python it is an ordinary exception.

    Args:
        message: what is wrong and where, in one sentence.
        hint: what to do about it, in one sentence.

    Example:
        >>> str(EzavError("no class named 'dgo'", "did you mean 'dog'?"))
        "no class named 'dgo'; did you mean 'dog'?"
    """

    def __init__(self, message: str, hint: str | None = None) -> None:
        self.message = _one_line(message)
        self.hint = None if hint is None else _one_line(hint)
        super().__init__(self.message if self.hint is None else f"{self.message}; {self.hint}")


def _one_line(text: str) -> str:
    """Spaces inside a line stay as they are: a path may hold two."""
    return " ".join(line.strip() for line in text.splitlines() if line.strip())
