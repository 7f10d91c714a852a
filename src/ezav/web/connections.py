"""The connections of the page's server: how many, and for how long they may say nothing."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Collection
from typing import Any, ClassVar, cast

from uvicorn.protocols.http.h11_impl import H11Protocol

from ezav.errors import UnavailableError

HEADER_SECONDS = 10.0
"""For a request to say all of its head, and for a new connection to make one."""
STALL_SECONDS = 60.0
"""For a client to take some of the answer."""
_FILES = 128
"""Descriptors that the server needs beside its connections."""


class Connections:
    """Who is connected. Where there is no room, the one that has been idle longest makes it.

    Args:
        most: connections in all.
        of_one: connections of one client.
        proxies: addresses that speak for many clients.

    Raises:
        UnavailableError: the system allows this process fewer open files.
    """

    def __init__(self, most: int, of_one: int, proxies: Collection[str] = ()) -> None:
        self._most, self._of_one, self._proxies = most, of_one, proxies
        self._open: set[Limited] = set()
        _allow_files(most)

    def __len__(self) -> int:
        return len(self._open)

    def protocol(self) -> type[H11Protocol]:
        """What uvicorn is to speak."""
        return cast("type[H11Protocol]", type("Limited", (Limited,), {"connections_of": self}))

    def admit(self, new: Limited) -> bool:
        """Take a connection in, if there is room or can be made."""
        mine = [one for one in self._open if one.peer == new.peer]
        if new.peer not in self._proxies and len(mine) >= self._of_one and not _make_room(mine):
            return False
        if len(self._open) >= self._most and not _make_room(self._open):
            return False
        self._open.add(new)
        return True

    def gone(self, one: Limited) -> None:
        """A connection has ended."""
        self._open.discard(one)


def _allow_files(most: int) -> None:
    """Let this process have as many files open as its connections need."""
    try:
        import resource
    except ImportError:  # Windows, whose limit is of no concern here
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = most + _FILES
    if 0 <= soft < needed:
        if 0 <= hard < needed:
            raise UnavailableError(
                f"{most} connections need {needed} open files, and {hard} are allowed",
                f"give `max_connections={max(1, hard - _FILES)}`, or raise 'ulimit -n'",
            )
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def _make_room(among: Collection[Limited]) -> bool:
    idle = min((one for one in among if not one.busy), key=lambda one: one.since, default=None)
    if idle is not None:
        idle.connections_of.gone(idle)
        idle.transport.abort()
    return idle is not None


class Limited(H11Protocol):
    """HTTP/1.1 as uvicorn speaks it, with deadlines for what it waits for without one."""

    connections_of: ClassVar[Connections]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has come."""
        super().connection_made(transport)
        self.peer = one_client(self.client[0] if self.client else "")
        self.since = self.loop.time()
        self._deadlines: dict[str, asyncio.TimerHandle] = {}
        if self.connections_of.admit(self):
            self._expect("head", HEADER_SECONDS)
        else:
            transport.abort()

    @property
    def busy(self) -> bool:
        """A request is being answered."""
        return self.cycle is not None and not self.cycle.response_complete

    def data_received(self, data: bytes) -> None:
        """Something of a request has come."""
        super().data_received(data)
        if self.busy:
            self._over("head")
        else:
            self._expect("head", HEADER_SECONDS)

    def on_response_complete(self) -> None:
        """It has its answer."""
        super().on_response_complete()
        self.since = self.loop.time()

    def pause_writing(self) -> None:
        """The client takes less than it is told."""
        super().pause_writing()
        self._expect("answer", STALL_SECONDS)

    def resume_writing(self) -> None:
        """It has taken some."""
        super().resume_writing()
        self._over("answer")

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        for what in list(self._deadlines):
            self._over(what)
        self.connections_of.gone(self)
        super().connection_lost(exc)

    def _expect(self, what: str, seconds: float) -> None:
        if what not in self._deadlines:
            self._deadlines[what] = self.loop.call_later(seconds, self._too_late, what)

    def _over(self, what: str) -> None:
        if (timer := self._deadlines.pop(what, None)) is not None:
            timer.cancel()

    def _too_late(self, what: str) -> None:
        self._over(what)
        if what == "answer" or not self.busy:
            self.transport.abort()


def one_client(address: str) -> str:
    """Whom an address stands for: itself, or with IPv6 the network that one client has.

    Example:
        >>> one_client("127.0.0.1"), one_client("2001:db8:1:2:3:4:5:6")
        ('127.0.0.1', '2001:db8:1:2::/64')
    """
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)


def client_of(scope: Any) -> str:
    """Whose request it is.

    Example:
        >>> client_of({"client": ("127.0.0.1", 5000)}), client_of({})
        ('127.0.0.1', '')
    """
    client = scope.get("client")
    return one_client(client[0]) if client else ""
