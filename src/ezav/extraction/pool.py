"""A pool of worker processes that outlives hostile files: one such file costs one clip."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from ezav.closing import Closing
from ezav.encoders.base import AudioEncoder, VisualEncoder
from ezav.encoders.spec import EncoderSpec
from ezav.errors import UnavailableError
from ezav.extraction.batch import Batcher, Forward, received
from ezav.extraction.encoded import (
    OUT_OF_MEMORY,
    UNREADABLE,
    EncodedClip,
    MediaEncoder,
    slotted,
)
from ezav.extraction.look import Look
from ezav.extraction.process import Job, Worker
from ezav.extraction.reading import Limits, Reading, as_message

__all__ = ["Limits", "Reading", "WorkerPool", "cpus"]

_WATCH_SECONDS = 0.05
"""Between two looks at the memory of the workers."""
_BEGINNINGS = 3
"""So many workers in a row may be killed as they begin, by the system or by a person."""
_GRACE = 5.0
"""Seconds after the deadline in which an answer that is there is still taken."""
_NONSENSE = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)
"""What reading an answer raises that no worker of ours gives."""


class WorkerPool(Closing):
    """Processes that decode and encode files in parallel.

    A worker that dies or does not answer in time is replaced, and the file it had is reported as
    unreadable with that reason. A file whose worker was killed (SIGKILL: by the system for want of
    memory, or by a person) is given to another first; a recording in windows is not.

    Args:
        visual, audio: the encoders, by name where workers are to load them, or one that lives in
            this process and encodes in batches what workers decode; a list of such; None leaves
            the modality out. One decoding serves all.
        workers: number of processes; default one for each CPU that this process may use.
        reading: time and memory for a file, and how it is read.
        threads: that each worker's encoders may use; None leaves it to the environment.
        wait: until all workers have loaded their encoders; else they go on with that meanwhile,
            and what is wrong with an encoder is told when files are.

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
        reading: Reading | None = None,
        threads: int | None = 1,
        wait: bool = True,
    ) -> None:
        self.reading = reading or Reading()
        self._threads = threads
        encoders: dict[str, EncoderSpec | MediaEncoder] = slotted(visual, audio)
        self._setup = {
            "encoders": {slot: _plain(encoder) for slot, encoder in encoders.items()},
            "sys_path": [path or str(Path.cwd()) for path in sys.path],
            "reading": as_message(self.reading),
        }
        self._here = {
            slot: encoder
            for slot, encoder in encoders.items()
            if not isinstance(encoder, EncoderSpec)
        }
        self._workers: list[Worker] = []
        self._in_vain = 0
        """Beginnings, one after the other, in which a worker was killed."""
        self._again: list[Job] = []
        """Files whose worker was killed, to be given to another."""
        try:
            for _ in range(workers or cpus()):
                self._workers.append(self._worker())
            if wait:
                self.wait()
        except BaseException:
            self.close()
            raise

    def wait(self) -> dict[str, tuple[str, str, str]]:
        """Until every worker has loaded its encoders: name, revision and identity by slot.

        Raises:
            EzavError: one cannot be loaded.
        """
        for worker in self._workers:
            worker.finish_start(wait=True)
        return self._workers[0].cards if self._workers else {}

    @property
    def failed(self) -> str:
        """The slot whose encoder a worker could not load; empty where none is known."""
        return next((worker.failed for worker in self._workers if worker.failed), "")

    def encode(
        self, paths: Iterable[str | os.PathLike[str]], look: Look | None = None
    ) -> Iterator[tuple[int, EncodedClip]]:
        """Each file's tokens with its place in `paths`, in the order in which they are ready.

        Args:
            paths: the files.
            look: what is also decoded of each for display, in `shown`.

        Example:
            >>> with WorkerPool(EncoderSpec("statistics"), None, workers=1) as pool:
            ...     [clip.status for _, clip in pool.encode(["no/such.mp4", "no/other.mp4"])]
            ['unreadable', 'unreadable']
        """
        jobs = (Job(index, Path(path), look=look) for index, path in enumerate(paths))
        for index, clip in self._run(jobs):
            yield index, clip.checked()

    def windows(
        self,
        path: str | os.PathLike[str],
        length: float,
        hop: float,
        look: Look | None = None,
        live: bool = False,
    ) -> Iterator[EncodedClip]:
        """The windows of a recording in order, each encoded as a clip of its own.

        Memory does not grow with the recording. The last one is `lost` where the file crashed or
        stalled the worker: what comes after it is not known.

        Args:
            path: of the recording.
            length, hop: of the windows, in seconds (:func:`ezav.media.read_windows`).
            look: frames and sound of each window for display, in `shown`.
            live: it is a named pipe that this process fills.

        Example:
            >>> with WorkerPool(None, EncoderSpec("statistics"), workers=1) as pool:
            ...     [clip.reason for clip in pool.windows("no/such.mkv", 2.0, 0.5)]
            ['no such file']
        """
        job = Job(0, Path(path), (length, hop), look, live)
        for _, clip in self._run(iter([job])):
            yield clip.checked()

    def look(self, path: str | os.PathLike[str], wanted: Look) -> EncodedClip:
        """One file's tokens, with its pictures and sound for display in `shown`.

        Example:
            >>> with WorkerPool(None, EncoderSpec("statistics"), workers=1) as pool:
            ...     pool.look("no/such.mp4", Look(longest=10.0)).reason
            'no such file'
        """
        ((_, clip),) = self._run(iter([Job(0, Path(path), look=wanted)]))
        return clip.checked()

    @property
    def cut_off(self) -> bool:
        """Whether the workers that have started have no network (:mod:`.confine`)."""
        return all(worker.cut_off for worker in self._workers if worker.started)

    def close(self) -> None:
        """End the workers."""
        for worker in self._workers:
            worker.end()
        self._workers = []

    def _run(self, jobs: Iterator[Job]) -> Iterator[tuple[int, EncodedClip]]:
        batcher = Batcher(self._here)
        try:
            job = next(jobs, None)
            while True:
                job = self._hand_out(job, jobs)
                busy = [worker for worker in self._workers if worker.job is not None]
                if not busy and job is None and not self._again:
                    yield from batcher.ready(flush=True)
                    return
                self._attend(busy, batcher)
                here = time.monotonic()
                yield from batcher.ready()
                # What encoding here and the caller took is not the workers' time.
                for worker in self._workers:
                    worker.deadline += time.monotonic() - here
        finally:
            self._again = []
            # The caller has left: what they have in hand must not be taken for the next answer.
            for worker in [worker for worker in self._workers if worker.job is not None]:
                self._restart(worker)

    def _hand_out(self, job: Job | None, jobs: Iterator[Job]) -> Job | None:
        """Give the idle workers files; the one that is next."""
        for worker in list(self._workers):
            if not (job or self._again) or not worker.idle:
                continue
            if worker.channel.poll():  # it died without a file: none is to blame
                self._restart(worker)
            elif self._again:
                worker.begin(self._again.pop(), self.reading.seconds)
            elif job is not None:
                worker.begin(job, self.reading.seconds)
                job = next(jobs, None)
        return job

    def _attend(self, busy: list[Worker], batcher: Batcher) -> None:
        """Wait for the workers, take what they say, and replace those that say nothing."""
        awaited = busy + [worker for worker in self._workers if not worker.started]
        until = min(worker.deadline for worker in awaited) - time.monotonic()
        wait([w.channel.fileno() for w in awaited], min(max(0.0, until), _WATCH_SECONDS))
        for worker in awaited:
            if not worker.started:
                self._see_started(worker)
            elif worker.channel.poll() and time.monotonic() < worker.deadline + _GRACE:
                self._collect(worker, batcher)
            elif worker.memory() > worker.memory_at_start + (self.reading.memory << 20):
                self._replace(worker, batcher, OUT_OF_MEMORY)
            elif time.monotonic() >= worker.deadline:
                self._replace(worker, batcher, f"took longer than {worker.allowed:.0f} s")

    def _see_started(self, worker: Worker) -> None:
        """Note that a worker has begun; one that was killed on the way is no file's fault."""
        try:
            worker.finish_start()
        except UnavailableError:
            if not worker.killed or self._in_vain >= _BEGINNINGS:
                raise
            self._in_vain += 1
            self._restart(worker)
            return
        if worker.started:
            self._in_vain = 0

    def _collect(self, worker: Worker, batcher: Batcher) -> None:
        """One message: a piece of media to be encoded here, or what became of clip or window."""
        job = worker.job
        assert job is not None
        try:
            head, arrays = worker.channel.receive()
            if "piece" in head:
                media = received(head, arrays)
                batcher.add(worker.index, head["slot"], head["piece"], media)
                return
            if "over" in head and job.windows:
                worker.job = None
                return
            clip = EncodedClip.of(head, arrays, job.path)
            _check(clip, worker)
            batcher.close(worker.index, clip)
        except (EOFError, OSError):
            how = worker.how_it_ended()
            if worker.killed_outright and not (job.windows or job.again):
                batcher.forget(job.index)
                self._again.append(replace(job, again=True))
                self._restart(worker)
            else:
                self._replace(worker, batcher, f"crashed the decoder ({how})")
            return
        except _NONSENSE as error:
            self._replace(worker, batcher, f"the worker's answer makes no sense: {error}")
            return
        if clip.lost:
            self._restart(worker)
        elif job.windows:
            worker.next_window()
        else:
            worker.job = None

    def _replace(self, worker: Worker, batcher: Batcher, reason: str) -> None:
        assert worker.job is not None
        path = worker.job.path
        batcher.close(
            worker.index, EncodedClip(status=UNREADABLE, reason=reason, path=path, lost=True)
        )
        self._restart(worker)

    def _restart(self, worker: Worker) -> None:
        worker.end()
        self._workers[self._workers.index(worker)] = self._worker()

    def _worker(self) -> Worker:
        # It cannot have more to send than it may hold.
        return Worker(self._setup, self._threads, most=self.reading.memory << 20)


def cpus() -> int:
    """CPUs that this process may use; macOS cannot say it and has all.

    Example:
        >>> cpus() >= 1
        True
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _check(clip: EncodedClip, worker: Worker) -> None:
    """Raise ValueError for tokens that none of its encoders gives."""
    for slot, tokens in clip.tokens.items():
        if tokens.values.shape[1] != worker.dimensions[slot]:
            raise ValueError("tokens of another dimension")
    if not set(clip.failed) <= set(worker.dimensions):
        raise ValueError("a failure of no encoder")


def _plain(encoder: EncoderSpec | MediaEncoder) -> dict[str, Any]:
    if isinstance(encoder, EncoderSpec):
        return {"name": encoder.name, "options": dict(encoder.options)}
    return Forward.setup(encoder)
