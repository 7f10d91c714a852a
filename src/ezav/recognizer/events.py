"""Events of a recording, and how one is scanned for them: plain values."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from ezav.errors import EzavError
from ezav.protocol.cut import (
    HOP,
    SHORTEST,
    USUAL_CHANGE,
    USUAL_CHANGE_SEVERAL,
    USUAL_WINDOW,
    Cut,
)
from ezav.recognizer.prediction import Kind

_MOST_OVERLAP = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """A stretch of a recording in which one class stands out.

    Attributes:
        start, end: seconds from the beginning of the recording.
        name, kind: the class, and whether it is seen, unseen or new.
        probability, score: means over the event; a probability that is withheld is None.
    """

    start: float
    end: float
    name: str
    kind: Kind
    probability: float | None
    score: float

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class ScanSettings:
    """How a recording is scanned.

    Raises:
        EzavError: a value that makes no sense.
    """

    window: float | None = None
    """Recognise so many seconds together; by default as the run cut its validation clips best, or
    2."""
    hop: float = HOP
    """Move on by so many seconds from one window to the next; this is the resolution of the
    events."""
    change: float | None = None
    """Ask for so much evidence before the class changes, in nats for moments of a quarter window; 0
    answers every moment on its own, more gives fewer and longer events. By default as the run cut
    its validation clips best, or 4."""
    several: bool = False
    """Decide each class on its own against none of these, so that events may overlap; thresholds
    were learned on validation."""
    min_probability: float = 0.0
    """Leave out events of a lower mean probability (also where it is not shown)."""
    reject: bool = True
    """Allow "none of these" as an answer, with the score learned on validation."""
    shortest: float = SHORTEST
    """Leave out events that are shorter than so many seconds."""

    def __post_init__(self) -> None:
        if self.several and not self.reject:
            raise EzavError(
                "`several` without `reject`: each class is told against none of these",
                "leave one of them out",
            )
        if self.window is not None:
            self._check_window(self.window, self.hop)
        if not 0 <= self.min_probability <= 1:
            raise EzavError(f"a probability of {self.min_probability}", "give 0 to 1")
        for name in ("shortest", "change"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < 1e9:
                raise EzavError(f"{name} is {value}", "give 0 or more")

    def settled(self, cut: Cut | None) -> Settled:
        """What is not given, as the run cut its validation clips best.

        Args:
            cut: of the run; None: it could not try.

        Raises:
            EzavError: the hop does not go with the window.

        Example:
            >>> ScanSettings(change=1.0).settled(None)
            Settled(window=2.0, change=1.0)
        """
        window, change = self.window, self.change
        if window is None:
            window = USUAL_WINDOW if cut is None else cut.window
            self._check_window(window, self.hop)
        if change is None:
            usual = (USUAL_CHANGE, USUAL_CHANGE_SEVERAL)
            change = (usual if cut is None else (cut.change, cut.change_several))[self.several]
        return Settled(window, change)

    @staticmethod
    def _check_window(window: float, hop: float) -> None:
        if not 0.1 <= window <= 600:
            raise EzavError(f"a window of {window} s", "give 0.1 to 600 seconds")
        if not window / _MOST_OVERLAP <= hop <= window:
            raise EzavError(
                f"a hop of {hop} s with a window of {window} s",
                f"give {window / _MOST_OVERLAP:g} to {window:g} seconds",
            )


class Settled(NamedTuple):
    """Window (seconds) and change (nats) of a scan."""

    window: float
    change: float
