"""A library of recordings: the moments that fit a text, or a clip, best.

Example:
    >>> from ezav.library import Library, find_text
    >>> # with Library("videos", recognizer) as library:
    >>> #     library.update()
    >>> #     find_text(library, recognizer.candidates(["glass breaking"]))
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ezav.lazy import attach

if TYPE_CHECKING:
    from ezav.library.find import Moment, find_like, find_text
    from ezav.library.index import Library, LibrarySettings, Recording
    from ezav.library.table import write_moments
else:
    __getattr__, __dir__ = attach(
        __name__,
        {
            "Library": "ezav.library.index",
            "LibrarySettings": "ezav.library.index",
            "Moment": "ezav.library.find",
            "Recording": "ezav.library.index",
            "find_like": "ezav.library.find",
            "find_text": "ezav.library.find",
            "write_moments": "ezav.library.table",
        },
    )

__all__ = [
    "Library",
    "LibrarySettings",
    "Moment",
    "Recording",
    "find_like",
    "find_text",
    "write_moments",
]
