"""What requests may weigh, last and be many of: asked before any of it is held."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable

from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ezav.web.connections import client_of
from ezav.web.gate import LATER
from ezav.web.settings import WebSettings

LOOK = 4_000_000
"""Bytes of an upload between two looks at what is kept, which take a while."""
STALL_SECONDS = 20.0
"""For the next piece of a request to come."""
BODY_SECONDS = 60.0
"""For all of a request that is no upload."""
UPLOADS_OF_ONE = 4
"""Uploads of one client under way at a time."""
REQUESTS_OF_ONE = 16
"""Of any kind."""
_FULL = "Too much is kept on the server: come back in some minutes."
_SLOW = "The request took too long to arrive."
_UPLOADS = {"/api/clips", "/api/predict"}


class RequestLimits:
    """An ASGI layer that refuses what would fill memory, disk or the queue, or never end.

    Args:
        app: what is behind it; it removes what has arrived of an upload that is refused or cut off.
        settings: bytes of one upload and of any other request (status 413 above), of all that is
            kept at a time (503); requests of one client that may wait (429); seconds of an upload
            (408).
        stored: the bytes that are kept now.
        waiting: how many requests of a client wait.
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: WebSettings,
        stored: Callable[[], int],
        waiting: Callable[[str], int],
    ) -> None:
        self._app = app
        self._settings = settings
        self._stored, self._waiting = stored, waiting
        self._arrived = 0
        """Bytes of the uploads under way."""
        self._under_way: Counter[str] = Counter()
        self._uploads: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        uploading = scope["method"] == "POST" and scope["path"] in _UPLOADS
        request = _Request(self, receive, uploading, client_of(scope))
        if (refused := self._refusal(scope, request)) is not None:
            await _refuse(*refused, request.limit, scope, receive, send)
            return
        mine = [self._under_way, *([self._uploads] if uploading else [])]
        for counted in mine:
            counted[request.client] += 1
        try:
            await self._app(scope, request.receive, send)
        finally:
            self._arrived -= request.received if uploading else 0
            for counted in mine:
                counted[request.client] -= 1
                if not counted[request.client]:
                    del counted[request.client]

    def _refusal(self, scope: Scope, request: _Request) -> tuple[int, str] | None:
        if not scope["path"].startswith("/api/"):
            return None
        client = request.client
        if self._under_way[client] >= REQUESTS_OF_ONE:
            return 429, "Your other requests are still under way."
        changes = scope["method"] != "GET" and scope["path"] not in ("/api/leave", "/api/here")
        if changes and self._waiting(client) >= self._settings.waiting_of_one:
            return 429, "Your other requests are still waiting."
        if not request.uploading:
            return None
        if self._uploads[client] >= UPLOADS_OF_ONE:
            return 429, "Your other uploads are still under way."
        return (503, _FULL) if self.held() >= self._settings.max_kept else None

    def arrive(self, size: int) -> None:
        """So many bytes of an upload have come."""
        self._arrived += size

    def held(self) -> int:
        """Bytes of all that is kept, and of uploads under way."""
        return self._stored() + self._arrived


class _Request:
    """One request as it arrives, whatever length the client has told."""

    def __init__(
        self, limits: RequestLimits, receive: Receive, uploading: bool, client: str
    ) -> None:
        settings = limits._settings
        self._limits, self._receive = limits, receive
        self.uploading, self.client = uploading, client
        self.limit = settings.max_upload if uploading else settings.max_request
        self.received = self._looked = 0
        self._whole = False
        seconds = settings.upload_seconds if uploading else BODY_SECONDS
        self._until = time.monotonic() + seconds

    async def receive(self) -> Message:
        """The next piece; raises what makes the application answer with the reason."""
        if self._whole:  # what comes now is the client's leaving, which has no deadline
            return await self._receive()
        left = min(STALL_SECONDS, self._until - time.monotonic())
        try:
            message = await asyncio.wait_for(self._receive(), max(0.0, left))
        except TimeoutError:
            raise HTTPException(408, _SLOW) from None
        size = len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        self.received += size
        if self.uploading:
            self._limits.arrive(size)
        if self.received > self.limit:
            raise HTTPException(413, f"More than {self.limit / 1e6:.1f} MB are not taken.")
        if self.uploading and self.received - self._looked >= LOOK:
            self._looked = self.received
            if self._limits.held() > self._limits._settings.max_kept:
                raise HTTPException(503, _FULL)
        return message


async def _refuse(
    status: int, text: str, limit: int, scope: Scope, receive: Receive, send: Send
) -> None:
    received, more, until = 0, True, time.monotonic() + BODY_SECONDS
    while more and received <= limit:  # a client that is cut off would not see the answer
        try:
            left = min(STALL_SECONDS, until - time.monotonic())
            message = await asyncio.wait_for(receive(), max(0.0, left))
        except TimeoutError:
            break
        received += len(message.get("body", b""))
        more = message.get("more_body", False)
    await PlainTextResponse(text, status, LATER)(scope, receive, send)
