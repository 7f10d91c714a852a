"""How a file is read: what it may cost, what decodes it, and whether a damaged one counts."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from ezav.errors import EzavError
from ezav.media import Decoder

_MOST_MEMORY = 1 << 24


@dataclass(frozen=True)
class Limits:
    """What one file may cost.

    Raises:
        EzavError: a limit that makes no sense.

    Example:
        >>> Limits(seconds=5.0).memory
        2048
    """

    seconds: float = 60.0
    """Give each file so many seconds, and one more for every megabyte of it; of a long recording
    that is scanned, each window gets as many."""
    memory: int = 2048
    """Give the decoding of each file so many MiB of memory on top of what the encoders need."""

    def __post_init__(self) -> None:
        if not 0 < self.seconds < 1e6:
            raise EzavError(f"a file cannot be given {self.seconds} s", "60 s is usual")
        if self.memory < 64:
            raise EzavError(
                f"{self.memory} MiB are too little to decode a file", "2048 MiB is usual"
            )
        if self.memory > _MOST_MEMORY:
            raise EzavError(f"`memory` counts MiB, and {self.memory} are too many")


@dataclass(frozen=True)
class Reading(Limits):
    """How a file is read.

    Example:
        >>> Reading(seconds=5.0, decoder="pyav").use_damaged
        False
    """

    use_damaged: bool = False
    """Use files that are cut short as far as they go, instead of leaving them out; also those that
    earlier calls left out."""
    decoder: Decoder = "pyav"
    """Decode pictures with this library; torchcodec (pip install 'ezav[codec]') is quicker where
    few frames of long recordings are wanted."""


def reading_of(settings: Reading) -> Reading:
    """The part of wider settings that says how files are read.

    Example:
        >>> from ezav.extraction.settings import ExtractSettings
        >>> reading_of(ExtractSettings(seed=3, use_damaged=True)) == Reading(use_damaged=True)
        True
    """
    names = [one.name for one in fields(Reading)]
    return Reading(**{name: getattr(settings, name) for name in names})


def as_message(reading: Reading) -> dict[str, Any]:
    """JSON-ready, for another process: `Reading(**message)` is the same again.

    Example:
        >>> Reading(**as_message(Reading(use_damaged=True))).use_damaged
        True
    """
    return asdict(reading_of(reading))
