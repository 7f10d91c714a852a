"""A visitor's file: read in a process of its own, within limits, then looked at for display."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from ezav.errors import EzavError
from ezav.extraction.encoded import EncodedClip
from ezav.media import Clip, FrameSpec, read_clip
from ezav.media.container import UnreadableError, open_source
from ezav.recognizer import Recognizer
from ezav.recognizer.reading import ClipReader
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
        self._reader = ClipReader(recognizer.encoders, settings.limits)
        try:
            # A run without its encoders is told before the first visitor.
            self._reader.start(settings.workers, wait=True)
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
        self._reader.close()

    def read(self, path: Path) -> Looked:
        """The features of a file and its pictures and sound for display.

        Raises:
            EzavError: too large, too long, or not to be read; in words for the visitor.
        """
        self._check(path)
        (encoded,) = self._reader.encode([path])
        if encoded.error:
            raise EzavError(f"this file cannot be read: {encoded.error}")
        if encoded.duration > 1.05 * self._settings.max_seconds + 1:
            raise self._too_long(encoded.duration)
        # Only a file that a worker has read within the limits is decoded in this process.
        return Looked(encoded, read_clip(path, video=SHOWN, audio=SHOWN_RATE))

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
