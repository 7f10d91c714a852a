"""A visitor's file: read in a process of its own, within limits, then looked at for display."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import torch

from ezav.encoders.base import Encoded
from ezav.errors import EzavError
from ezav.extraction.pool import Limits, WorkerPool
from ezav.media import Clip, FrameSpec, read_clip
from ezav.media.container import UnreadableError, open_source
from ezav.recognizer import Recognizer
from ezav.recognizer.encoders import EncodedClip
from ezav.web.settings import WebSettings

SHOWN = FrameSpec.uniform(8, short_side=120)
"""Frames for the page."""
SHOWN_RATE = 16_000
"""Sample rate of the sound for the page's spectrogram."""


@dataclass(frozen=True, eq=False)
class Looked:
    """A clip's features, and the same clip decoded small for display."""

    encoded: EncodedClip
    shown: Clip


class Reader:
    """Reads files of unknown origin: time, memory, size and length are bounded.

    Decoding and encoding happen in worker processes; a file that crashes or stalls one is
    answered in words, and the worker is replaced.

    Raises:
        EzavError: an encoder of the run is not available.
    """

    def __init__(self, recognizer: Recognizer, settings: WebSettings) -> None:
        self._settings = settings
        encoders = recognizer.encoders
        # Loaded once here: a run without its encoder is told before the first visitor.
        _ = encoders.visual, encoders.audio
        specs = [encoders.spec("visual"), encoders.spec("audio")]
        limits = Limits(settings.time_limit, settings.memory_limit << 20)
        self._pools: queue.Queue[WorkerPool] = queue.Queue()
        self._all: list[WorkerPool] = []
        try:
            for _ in range(settings.workers):
                pool = WorkerPool(*specs, workers=1, limits=limits, use_damaged=True)
                self._all.append(pool)
                self._pools.put(pool)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the workers."""
        for pool in self._all:
            pool.close()
        self._all = []

    def read(self, path: Path) -> Looked:
        """The features of a file and its pictures and sound for display.

        Raises:
            EzavError: too large, too long, or not to be read; in words for the visitor.
        """
        self._check(path)
        with self._pool() as pool:
            ((_, made),) = pool.encode([path])
        if made.status != "ok" or (made.visual is None and made.audio is None):
            raise EzavError(f"this file cannot be read: {made.reason or 'nothing in it'}")
        if made.duration > 1.05 * self._settings.max_seconds + 1:
            raise self._too_long(made.duration)
        # Only a file that a worker has read within the limits is decoded in this process.
        shown = read_clip(path, video=SHOWN, audio=SHOWN_RATE)
        missing = {}
        if made.audio is None:
            missing["audio"] = shown.audio_missing or "too short"
        if made.visual is None:
            missing["visual"] = shown.video_missing or "too short"
        return Looked(
            EncodedClip(
                path="",
                audio=_tensors(made.audio),
                visual=_tensors(made.visual),
                missing=missing,
                duration=made.duration,
                warnings=shown.warnings,
            ),
            shown,
        )

    def _check(self, path: Path) -> None:
        settings = self._settings
        try:
            size = path.stat().st_size
        except OSError:
            raise EzavError(
                "the file is gone: it was kept too long ago", "upload it again"
            ) from None
        if size > settings.max_megabytes * 1e6:
            raise EzavError(
                f"the file has {size / 1e6:.0f} MB, at most {settings.max_megabytes:g} are read",
                "cut it shorter or smaller",
            )
        try:
            with open_source(path) as source:
                claimed = source.claimed
        except UnreadableError as error:
            raise EzavError(f"this file cannot be read: {error}") from None
        if claimed is not None and claimed > settings.max_seconds:
            raise self._too_long(claimed)

    def _too_long(self, seconds: float) -> EzavError:
        return EzavError(
            f"the clip is {seconds:.0f} s long, at most {self._settings.max_seconds:g} s are read",
            "cut it shorter, or use 'ezav scan' for long recordings",
        )

    @contextmanager
    def _pool(self) -> Iterator[WorkerPool]:
        pool = self._pools.get()
        try:
            yield pool
        finally:
            self._pools.put(pool)


def _tensors(tokens: Encoded | None) -> tuple[torch.Tensor, torch.Tensor] | None:
    if tokens is None:
        return None
    return torch.as_tensor(tokens.values).float(), torch.as_tensor(tokens.times).float()
