"""What the page allows a visitor, and where it is served."""

from __future__ import annotations

from dataclasses import dataclass

from ezav.errors import EzavError


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
            if getattr(self, name) <= 0:
                raise EzavError(f"{name} must be more than 0, not {getattr(self, name)}")
        if not 0 <= self.port < 65_536:
            raise EzavError(f"port {self.port} does not exist", "give 0 (any free one) to 65535")
