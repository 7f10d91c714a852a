"""How a command ends when the system ends it, and what it may write to."""

from __future__ import annotations

import io
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from ezav.system import ENDINGS


class Ended(KeyboardInterrupt):
    """The system asked the command to end; what it has half done is undone, as after Ctrl-C.

    Attributes:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


@contextmanager
def ended_tidily() -> Iterator[None]:
    """SIGTERM and SIGHUP raise :class:`Ended` in the block, as Ctrl-C raises KeyboardInterrupt.

    A signal that is ignored stays ignored (`nohup`), and one that has a handler keeps it.
    """
    before = {}
    for number in ENDINGS:
        if signal.getsignal(number) is signal.SIG_DFL:
            before[number] = signal.signal(number, _end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(number: int, frame: FrameType | None) -> None:
    del frame
    signal.signal(number, signal.SIG_IGN)  # once: what tidies up is not disturbed
    raise Ended(number)


def write_what_can_be_written() -> None:
    """Let stdout and stderr replace characters that their encoding lacks, and warnings be a line.

    Where the output is ASCII (`PYTHONIOENCODING=ascii`) a class name would end the command after
    its work is done.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace" if stream is sys.stderr else "replace")
    warnings.formatwarning = lambda message, *_, **__: f"warning: {message}\n"
