"""Which class names encoders have met under the labels of their own training, in one line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ezav.encoders import registry
from ezav.encoders.base import Kind
from ezav.encoders.overlap import Match, find_overlap, known_labels

_SHOWN = 3


def seen_by(encoders: Iterable[tuple[Kind, str]], names: Sequence[str]) -> dict[str, list[Match]]:
    """Encoder -> the names it has met, for encoders of this package whose labels are at hand.

    Args:
        encoders: kind and name of each, as a store or a run tells them.
        names: class names.

    Example:
        >>> found = seen_by([("visual", "efficientnet")], ["trombone", "playing the blues"])
        >>> [(one.class_name, one.label) for one in found["efficientnet"]]
        [('trombone', 'trombone')]
    """
    found: dict[str, list[Match]] = {}
    for kind, name in encoders:
        if kind == "text" or name not in registry.names(kind):
            continue
        first: dict[str, Match] = {}
        for dataset in registry.card(kind, name).trained_on:
            for match in find_overlap(names, known_labels(dataset), dataset):
                first.setdefault(match.class_name, match)
        if first:
            found[name] = list(first.values())
    return found


def told(found: dict[str, list[Match]], total: int, what: str = "names") -> str:
    """A line that says it; empty where nothing was met.

    A label of the same words was seen; one that shares words with the name may have been.

    Example:
        >>> met = [Match("a trombone", "trombone", "same"), Match("rain", "rain barrel", "part")]
        >>> told({"efficientnet": met}, 5)
        "of 5 names efficientnet has seen 1 under its labels ('a trombone'), perhaps 1 ('rain':
        rain barrel)"
    """
    parts = []
    for encoder, matches in found.items():
        sure = [f"'{one.class_name}'" for one in matches if one.kind == "same"]
        maybe = [f"'{one.class_name}': {one.label}" for one in matches if one.kind == "part"]
        said = [
            f"{word}{len(some)}{where} ({_some(some)})"
            for word, some, where in (
                ("", sure, " under its labels"),
                ("perhaps ", maybe, "" if sure else " under its labels"),
            )
            if some
        ]
        parts.append(f"{encoder} has seen {', '.join(said)}")
    return f"of {total} {what} {'; '.join(parts)}" if parts else ""


def _some(shown: list[str]) -> str:
    more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    return ", ".join(shown[:_SHOWN]) + more
