"""What the page allows a visitor, and where it is served."""

from __future__ import annotations

import ipaddress
import math
import re
import secrets
from dataclasses import dataclass

from ezav.errors import EzavError
from ezav.extraction.reading import Limits

_FORM = 64 * 1024
"""Bytes of a request beside the names."""
_PATH = re.compile(r"(?:/[A-Za-z0-9._~-]+)+")
_SHORTEST = 12
"""Letters of a token that cannot be guessed over a network."""
_LETTERS = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, kw_only=True)
class WebSettings:
    """Limits of one request, and the address.

    Raises:
        EzavError: a limit that makes no sense.
    """

    host: str = "127.0.0.1"
    """Listen on this address; 0.0.0.0 lets other machines in."""
    open: bool = False
    """Let everybody in who reaches the address; otherwise any host but this machine asks for a
    token."""
    token: str = ""
    """Ask visitors for this token; one is made up where it is needed and not given."""
    allow_hosts: tuple[str, ...] = ()
    """Let browsers call the server by these names, beside its address and this machine's name."""
    root_path: str = ""
    """Say under which path a proxy has the page, such as /ezav."""
    proxy: str = ""
    """Believe the proxies at these addresses, separated by commas, whom they speak for
    (X-Forwarded-For and -Proto)."""
    max_connections: int = 256
    """Keep so many connections open at a time, a quarter of them of one client; the one that has
    been idle longest makes room."""
    port: int = 7860
    """Listen on this port; 0 takes a free one."""
    max_megabytes: float = 100.0
    """Take no file that is larger than so many megabytes."""
    max_kept_megabytes: float | None = None
    """Keep so many megabytes for visitors at a time: uploads on their way, and what was read of
    their clips and names; a quarter of it for one client. By default 2000, or four of the largest
    files."""
    max_clips: int = 1000
    """Let one visitor's table hold so many clips; 'ezav predict --out' takes any number."""
    max_seconds: float = 120.0
    """Take no clip that is longer than so many seconds; 'ezav scan' reads longer ones."""
    max_names: int = 2000
    """Take no list of classes that is longer than so many names."""
    time_limit: float = 60.0
    """Give the reading of one clip so many seconds."""
    memory_limit: int = 2048
    """Give the reading of one clip so many MiB of memory."""
    workers: int = 1
    """Read so many clips at the same time; other visitors wait."""
    waiting: int = 20
    """Let so many visitors wait; more are asked to come back."""
    upload_seconds: float = 600.0
    """Give an upload so many seconds to arrive; one of which nothing comes is cut off much
    sooner."""
    keep_minutes: float = 120.0
    """Keep a visitor's work for so many minutes after the page last said something; it goes when
    the page is closed. A file is removed as soon as it is read."""

    def __post_init__(self) -> None:
        for name in (
            "max_megabytes",
            "max_seconds",
            "max_names",
            "max_clips",
            "time_limit",
            "memory_limit",
            "workers",
            "waiting",
            "keep_minutes",
            "max_connections",
            "upload_seconds",
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
        if self.root_path and not _PATH.fullmatch(self.root_path):
            raise EzavError(
                f"`root_path` '{self.root_path}' is no path of a proxy", "/ezav would be one"
            )
        self._settle_token()

    def _settle_token(self) -> None:
        if self.token and self.open:
            raise EzavError("`open=True` lets everybody in, and `token` does not", "give one")
        if self.token and (len(self.token) < _SHORTEST or not _LETTERS.fullmatch(self.token)):
            raise EzavError(
                f"`token` needs {_SHORTEST} or more letters and digits of ASCII, _ or -",
                "without it a good one is made up",
            )
        if not self.open and not self.token and not self.local:
            object.__setattr__(self, "token", secrets.token_urlsafe(24))

    @property
    def local(self) -> bool:
        """Only this machine reaches the address.

        Example:
            >>> WebSettings().local, WebSettings(host="0.0.0.0").local
            (True, False)
        """
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

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
        """Bytes of an upload."""
        return int(self.max_megabytes * 1e6)

    @property
    def max_kept(self) -> float:
        """Bytes of all that is kept at a time."""
        if self.max_kept_megabytes is None:
            return max(2e9, 4.0 * self.max_upload)
        return self.max_kept_megabytes * 1e6

    @property
    def max_of_one(self) -> float:
        """Bytes that are kept for one client at a time."""
        return max(self.max_kept / 4, 2.0 * self.max_upload)

    @property
    def waiting_of_one(self) -> int:
        """Visitors of one address that may wait."""
        return max(1, self.waiting // 4)

    @property
    def max_request(self) -> int:
        """Bytes of any other request: UTF-8 writes a letter as four at most."""
        return 4 * self.max_letters + _FORM
