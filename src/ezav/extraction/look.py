"""A clip read for its features, and small for display: both where a hostile file does no harm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ezav.extraction.encode import encode_slots
from ezav.extraction.encoded import UNREADABLE, EncodedClip, MediaEncoder
from ezav.extraction.reading import Reading
from ezav.media import FrameSpec, read_clip
from ezav.media.container import UnreadableError, open_source

TOO_LONG = "too long"
"""The reason of a clip that is longer than a look takes; its `claimed` says how long."""


@dataclass(frozen=True)
class Look:
    """What is shown of a clip, and how long it may be.

    Example:
        >>> Look(longest=10.0).frames == FrameSpec.uniform(8, short_side=120)
        True
    """

    longest: float
    """Seconds; of a longer one nothing is shown."""
    refuse: bool = True
    """A longer one is not read at all."""
    count: int = 8
    """Frames."""
    short_side: int = 120
    """Their short side, in pixels."""
    rate: int = 16_000
    """Samples of sound a second."""

    @property
    def frames(self) -> FrameSpec:
        """The frames to be read."""
        return FrameSpec.uniform(self.count, short_side=self.short_side)


def look(
    path: Path, encoders: Mapping[str, MediaEncoder], reading: Reading, wanted: Look
) -> EncodedClip:
    """:func:`ezav.extraction.encode.encode_slots`, with the clip decoded again for display.

    Example:
        >>> look(Path("no/such.mp4"), {}, Reading(), Look(10.0)).reason
        'no such file'
    """
    try:
        with open_source(path) as source:
            claimed = source.claimed
    except UnreadableError as error:
        return EncodedClip(status=UNREADABLE, reason=str(error))
    if wanted.refuse and claimed is not None and claimed > wanted.longest:
        return EncodedClip(status=UNREADABLE, reason=TOO_LONG, claimed=claimed)
    clip = encode_slots(path, encoders, reading)
    long = clip.duration > 1.05 * wanted.longest + 1
    if long and wanted.refuse:
        return EncodedClip(status=UNREADABLE, reason=TOO_LONG, claimed=clip.duration)
    if long or clip.checked().error:
        return clip
    # Not the encoders' own decoding: which frames they get must not depend on who looks on.
    return replace(clip, shown=read_clip(path, video=wanted.frames, audio=wanted.rate))
