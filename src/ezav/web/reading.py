"""A visitor's file: read and looked at in a process of its own, within limits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ezav.closing import Closing
from ezav.errors import EzavError
from ezav.extraction.encoded import EncodedClip
from ezav.extraction.look import TOO_LONG, Look
from ezav.media import Clip
from ezav.recognizer import Recognizer
from ezav.recognizer.reading import ClipReader
from ezav.web.settings import WebSettings


@dataclass(frozen=True, eq=False)
class Looked:
    """A clip's features, and the same clip decoded small for display."""

    encoded: EncodedClip
    shown: Clip


class Reader(Closing):
    """Reads files of unknown origin: time, memory and length are bounded.

    This process does not open them: probing, decoding, encoding and the pictures for display happen
    in worker processes. A file that crashes or stalls one is answered in words, and the worker is
    replaced.

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

    def close(self) -> None:
        """End the workers."""
        self._reader.close()

    def read(self, path: Path) -> Looked:
        """The features of a file and its pictures and sound for display.

        Raises:
            EzavError: too long, or not to be read; in words for the visitor.
        """
        encoded = self._reader.look(path, Look(longest=self._settings.max_seconds))
        if encoded.reason == TOO_LONG:
            raise self._too_long(encoded.claimed or 0.0)
        if encoded.error or encoded.shown is None:
            raise EzavError(encoded.error or "it shows and sounds nothing")
        return Looked(encoded, encoded.shown)

    @property
    def cut_off(self) -> bool:
        """Whether files are read without a network (:mod:`ezav.extraction.confine`)."""
        return self._reader.cut_off

    def _too_long(self, seconds: float) -> EzavError:
        return EzavError(
            f"the clip is {seconds:.0f} s long, at most {self._settings.max_seconds:g} s are read",
            "cut it shorter, or use 'ezav scan' for long recordings",
        )
