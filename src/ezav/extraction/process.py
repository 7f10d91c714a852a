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
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO, Any

from ezav.errors import EzavError, UnavailableError
from ezav.extraction.wire import receive, send

_START_SECONDS = 300
"""For a worker to import its encoders on a slow disk."""
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
    """

    index: int
    path: Path
    windows: tuple[float, float] | None = None


class Worker:
    """One process and the file it has in hand.

    Args:
        setup: what it is told first (:mod:`ezav.extraction.worker`).
        threads: that its encoders may use; None leaves it to the environment.
    """

    def __init__(self, setup: Mapping[str, Any], threads: int | None = 1) -> None:
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
            env=os.environ | few | {"PYTHONPATH": _python_path()},
            # A group of its own: Ctrl-C reaches this process alone, which then ends the workers.
            start_new_session=True,
        )
        theirs.close()
        self.connection = Connection(mine.detach())
        self.job: Job | None = None
        self.windows = 0
        """Of the job, those that have come."""
        self.started = False
        self.cards: dict[str, tuple[str, str]] = {}
        """Slot -> name and revision of the encoder, once it has started."""
        self.failed = ""
        """The slot whose encoder it could not load."""
        self.memory_at_start = 0
        self._seconds = 0.0
        self.allowed = float(_START_SECONDS)
        self.deadline = time.monotonic() + self.allowed
        send(self.connection, setup)

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
        if not self.connection.poll(max(0.0, self.deadline - time.monotonic()) if wait else 0):
            if time.monotonic() >= self.deadline:
                raise UnavailableError(f"a worker did not start within {_START_SECONDS} seconds")
            return
        try:
            head, _ = receive(self.connection)
        except (EOFError, OSError):
            raise UnavailableError(f"a worker could not start: {self.how_it_ended()}") from None
        if "error" in head:
            self.failed = head["slot"]
            raise _CAUSES.get(head["cause"], EzavError)(head["error"], head["hint"])
        self.cards = {slot: (name, revision) for slot, (name, revision) in head["cards"].items()}
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
        with contextlib.suppress(OSError):  # it has died: reading its answer will tell
            send(self.connection, request)

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
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        said = f": {lines[-1]}" if lines else ""
        if status < 0:
            return f"signal {signal.Signals(-status).name}{said}"
        return f"status {status}{said}"

    def end(self) -> None:
        """Kill it; nothing of value is lost."""
        self.connection.close()
        self._process.kill()
        self._process.wait()
        self._errors.close()


def _python_path() -> str:
    """Where this process finds ezav and the rest, for a worker to find them too.

    Not the empty entry, which is the current folder, nor what cannot be written as an entry.
    """
    paths = [os.path.abspath(path) for path in sys.path if path]
    return os.pathsep.join(path for path in paths if os.pathsep not in path)
