"""The names a user types: checked, and matched with the classes a run knows."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ezav.encoders.descriptions import typed
from ezav.errors import EzavError
from ezav.naming import clean, difference, same, shown

MAX_NAMES = 50_000
"""More candidates than this are a mistake, not a list of classes."""
Names = Sequence[str] | Mapping[str, Sequence[str]]
"""Candidates: names, each perhaps as `name: description`; or name -> descriptions, maybe none."""
MAX_LENGTH = 500
"""Characters; text encoders read about a hundred words."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A name to choose from.

    Attributes:
        name: as typed, without spaces around it.
        row: the run's class that it names; None for a new one.
    """

    name: str
    row: int | None


def asked(classes: Names) -> tuple[list[str], dict[str, tuple[str, ...]]]:
    """The names to choose from, and the descriptions behind some of them.

    Raises:
        EzavError: no list of names, or a colon without a description.

    Example:
        >>> asked(["a dog: a dog that barks", "rain"])
        (['a dog', 'rain'], {'a dog': ('a dog that barks',)})
    """
    mapped = classes if isinstance(classes, Mapping) else {}
    given = [classes] if isinstance(classes, str) else list(classes)
    if isinstance(classes, str) or not all(isinstance(name, str) for name in given):
        read_names(classes if isinstance(classes, str) else given, ())  # raises: no list of names
    pairs = [(name, mapped[name]) if name in mapped else typed(name) for name in given]
    spaced = [(" ".join(name.split()), _lines(name, behind)) for name, behind in pairs]
    return [name for name, _ in spaced], {name: lines for name, lines in spaced if lines}


def _lines(name: str, behind: Sequence[str]) -> tuple[str, ...]:
    lines = (behind,) if isinstance(behind, str) else tuple(behind)
    if not all(isinstance(line, str) and line.strip() for line in lines):
        raise EzavError(f"'{name}' has something else than text behind it")
    if long := [line for line in lines if len(line) > MAX_LENGTH]:
        raise EzavError(
            f"a description of '{name}' has {len(long[0])} characters",
            f"at most {MAX_LENGTH} are read",
        )
    return lines


def read_names(
    names: Sequence[str], known: Sequence[str], described: Collection[str] = ()
) -> list[Wanted]:
    """Check candidates and find those that the run knows, whatever their case and spacing.

    Raises:
        EzavError: no names, too many, one that is no text, empty, overlong or not printable, or
            the same class twice; the place in the list is told.

    Example:
        >>> [wanted.row for wanted in read_names(["Dog", "walrus"], ["cat", "dog"])]
        [1, None]
    """
    if isinstance(names, str):
        raise EzavError(f"the classes must be a list of names, not the text '{names[:60]}'")
    if not len(names):
        raise EzavError("the list of classes is empty", "name at least one, or give none at all")
    if len(names) > MAX_NAMES:
        raise EzavError(f"{len(names):,} classes are too many", f"name at most {MAX_NAMES:,}")
    exact = {name: row for row, name in enumerate(known)}
    loose: dict[str, list[int]] = {}
    for name, row in exact.items():
        loose.setdefault(same(name), []).append(row)
    wanted: list[Wanted] = []
    first: dict[str | int, int] = {}
    for position, name in enumerate(names, start=1):
        name = _checked(name, position, len(names))
        rows = [exact[name]] if name in exact else loose.get(same(name), [])
        if len(rows) > 1:
            both = " and ".join(f"'{known[row]}'" for row in rows[:2])
            raise EzavError(f"class '{name}' may mean {both}", "write it as the run does")
        # What is behind a name is read, also where the run knows the name.
        found = rows[0] if rows and name not in described else None
        key = same(name) if found is None else found
        if key in first:
            earlier = wanted[first[key]].name
            told = f"'{earlier}' and '{name}', one class{difference(earlier, name)}"
            spelt = f"'{name}' twice" if earlier == name else told
            raise EzavError(
                f"the list of classes holds {spelt} (numbers {first[key] + 1} and {position})",
                "name each class once",
            )
        first[key] = len(wanted)
        wanted.append(Wanted(name, found))
    return wanted


def _checked(name: object, position: int, total: int) -> str:
    if not isinstance(name, str):
        raise EzavError(f"class {position} of {total} is not a name but {type(name).__name__}")
    # What cannot be seen (Cf) is left out: `clean` keeps joiners that some scripts need.
    if any(unicodedata.category(letter) in {"Cc", "Cs", "Co", "Cn"} for letter in name.strip()):
        raise EzavError(
            f"class {position} of {total} holds characters that cannot be printed: "
            f"'{shown(name.strip())[:60]}'"
        )
    name = clean(name)
    if not name:
        raise EzavError(f"class {position} of {total} has an empty name", "remove it or name it")
    if len(name) > MAX_LENGTH:
        raise EzavError(
            f"the name of class {position} of {total} has {len(name)} characters",
            f"at most {MAX_LENGTH} are read: a name or a short sentence",
        )
    return name
