"""What the page allows a visitor, and where it is served."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ezav.errors import EzavError
from ezav.extraction.reading import Limits

_FORM = 64 * 1024
"""Bytes of a request beside the file or the names."""


@dataclass(frozen=True, kw_only=True)
class WebSettings:
    """Limits of one request, and the address.

    Raises:
        EzavError: a limit that makes no sense.
    """

    host: str = "127.0.0.1"
    """The address to listen on; 0.0.0.0 lets other machines in."""
    port: int = 7860
    """The port; 0 takes a free one."""
    max_megabytes: float = 100.0
    """Largest file."""
    max_kept_megabytes: float | None = None
    """All uploads that are kept at a time; more are refused until some are gone. By default 2000,
    or four of the largest."""
    max_seconds: float = 120.0
    """Longest clip; 'ezav scan' reads longer ones."""
    max_names: int = 2000
    """Longest list of classes."""
    time_limit: float = 60.0
    """Seconds that reading one clip may take."""
    memory_limit: int = 2048
    """MiB that reading one clip may take."""
    workers: int = 1
    """Clips read at the same time; other visitors wait."""
    waiting: int = 20
    """Visitors that may wait; more are asked to come back."""
    keep_minutes: float = 10.0
    """An uploaded file is removed when its page is closed, and after so many minutes anyway."""

    def __post_init__(self) -> None:
        for name in (
            "max_megabytes",
            "max_seconds",
            "max_names",
            "time_limit",
            "memory_limit",
            "workers",
            "waiting",
            "keep_minutes",
        ):
            if not 0 < getattr(self, name) < math.inf:
                raise EzavError(f"{name} must be more than 0, not {getattr(self, name)}")
        if not self.max_upload <= self.max_kept < math.inf:
            raise EzavError(
                f"max_kept_megabytes {self.max_kept_megabytes} has no room for one file",
                f"max_megabytes is {self.max_megabytes:g}; leave a little more",
            )
        if not 0 <= self.port < 65_536:
            raise EzavError(f"port {self.port} does not exist", "give 0 (any free one) to 65535")

    @property
    def limits(self) -> Limits:
        """What reading one clip may cost."""
        return Limits(self.time_limit, self.memory_limit)

    @property
    def max_letters(self) -> int:
        """Letters of the whole list of classes."""
        return 600 * self.max_names

    @property
    def max_upload(self) -> int:
        """Bytes of an upload: the file, and what a form adds."""
        return int(self.max_megabytes * 1e6) + _FORM

    @property
    def max_kept(self) -> float:
        """Bytes of all uploads at a time."""
        if self.max_kept_megabytes is None:
            return max(2e9, 4.0 * self.max_upload)
        return self.max_kept_megabytes * 1e6

    @property
    def max_request(self) -> int:
        """Bytes of any other request: JSON writes a letter as six at most (`\\u732b`)."""
        return 6 * self.max_letters + _FORM
