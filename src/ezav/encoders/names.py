"""Class names as people write them, and what a text encoder reads."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from itertools import pairwise

_HYPHENS = "-\N{HYPHEN}\N{NON-BREAKING HYPHEN}"


def readable_name(name: str) -> str:
    """The words of a class name: what text encoders are given. The name itself stays as it is.

    Underscores separate words. Hyphens and capitals inside do so too, but only in a name without
    white space: "hip-hop dancing" and "McDonald eating" are written as they are meant. The words
    of a split name are in lower case, but for abbreviations.

    Example:
        >>> [readable_name(name) for name in ("BrushingTeeth", "brushing_teeth", "playing-guitar")]
        ['brushing teeth', 'brushing teeth', 'playing guitar']
        >>> [readable_name(name) for name in ("PlayingDJ", "YoYo", "McDonald meal", "x-ray room")]
        ['playing DJ', 'yo yo', 'McDonald meal', 'x-ray room']
    """
    words = name.replace("_", " ").split()
    if len(name.split()) == 1:
        words = [part for word in words for part in re.split(f"[{_HYPHENS}]", word) if part]
        words = [part for word in words for part in _humps(word)]
        if len(words) > 1:
            words = [word if word.isupper() and len(word) > 1 else word.lower() for word in words]
    return " ".join(words) or name


def _humps(word: str) -> list[str]:
    """Cut before a capital that begins a word: brushing|Teeth, Shot2|Put, DJ|Mixing."""
    cuts = [0]
    for i in range(1, len(word)):
        before, after = word[i - 1], word[i + 1 : i + 2]
        if word[i].isupper() and (
            before.islower() or (after.islower() and (before.isupper() or before.isdigit()))
        ):
            cuts.append(i)
    return [word[start:stop] for start, stop in pairwise([*cuts, len(word)])]


def readable_names(names: Sequence[str]) -> list[str]:
    """:func:`readable_name` of each.

    Example:
        >>> readable_names(["PlayingGuitar", "dog_barking"])
        ['playing guitar', 'dog barking']
    """
    return [readable_name(name) for name in names]


def read_otherwise(names: Sequence[str], described: Collection[str] = ()) -> dict[str, str]:
    """Name -> what a text encoder reads, for those that are read otherwise than they are written.

    Args:
        names: the class names.
        described: those in whose place descriptions are read.

    Example:
        >>> read_otherwise(["BrushingTeeth", "dog barking"])
        {'BrushingTeeth': 'brushing teeth'}
    """
    read = {name: readable_name(name) for name in names if name not in described}
    return {name: words for name, words in read.items() if words != name}
