"""What the page asks for: a file and a text of names in, a prediction or a sentence out."""

from __future__ import annotations

import logging
import re
import threading
from dataclasses import replace
from pathlib import Path

from ezav.errors import EzavError
from ezav.recognizer import Prediction, Recognizer
from ezav.web.reading import Looked, Reader
from ezav.web.settings import WebSettings

log = logging.getLogger("ezav.web")

_PLACE = re.compile(r"(?<![\w.])/(?:[^/\s'\"]+/)+")
"""Where a file lies on this machine, which is told to nobody."""
_SHOWN = 8
"""Ranked names on the page."""


class Answers:
    """The one function behind the page and the API.

    Args:
        folder: where uploads are kept; no other file is ever read for a visitor.
    """

    def __init__(
        self, recognizer: Recognizer, reader: Reader, settings: WebSettings, folder: Path
    ) -> None:
        self.recognizer = recognizer
        self._reader = reader
        self._settings = settings
        self._folder = folder.resolve()
        self._lock = threading.Lock()

    def answer(
        self, upload: str | None, names: str, explain: bool = False
    ) -> tuple[Prediction, Looked]:
        """Recognise an uploaded file among the names of a text, one a line.

        An empty text means all classes of the run. What sound, picture and each moment give is
        found only when it is asked for: it costs several times the reading.

        Raises:
            EzavError: anything a visitor can do wrong, in words.
        """
        classes = self.classes(names)
        path = self._uploaded(upload)
        with self._lock:  # one list of names is encoded at a time
            self.recognizer.candidates(classes)
        looked = self._reader.read(path)
        with self._lock:
            found = self.recognizer.predict(looked.encoded, classes, top_k=_SHOWN, explain=explain)[
                0
            ]
        if found.error:
            raise EzavError(f"this file cannot be read: {found.error}")
        return replace(found, clip=""), looked  # where uploads are kept is told to nobody

    def classes(self, names: str) -> list[str] | None:
        """The names of a text, one a line; None for an empty text.

        Raises:
            EzavError: more names than the page takes.
        """
        lines = [line.strip() for line in (names or "").splitlines() if line.strip()]
        if len(lines) > self._settings.max_names:
            raise EzavError(
                f"{len(lines):,} classes are too many for this page",
                f"name at most {self._settings.max_names:,}; 'ezav predict' takes more",
            )
        return lines or None

    def _uploaded(self, upload: str | None) -> Path:
        """The uploaded file; anything outside the folder of uploads does not exist for visitors."""
        if not upload:
            raise EzavError("there is no clip yet", "upload one, record one, or take an example")
        path = Path(upload).resolve()
        if not path.is_relative_to(self._folder):
            raise EzavError("only an uploaded file is read", "upload the clip")
        return path


def in_words(error: Exception) -> str:
    """A visitor's own mistake as it is; anything else goes to the log, without details outside."""
    if isinstance(error, EzavError):
        text = _PLACE.sub("", str(error))
        return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?")) else ".")
    log.error("a request failed", exc_info=error)
    return "Something went wrong on the server; the owner finds it in the log."
