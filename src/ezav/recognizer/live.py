"""Pipes and addresses as recordings without an end: this process fetches, a worker decodes.

Workers have no network (:mod:`ezav.extraction.confine`), and of what is live they get none either.
The bytes of the one source that the caller named are read here, unlooked at, and put into a named
pipe that the worker reads. When a worker is slower than the source, the source waits: nothing is
gathered here.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from types import TracebackType

from ezav.errors import EzavError, UnavailableError
from ezav.extraction.encoded import UNREADABLE, EncodedClip
from ezav.private import private_folder
from ezav.recognizer.live_bytes import Connection, LostError, connect, is_address, is_live
from ezav.recognizer.reading import ClipReader

__all__ = ["LiveSource", "is_live"]

_TURN = 0.05
"""Seconds between two looks at whether the pipe is still wanted."""
_LONGEST_WAIT = 30.0
"""Seconds between two attempts to connect."""


@dataclass(frozen=True)
class LiveSource:
    """A pipe or stream to be read while it comes.

    Raises:
        EzavError: an address of another kind, a patience or number that makes no sense.

    Example:
        >>> LiveSource("tcp://127.0.0.1:9000", patience=5.0).is_address
        True
    """

    name: str
    """`-` for standard input, the path of a named pipe, an address (`tcp://HOST:PORT`,
    `udp://HOST:PORT` that is sent to, `http://…`, `https://…`, `rtsp://…`), or a device
    (`/dev/video0`, `v4l2:…`, `alsa:…`, `avfoundation:…`)."""
    patience: float = 10.0
    """Seconds without a byte after which the source counts as stalled."""
    retries: int = 5
    """Attempts in a row to reach an address again that was lost, with pauses of 1, 2, 4 … 30 s."""

    def __post_init__(self) -> None:
        if not is_live(self.name):
            raise EzavError(f"'{self.name}' is not a live source", "- or an address, tcp://…")
        if not 0 < self.patience <= 50:
            raise EzavError(f"`patience={self.patience:g}`", "give up to 50 seconds")
        if self.retries < 0:
            raise EzavError(f"`retries={self.retries}`", "give 0 or more")

    @property
    def is_address(self) -> bool:
        """Whether it can be reached again when it was lost."""
        return is_address(self.name)

    def __str__(self) -> str:
        return self.name

    def windows(self, reader: ClipReader, length: float, hop: float) -> Iterator[EncodedClip]:
        """The windows of all that comes, on the clock of the first byte; a gap where it was lost.

        The last one is `lost`, with the reason, where the source did not come to an end by itself.
        """
        began: float | None = None
        reached, attempt, first_loss = 0.0, 0, ""
        while True:
            reason, came = "", False
            try:
                pump = _Pump(connect(self.name, self.patience))
            except LostError as error:
                reason = str(error)
            else:
                began = time.monotonic() if began is None else began
                behind = max(reached, time.monotonic() - began) if reached else 0.0
                offset = ceil(behind / hop) * hop
                refused = ""
                with pump as path:
                    for clip in reader.windows(path, length, hop, live=True):
                        if clip.lost or (clip.error and not came):
                            refused = clip.reason
                            continue
                        came = True
                        reached = offset + clip.start + min(clip.duration, length)
                        yield replace(clip, start=offset + clip.start)
                if refused and not pump.reason:  # it is the worker that could not go on
                    yield _lost(refused if pump.came else "nothing came")
                    return
                reason = pump.reason
                if not reason:
                    return
            attempt, first_loss = (1, reason) if came else (attempt + 1, first_loss or reason)
            if not self.is_address or attempt > self.retries:
                tried = f" (tried again in vain: {attempt - 1})"
                yield _lost(first_loss + (tried if attempt > 1 else ""))
                return
            time.sleep(min(_LONGEST_WAIT, 2.0 ** (attempt - 1)))


def _lost(reason: str) -> EncodedClip:
    return EncodedClip(status=UNREADABLE, reason=reason, lost=True)


class _Pump:
    """Carries bytes from a connection into a named pipe, in a thread, until either side ends.

    Attributes:
        reason: why the connection was lost; empty where it came to its end.
        came: whether a byte came.
    """

    def __init__(self, connection: Connection) -> None:
        self.reason, self.came = "", False
        self._connection = connection
        self._folder = contextlib.ExitStack()
        self._path = self._folder.enter_context(private_folder("live")) / "stream"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Path:
        if not hasattr(os, "mkfifo"):
            raise UnavailableError("live sources need named pipes, which this system does not have")
        os.mkfifo(self._path, 0o600)
        self._thread.start()
        return self._path

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._connection.close()
        self._thread.join(timeout=1.0)  # a silent server may hold it for its patience
        self._folder.close()

    def _run(self) -> None:
        pipe = self._reader()
        if pipe is None:
            return
        try:
            while not self._stop.is_set() and (block := self._connection.read(self._stop)):
                self.came = True
                self._write(pipe, block)
        except LostError as error:
            self.reason = str(error)
        except BrokenPipeError:
            pass  # the worker has had enough, and says why
        finally:
            os.close(pipe)

    def _reader(self) -> int | None:
        """The pipe, once the worker has opened its other end."""
        while not self._stop.wait(_TURN):
            with contextlib.suppress(OSError):  # ENXIO: nobody reads yet
                return os.open(self._path, os.O_WRONLY | os.O_NONBLOCK)
        return None

    def _write(self, pipe: int, block: bytes) -> None:
        left = memoryview(block)
        while left and not self._stop.is_set():
            if select.select([], [pipe], [], _TURN)[1]:
                with contextlib.suppress(BlockingIOError):
                    left = left[os.write(pipe, left) :]
