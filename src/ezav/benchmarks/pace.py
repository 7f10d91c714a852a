"""How long the runs that wait will take: every method at its own pace."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from ezav.benchmarks.runner import Job
from ezav.errors import EzavError
from ezav.protocol.run_folder import read_result


@dataclass(frozen=True, slots=True)
class TimeLeft:
    """What is known of the time that waiting runs take.

    Attributes:
        seconds: label -> of its waiting runs one after the other, where one of it has ended.
        unknown: labels of which none has.
        processes: how many run side by side.
    """

    seconds: dict[str, float]
    unknown: tuple[str, ...]
    processes: int

    def __str__(self) -> str:
        """In words; empty where nothing is known.

        Example:
            >>> print(TimeLeft({"sje": 600.0, "ale": 60.0}, ("devise",), processes=2))
            at least 0:05:30 left (sje 0:10:00, ale 0:01:00, not known yet: devise)
            >>> print(TimeLeft({"sje": 90.0}, (), processes=1))
            about 0:01:30 left
        """
        if not self.seconds:
            return ""
        whole = _clock(sum(self.seconds.values()) / self.processes)
        parts = [f"{label} {_clock(one)}" for label, one in self.seconds.items()]
        if self.unknown:
            parts.append(f"not known yet: {', '.join(self.unknown)}")
        each = f" ({', '.join(parts)})" if len(parts) > 1 else ""
        return f"{'at least' if self.unknown else 'about'} {whole} left{each}"


class Pace:
    """Counts what waits, and learns from each run that ends how long its method takes.

    Args:
        waiting: label of each run to be done.
        processes: how many run side by side.

    Example:
        >>> pace = Pace(["sje", "sje", "ale"], processes=1)
        >>> str(pace.left)
        ''
        >>> pace.ended("sje", 30.0)
        >>> print(pace.left)
        at least 0:00:30 left (sje 0:00:30, not known yet: ale)
    """

    def __init__(self, waiting: Iterable[str], processes: int = 1) -> None:
        self._waiting = Counter(waiting)
        self._processes = max(1, processes)
        self._took: dict[str, list[float]] = defaultdict(list)
        self._earlier: dict[str, list[float]] = defaultdict(list)

    def earlier(self, label: str, seconds: float) -> None:
        """A run of an earlier call took so long; what ends now counts instead, once there is any.

        Example:
            >>> pace = Pace(["sje", "sje"])
            >>> pace.earlier("sje", 100.0)
            >>> print(pace.left)
            about 0:03:20 left
            >>> pace.ended("sje", 10.0)
            >>> print(pace.left)
            about 0:00:10 left
        """
        self._earlier[label].append(seconds)

    def ended(self, label: str, seconds: float) -> None:
        """A run has ended after so many seconds."""
        self._waiting[label] -= 1
        self._took[label].append(seconds)

    @property
    def left(self) -> TimeLeft:
        """Of all that wait, those that run now included."""
        waiting = {label: count for label, count in self._waiting.items() if count > 0}
        known = {
            label: count * statistics.fmean(took)
            for label, count in waiting.items()
            if (took := self._took.get(label) or self._earlier.get(label))
        }
        unknown = tuple(label for label in waiting if label not in known)
        return TimeLeft(known, unknown, min(self._processes, max(1, sum(waiting.values()))))


def pace_of(jobs: Iterable[Job], kept: Iterable[Job], processes: int) -> Pace:
    """The pace of jobs, knowing how long runs took that lie in their folders already.

    Args:
        jobs: all.
        kept: those of them that are done; an outdated run of another one tells its pace all the
            same.
        processes: how many run side by side.
    """
    jobs, done = list(jobs), {job.folder for job in kept}
    pace = Pace((job.label for job in jobs if job.folder not in done), processes)
    for job in jobs:
        try:
            timing = read_result(job.folder).timing
        except EzavError:
            continue
        pace.earlier(job.label, sum(timing.values()))
    return pace


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=max(1, round(seconds))))
