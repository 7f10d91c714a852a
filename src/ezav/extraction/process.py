"""One worker process as its master sees it: started, given a file, watched, ended."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from ezav.errors import EzavError, UnavailableError
from ezav.extraction.confine import handed_on
from ezav.extraction.look import Look
from ezav.extraction.wire import Channel
from ezav.naming import shown

_START_SECONDS = 300
"""For a worker to import its encoders on a slow disk."""
_MESSAGE_SECONDS = 60
"""For the rest of a message that has begun."""
_LAST_WORDS = 4096
"""Bytes of what a worker printed, of which the last line is told."""
_BYTES_PER_SECOND = 1e6
"""A file may take longer than the limit by a second for each so many bytes."""
_KINDS: tuple[type[EzavError], ...] = (EzavError, *EzavError.__subclasses__())
_CAUSES = {kind.cause: kind for kind in _KINDS}


@dataclass(frozen=True, slots=True)
class Job:
    """A file for a worker.

    Attributes:
        index: its place among those that are asked for.
        path: the file.
        windows: length and hop in seconds where it is wanted in windows.
        look: what is to be shown of it, where somebody looks on.
        live: it is a named pipe.
        again: a worker that had it was killed.
    """

    index: int
    path: Path
    windows: tuple[float, float] | None = None
    look: Look | None = None
    live: bool = False
    again: bool = False


class Worker:
    """One process and the file it has in hand.

    Args:
        setup: what it is told first (:mod:`ezav.extraction.worker`).
        threads: that its encoders may use; None leaves it to the environment.
        most: bytes of media that one message of it may have.
    """

    def __init__(
        self, setup: Mapping[str, Any], threads: int | None = 1, most: int = 1 << 32
    ) -> None:
        if os.name != "posix":  # the worker is handed an open socket
            raise UnavailableError(
                "reading media needs a POSIX system", "on Windows, install ezav inside WSL 2"
            )
        mine, theirs = socket.socketpair()
        # What it prints when it cannot even start.
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS") if threads else ()
        few = dict.fromkeys(names, str(threads))
        self._process = subprocess.Popen(
            # -P: without it a numpy.py in the current folder would be run.
            [sys.executable, "-P", "-m", "ezav.extraction.worker", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._errors,
            env=handed_on(os.environ) | few | {"PYTHONPATH": python_path()},
            # A group of its own: Ctrl-C reaches this process alone, which then ends the workers.
            start_new_session=True,
        )
        theirs.close()
        self.channel = Channel(mine, seconds=_MESSAGE_SECONDS, most=most)
        self.job: Job | None = None
        self.windows = 0
        """Of the job, those that have come."""
        self.started = False
        self.cards: dict[str, tuple[str, str, str]] = {}
        """Slot -> name, revision and identity of the encoder, once it has started."""
        self.dimensions: dict[str, int] = {}
        """Slot -> of the encoder's tokens."""
        self.cut_off = False
        """It has no network; known once it has started."""
        self.failed = ""
        """The slot whose encoder it could not load."""
        self.memory_at_start = 0
        self._seconds = 0.0
        self.allowed = float(_START_SECONDS)
        self.deadline = time.monotonic() + self.allowed
        self.channel.send(setup)

    @property
    def idle(self) -> bool:
        """It waits for a file."""
        return self.started and self.job is None

    @property
    def index(self) -> int:
        """Of what it has in hand: the file's, or the window's."""
        assert self.job is not None
        return self.job.index + self.windows

    def finish_start(self, wait: bool = False) -> None:
        """Take note that it is ready; with `wait`, not before it is.

        Raises:
            EzavError: it could not load its encoders.
        """
        if self.started:
            return
        if not self.channel.poll(max(0.0, self.deadline - time.monotonic()) if wait else 0):
            if time.monotonic() >= self.deadline:
                raise UnavailableError(f"a worker did not start within {_START_SECONDS} seconds")
            return
        try:
            head, _ = self.channel.receive()
            if "error" not in head:
                cards = head["cards"].items()
                told = {slot: (str(one[0]), str(one[1]), str(one[3])) for slot, one in cards}
                self.dimensions = {slot: int(one[2]) for slot, one in head["cards"].items()}
                self.cards, self.cut_off = told, bool(head["cut_off"])
        except (EOFError, OSError):
            raise UnavailableError(f"a worker could not start: {self.how_it_ended()}") from None
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise UnavailableError(f"a worker's first answer makes no sense: {error}") from None
        if "error" in head:
            self.failed = head["slot"]
            raise _CAUSES.get(head["cause"], EzavError)(head["error"], head["hint"])
        self.memory_at_start = self.memory()
        self.started = True

    def memory(self) -> int:
        """Bytes in use; 0 where the system does not tell (it is Linux that does)."""
        try:
            pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        except (OSError, IndexError):
            return 0
        return pages * os.sysconf("SC_PAGE_SIZE")

    def begin(self, job: Job, seconds: float) -> None:
        """Give it a file."""
        self.job, self.windows, self._seconds = job, 0, seconds
        try:
            size = job.path.stat().st_size
        except (OSError, ValueError):
            size = 0  # the worker comes to the same end and says why
        self.allowed = seconds + size / _BYTES_PER_SECOND
        self.deadline = time.monotonic() + self.allowed
        request = {"path": str(job.path), "seconds": self.allowed, "windows": job.windows}
        request["live"] = job.live
        request["look"] = None if job.look is None else asdict(job.look)
        with contextlib.suppress(OSError):  # it has died: reading its answer will tell
            self.channel.send(request)

    def next_window(self) -> None:
        """A window has come: the next one has its own time."""
        self.windows += 1
        self.allowed = self._seconds
        self.deadline = time.monotonic() + self.allowed

    def how_it_ended(self) -> str:
        """Signal or status, and the last line it printed."""
        try:
            status = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return "it broke the connection"
        self._errors.seek(max(0, self._errors.seek(0, os.SEEK_END) - _LAST_WORDS))
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        said = f": {shown(lines[-1])}" if lines else ""
        if status < 0:
            return f"signal {signal.Signals(-status).name}{said}"
        return f"status {status}{said}"

    @property
    def killed(self) -> bool:
        """A signal has ended it."""
        return (self._process.poll() or 0) < 0

    @property
    def killed_outright(self) -> bool:
        """SIGKILL has ended it: the system for want of memory, or a person; no decoder does."""
        return self._process.poll() == -signal.SIGKILL

    def end(self) -> None:
        """Kill it; nothing of value is lost."""
        self.channel.close()
        self._process.kill()
        self._process.wait()
        self._errors.close()


def python_path() -> str:
    """Where this process finds ezav and the rest, for a worker to find them too.

    Not the empty entry, which is the current folder, nor what cannot be written as an entry.
    """
    paths = [os.path.abspath(path) for path in sys.path if path]
    return os.pathsep.join(path for path in paths if os.pathsep not in path)
