"""A pool of worker processes that outlives hostile files: one such file costs one clip."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from ezav.encoders.base import AudioEncoder, VisualEncoder
from ezav.encoders.spec import EncoderSpec
from ezav.errors import EzavError
from ezav.extraction.batch import Batcher, Forward, received
from ezav.extraction.encode import OUT_OF_MEMORY, UNREADABLE, EncodedClip, slotted
from ezav.extraction.wire import receive, send
from ezav.media import Decoder

_START_SECONDS = 300
"""For a worker to import its encoders on a slow disk."""
_WATCH_SECONDS = 0.25
"""Between two looks at the memory of the workers."""
_BYTES_PER_SECOND = 1e6
"""A file may take longer than the limit by a second for each so many bytes."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one file may cost.

    Attributes:
        seconds: time for a file, plus a second for every megabyte of it.
        memory: bytes on top of what the encoders need.
    """

    seconds: float = 60.0
    memory: int = 2 << 30

    def __post_init__(self) -> None:
        if not 0 < self.seconds < 1e6:
            raise EzavError(f"a file cannot be given {self.seconds} s", "60 s is usual")
        if self.memory < 64 << 20:
            raise EzavError(
                f"{self.memory >> 20} MiB are too little to decode a file", "2048 MiB is usual"
            )


class WorkerPool:
    """Processes that decode and encode files in parallel.

    A worker that dies or does not answer in time is replaced, and the file it had is reported as
    unreadable with that reason.

    Args:
        visual, audio: the encoders, by name where workers are to load them, or one that lives in
            this process and encodes in batches what workers decode; a list of such; None leaves
            the modality out. One decoding serves all.
        workers: number of processes; default one for each CPU that this process may use.
        limits: time and memory for a file.
        use_damaged: keep the tokens of files that are cut short.
        decoder: of pictures (:func:`ezav.media.read_clip`).

    Raises:
        EzavError: an encoder cannot be loaded.

    Example:
        >>> with WorkerPool(None, EncoderSpec("statistics"), workers=1) as pool:
        ...     [(index, clip.reason) for index, clip in pool.encode(["no/such.wav"])]
        [(0, 'no such file')]
    """

    def __init__(
        self,
        visual: EncoderSpec | VisualEncoder | Sequence[EncoderSpec | VisualEncoder] | None,
        audio: EncoderSpec | AudioEncoder | Sequence[EncoderSpec | AudioEncoder] | None,
        *,
        workers: int | None = None,
        limits: Limits = Limits(),
        use_damaged: bool = False,
        decoder: Decoder = "pyav",
    ) -> None:
        self.limits = limits
        encoders = slotted(visual, audio)
        self._setup = {
            "encoders": {slot: _plain(encoder) for slot, encoder in encoders.items()},
            "sys_path": [path or str(Path.cwd()) for path in sys.path],
            "memory": limits.memory,
            "use_damaged": use_damaged,
            "decoder": decoder,
        }
        self._here = {
            slot: encoder
            for slot, encoder in encoders.items()
            if not isinstance(encoder, EncoderSpec)
        }
        self._workers: list[_Worker] = []
        try:
            for _ in range(workers or _cpus()):
                self._workers.append(_Worker(self._setup))
            for worker in self._workers:
                worker.finish_start(wait=True)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def encode(self, paths: Iterable[str | os.PathLike[str]]) -> Iterator[tuple[int, EncodedClip]]:
        """Each file's tokens with its place in `paths`, in the order in which they are ready."""
        batcher = Batcher(self._here)
        waiting = enumerate(paths)
        entry = next(waiting, None)
        while True:
            for worker in self._workers:
                if entry is None or not worker.idle:
                    continue
                if worker.connection.poll():  # it died without a file: none is to blame
                    self._restart(worker)
                    continue
                worker.begin(*entry, self.limits.seconds)
                entry = next(waiting, None)
            busy = [worker for worker in self._workers if worker.index is not None]
            if not busy and entry is None:
                yield from batcher.ready(flush=True)
                return
            awaited = busy + [worker for worker in self._workers if not worker.started]
            until = min(worker.deadline for worker in awaited) - time.monotonic()
            wait([w.connection for w in awaited], min(max(0.0, until), _WATCH_SECONDS))
            for worker in awaited:
                if not worker.started:
                    worker.finish_start()
                elif worker.connection.poll():
                    self._collect(worker, batcher)
                elif worker.memory() > worker.memory_at_start + self.limits.memory:
                    self._replace(worker, batcher, OUT_OF_MEMORY)
                elif time.monotonic() >= worker.deadline:
                    self._replace(worker, batcher, f"took longer than {worker.allowed:.0f} s")
            here = time.monotonic()
            yield from batcher.ready()
            # What encoding here and the caller took is not the workers' time.
            for worker in self._workers:
                worker.deadline += time.monotonic() - here

    def close(self) -> None:
        """End the workers."""
        for worker in self._workers:
            worker.end()
        self._workers = []

    def _collect(self, worker: _Worker, batcher: Batcher) -> None:
        """One message: a piece of media to be encoded here, or what became of the clip."""
        assert worker.index is not None
        try:
            head, arrays = receive(worker.connection)
            if "piece" in head:
                media = received(head, arrays)
                batcher.add(worker.index, head["slot"], head["piece"], media)
                return
            clip = EncodedClip.of(head, arrays, worker.path)
        except (EOFError, OSError):
            self._replace(worker, batcher, f"crashed the decoder ({worker.how_it_ended()})")
            return
        except (ValueError, KeyError) as error:
            self._replace(worker, batcher, f"the worker's answer makes no sense: {error}")
            return
        batcher.close(worker.index, clip)
        worker.index = None
        if head.get("out_of_memory"):
            self._restart(worker)

    def _replace(self, worker: _Worker, batcher: Batcher, reason: str) -> None:
        assert worker.index is not None
        clip = EncodedClip(status=UNREADABLE, reason=reason, path=worker.path)
        batcher.close(worker.index, clip)
        self._restart(worker)

    def _restart(self, worker: _Worker) -> None:
        worker.end()
        self._workers[self._workers.index(worker)] = _Worker(self._setup)


def _cpus() -> int:
    """CPUs that this process may use; macOS cannot say it and has all."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _plain(encoder: EncoderSpec | VisualEncoder | AudioEncoder) -> dict[str, Any]:
    if isinstance(encoder, EncoderSpec):
        return {"name": encoder.name, "options": dict(encoder.options)}
    return Forward.setup(encoder)


def _python_path() -> str:
    """Where this process finds ezav and the rest, for a worker to find them too.

    Not the empty entry, which is the current folder, nor what cannot be written as an entry.
    """
    paths = [os.path.abspath(path) for path in sys.path if path]
    return os.pathsep.join(path for path in paths if os.pathsep not in path)


class _Worker:
    """One process and the file it has in hand."""

    def __init__(self, setup: dict[str, Any]) -> None:
        mine, theirs = socket.socketpair()
        # What it prints when it cannot even start.
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            # -P: without it a numpy.py in the current folder would be run.
            [sys.executable, "-P", "-m", "ezav.extraction.worker", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._errors,
            # Parallelism is one process a clip; more threads inside would only get in the way.
            env=os.environ
            | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": _python_path()},
            # A group of its own: Ctrl-C reaches this process alone, which then ends the workers.
            start_new_session=True,
        )
        theirs.close()
        self.connection = Connection(mine.detach())
        self.index: int | None = None
        self.path = Path()
        self.started = False
        self.memory_at_start = 0
        self.allowed = float(_START_SECONDS)
        self.deadline = time.monotonic() + self.allowed
        send(self.connection, setup)

    @property
    def idle(self) -> bool:
        """It waits for a file."""
        return self.started and self.index is None

    def finish_start(self, wait: bool = False) -> None:
        """Take note that it is ready; with `wait`, not before it is.

        Raises:
            EzavError: it could not load its encoders.
        """
        if not self.connection.poll(max(0.0, self.deadline - time.monotonic()) if wait else 0):
            if time.monotonic() >= self.deadline:
                raise EzavError(f"a worker did not start within {_START_SECONDS} seconds")
            return
        try:
            head, _ = receive(self.connection)
        except (EOFError, OSError):
            raise EzavError(f"a worker could not start: {self.how_it_ended()}") from None
        if "error" in head:
            raise EzavError(head["error"], head["hint"])
        self.memory_at_start = self.memory()
        self.started = True

    def memory(self) -> int:
        """Bytes in use; 0 where the system does not tell (it is Linux that does)."""
        try:
            pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        except (OSError, IndexError):
            return 0
        return pages * os.sysconf("SC_PAGE_SIZE")

    def begin(self, index: int, path: str | os.PathLike[str], seconds: float) -> None:
        """Give it a file."""
        self.index, self.path = index, Path(path)
        try:
            size = self.path.stat().st_size
        except (OSError, ValueError):
            size = 0  # the worker comes to the same end and says why
        self.allowed = seconds + size / _BYTES_PER_SECOND
        self.deadline = time.monotonic() + self.allowed
        with contextlib.suppress(OSError):  # it has died: reading its answer will tell
            send(self.connection, {"path": str(self.path), "seconds": self.allowed})

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
