"""What requests may weigh, last and be many of: asked before Gradio holds any of it."""

from __future__ import annotations

import asyncio
import re
import time
from collections import defaultdict, deque
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ezav.web.connections import client_of
from ezav.web.settings import WebSettings

LOOK = 4_000_000
"""Bytes of an upload between two looks at what is stored, which take a while."""
STALL_SECONDS = 20.0
"""For the next piece of a request to come."""
BODY_SECONDS = 60.0
"""For all of a request that is no upload."""
UPLOADS_OF_ONE = 4
"""Uploads of one client under way at a time."""
_FULL = "Too many uploads are kept: come back in some minutes."
_MUCH = "You have sent much: come back in some minutes."
_SLOW = "The request took too long to arrive."
_UPLOAD = "/gradio_api/upload"
_ASKS = re.compile(r"/gradio_api/(?:queue/join|call/.+)/?")


class RequestLimits:
    """An ASGI layer that refuses what would fill memory, disk or the queue, or never end.

    What has arrived of an upload that is refused, or cut off by the client, is removed.

    Args:
        app: what is behind it.
        settings: bytes of one upload and of any other request (status 413 above; files come by an
            upload only, 415), of all uploads at a time (503) and of one client's (429); requests of
            one client that may wait (429); seconds of an upload (408).
        stored: the bytes of uploads that are there now, with what has arrived of those under way.
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
        """Bytes of the uploads under way: a field of a form, unlike a file, stays in memory."""
        self._under_way: defaultdict[str, int] = defaultdict(int)
        self._sent: defaultdict[str, deque[tuple[float, int]]] = defaultdict(deque)
        """Client -> when uploads of it ended, and their bytes."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # The whole path: `/gradio_api/call/upload` is a call, and its body goes to memory.
        uploading = scope["path"].rstrip("/") == _UPLOAD
        request = _Request(self, receive, uploading, client_of(scope))
        if (refused := self._refusal(scope, request)) is not None:
            await _refuse(*refused, request.limit, scope, receive, send)
            return

        async def answer(message: Message) -> None:
            if request.status and message["type"] == "http.response.start":
                message["status"] = request.status
            await send(message)

        if not uploading:
            await self._app(scope, request.receive, answer)
            return
        self._under_way[request.client] += 1
        try:
            await self._app(scope, request.receive, answer)
        finally:
            self._arrived -= request.received
            self._sent[request.client].append((time.monotonic(), request.received))
            self._under_way[request.client] -= 1
            if not self._under_way[request.client]:
                del self._under_way[request.client]

    def _refusal(self, scope: Scope, request: _Request) -> tuple[int, str] | None:
        kind = Headers(scope=scope).get("content-type", "").lower()
        if not request.uploading:
            if kind.startswith("multipart/"):
                return 415, "Files are taken by an upload only."
            asks = scope["method"] == "POST" and _ASKS.fullmatch(scope["path"])
            if asks and self._waiting(request.client) >= self._settings.waiting_of_one:
                return 429, "Your other requests are still waiting."
            return None
        if self._under_way[request.client] >= UPLOADS_OF_ONE:
            return 429, "Your other uploads are still under way."
        if self.sent(request.client) >= self._settings.max_of_one:
            return 429, _MUCH
        return (503, _FULL) if self.held() >= self._settings.max_kept else None

    def arrive(self, size: int) -> None:
        """So many bytes of an upload have come."""
        self._arrived += size

    def held(self) -> int:
        """Bytes of all uploads."""
        return max(self._stored(), self._arrived)

    def sent(self, client: str) -> int:
        """Bytes of the uploads that a client has sent within the time for which they are kept."""
        if client not in self._sent:
            return 0
        log, since = self._sent[client], time.monotonic() - 60 * self._settings.keep_minutes
        while log and log[0][0] < since:
            log.popleft()
        if not log:
            del self._sent[client]
        return sum(size for _, size in log)


class _Request:
    """One request as it arrives, whatever length the client has told."""

    def __init__(
        self, limits: RequestLimits, receive: Receive, uploading: bool, client: str
    ) -> None:
        settings = limits._settings
        self._limits, self._receive = limits, receive
        self.uploading, self.client = uploading, client
        self.limit = settings.max_upload if uploading else settings.max_request
        self.received = self.status = 0
        self._looked = 0
        self._before = limits.sent(client) if uploading else 0
        self._whole = False
        seconds = settings.upload_seconds if uploading else BODY_SECONDS
        self._until = time.monotonic() + seconds

    async def receive(self) -> Message:
        """The next piece; raises what makes Gradio answer with the reason."""
        if self._whole:  # what comes now is the client's leaving, which has no deadline
            return await self._receive()
        left = min(STALL_SECONDS, self._until - time.monotonic())
        try:
            message = await asyncio.wait_for(self._receive(), max(0.0, left))
        except TimeoutError:
            raise self._stop(408, _SLOW) from None
        size = len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        self.received += size
        if self.uploading:
            self._limits.arrive(size)
        if self.received > self.limit:
            raise self._stop(413, f"More than {self.limit / 1e6:.1f} MB are not taken.")
        if self.uploading:
            self._check_upload(message)
        return message

    def _check_upload(self, message: Message) -> None:
        settings = self._limits._settings
        if message["type"] == "http.disconnect":
            raise self._stop(400, "The upload was cut off.")
        if self.received + self._before > settings.max_of_one + settings.max_upload:
            raise self._stop(429, _MUCH)
        if self.received - self._looked >= LOOK:
            self._looked = self.received
            if self._limits.held() > settings.max_kept:
                raise self._stop(503, _FULL)

    def _stop(self, why: int, text: str) -> Exception:
        self.status = why
        # Of an upload, Gradio then removes what has arrived, and answers with the text.
        return MultiPartException(text) if self.uploading else HTTPException(why, text)


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
    await PlainTextResponse(text, status)(scope, receive, send)
