"""Events of a recording, and how one is scanned for them: plain values."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ezav.errors import EzavError
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

    window: float = 2.0
    """Seconds that are recognised together; about the length of the training clips."""
    hop: float = 0.5
    """Seconds from one window to the next; the resolution of the events."""
    change: float = 4.0
    """Evidence that a change of class must bring, in nats for moments of a quarter window; 0
    answers every moment on its own, more gives fewer and longer events."""
    min_probability: float = 0.0
    """Events of a lower mean probability are left out (also where it is not shown)."""
    reject: bool = True
    """"None of these" is one of the answers, with the score learned on validation."""
    shortest: float = 1.0
    """Events that are shorter than so many seconds are left out."""

    def __post_init__(self) -> None:
        if not 0.1 <= self.window <= 600:
            raise EzavError(f"a window of {self.window} s", "give 0.1 to 600 seconds")
        if not self.window / _MOST_OVERLAP <= self.hop <= self.window:
            raise EzavError(
                f"a hop of {self.hop} s with a window of {self.window} s",
                f"give {self.window / _MOST_OVERLAP:g} to {self.window:g} seconds",
            )
        if not 0 <= self.min_probability <= 1:
            raise EzavError(f"a probability of {self.min_probability}", "give 0 to 1")
        for name in ("shortest", "change"):
            if not 0 <= getattr(self, name) < 1e9:
                raise EzavError(f"{name} is {getattr(self, name)}", "give 0 or more")
