"""Events of a recording against the truth: which were found, by how much they overlap."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Span(NamedTuple):
    """From when to when (seconds), and what."""

    start: float
    end: float
    name: str | int


class EventScores(NamedTuple):
    """How well events were found.

    Attributes:
        f1: mean over the classes that occur of `2·hits / (told + wanted)`.
        precision, recall: over all events together; 0 where nothing is told, or wanted.
        per_class: class -> its F1.
    """

    f1: float
    precision: float
    recall: float
    per_class: dict[str | int, float]


def event_scores(
    recordings: Iterable[tuple[Sequence[Span], Sequence[Span]]], overlap: float = 0.5
) -> EventScores:
    """Match told events to wanted ones of the same class, recording by recording.

    An event is found when one of its class overlaps it by at least `overlap` of the time that
    either covers (intersection over union); each counts once, the best fitting first. This is
    event-based F1 with segments as in activity detection, at one threshold.

    Args:
        recordings: (wanted, told) of each.
        overlap: above 0, at most 1.

    Example:
        >>> wanted = [Span(0, 2, "dog"), Span(1, 3, "rain"), Span(4, 6, "dog")]
        >>> told = [Span(0, 2, "dog"), Span(1.5, 3, "rain"), Span(3.5, 8, "dog")]
        >>> found = event_scores([(wanted, told)])
        >>> found.per_class, round(found.precision, 2)
        ({'dog': 0.5, 'rain': 1.0}, 0.67)
    """
    wanted: Counter[str | int] = Counter()
    told: Counter[str | int] = Counter()
    hits: Counter[str | int] = Counter()
    for truth, found in recordings:
        wanted.update(one.name for one in truth)
        told.update(one.name for one in found)
        hits.update(_hits(truth, found, overlap))
    per_class = {name: 2 * hits[name] / (wanted[name] + told[name]) for name in wanted}
    right = sum(hits.values())
    return EventScores(
        statistics.fmean(per_class.values()) if per_class else 0.0,
        right / max(1, sum(told.values())),
        right / max(1, sum(wanted.values())),
        per_class,
    )


def _hits(truth: Sequence[Span], found: Sequence[Span], overlap: float) -> list[str | int]:
    of: dict[str | int, list[Span]] = {}
    for one in found:
        of.setdefault(one.name, []).append(one)
    pairs = [
        (shared, number, other)
        for number, one in enumerate(truth)
        for other in of.get(one.name, ())
        if other.start < one.end and one.start < other.end
        if (shared := shared_time(one, other)) >= overlap
    ]
    hits, used, matched = [], set(), set()
    for _, number, other in sorted(pairs, key=lambda pair: -pair[0]):
        if number not in matched and id(other) not in used:
            matched.add(number)
            used.add(id(other))
            hits.append(other.name)
    return hits


def shared_time(one: Span, other: Span) -> float:
    """Seconds that both cover, of those that either covers.

    Example:
        >>> shared_time(Span(0, 2, "dog"), Span(1, 3, "dog"))
        0.3333333333333333
    """
    both = min(one.end, other.end) - max(one.start, other.start)
    return max(0.0, both) / (max(one.end, other.end) - min(one.start, other.start))
