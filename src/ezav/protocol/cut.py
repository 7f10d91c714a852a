"""How a recording is cut into events, as joined validation clips are cut best: plain values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields

HOP = 0.5
"""Seconds from one window to the next."""
USUAL_WINDOW, USUAL_CHANGE, USUAL_CHANGE_SEVERAL = 2.0, 4.0, 0.5
"""Where nothing could be tried."""
SHORTEST = 1.0
"""Seconds: shorter events are not told."""
LEAST = 1e-9
"""Probability below which one window says no more against a class than another."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cut:
    """What is best for joined clips that were held out.

    Attributes:
        window: seconds.
        change: nats, where one class is told at a time.
        change_several: nats, where each class is told on its own.
        event_f1: of one class at a time (:func:`ezav.metrics.events.event_scores`).
        event_f1_usual: the same at `USUAL_WINDOW` and `USUAL_CHANGE`.
        event_f1_several: of each class on its own, on joined clips and on two films at once.
    """

    window: float
    change: float
    change_several: float
    event_f1: float
    event_f1_usual: float
    event_f1_several: float

    @classmethod
    def of(cls, data: Mapping[str, float]) -> Cut:
        """From a mapping.

        Raises:
            KeyError, TypeError, ValueError: an entry is missing, or is no number that it may be.

        Example:
            >>> Cut.of({})
            Traceback (most recent call last):
            KeyError: 'window'
        """
        made = cls(**{one.name: float(data[one.name]) for one in fields(cls)})
        if not (0.1 <= made.window <= 600 and min(made.change, made.change_several) >= 0):
            raise ValueError(f"a window of {made.window} s")
        if not max(made.change, made.change_several) < math.inf:
            raise ValueError(f"a change of {made.change} nats")
        return made


def nearness(middle: float, window: float, moment: float) -> float:
    """What a window counts for a moment, by how far its middle is from the moment's.

    Example:
        >>> nearness(1.0, 2.0, 1.25), nearness(1.0, 2.0, 2.0)
        (0.75, 0.05)
    """
    return max(0.05, 1 - abs(moment - middle) / (window / 2))


def share(hop: float, window: float) -> float:
    """What a moment's evidence counts: the shorter the hop, the more moments say the same."""
    return 4 * hop / window
