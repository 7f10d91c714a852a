"""What a request may weigh, and all uploads together: asked before Gradio holds any of it."""

from __future__ import annotations

from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOK = 4_000_000
"""Bytes of an upload between two looks at what is stored, which take a while."""
_FULL = "Too many uploads are kept: come back in some minutes."
_UPLOAD = "/gradio_api/upload"


class RequestLimits:
    """An ASGI layer that refuses what would fill memory or disk.

    What has arrived of an upload that is refused, or cut off by the client, is removed.

    Args:
        app: what is behind it.
        upload: bytes of one upload (status 413 above).
        other: bytes of any other request (413); files come by an upload only (415).
        kept: bytes of all uploads at a time (503).
        stored: the bytes of uploads that are there now, with what has arrived of those under way.
    """

    def __init__(
        self, app: ASGIApp, upload: int, other: int, kept: int, stored: Callable[[], int]
    ) -> None:
        self._app = app
        self._upload, self._other, self._kept = upload, other, kept
        self._stored = stored
        self._arrived = 0
        """Bytes of the uploads under way: a field of a form, unlike a file, stays in memory."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # The whole path: `/gradio_api/call/upload` is a call, and its body goes to memory.
        uploading = scope["path"].rstrip("/") == _UPLOAD
        limit = self._upload if uploading else self._other
        kind = Headers(scope=scope).get("content-type", "").lower()
        if not uploading and kind.startswith("multipart/"):
            await _refuse(415, "Files are taken by an upload only.", limit, scope, receive, send)
            return
        if uploading and self._held() >= self._kept:
            await _refuse(503, _FULL, limit, scope, receive, send)
            return
        received = looked = status = 0

        def stop(why: int, text: str) -> Exception:
            nonlocal status
            status = why
            # Of an upload, Gradio then removes what has arrived, and answers with the text.
            return MultiPartException(text) if uploading else HTTPException(why, text)

        async def counted() -> Message:
            """What arrives, whatever length the client has told."""
            nonlocal received, looked
            message = await receive()
            received += len(message.get("body", b""))
            if uploading:
                self._arrived += len(message.get("body", b""))
            if received > limit:
                raise stop(413, f"More than {limit / 1e6:.1f} MB are not taken.")
            if uploading and message["type"] == "http.disconnect":
                raise stop(400, "The upload was cut off.")
            if uploading and received - looked >= LOOK:
                looked = received
                if self._held() > self._kept:
                    raise stop(503, _FULL)
            return message

        async def answer(message: Message) -> None:
            if status and message["type"] == "http.response.start":
                message["status"] = status
            await send(message)

        try:
            await self._app(scope, counted, answer)
        finally:
            if uploading:
                self._arrived -= received

    def _held(self) -> int:
        return max(self._stored(), self._arrived)


async def _refuse(
    status: int, text: str, limit: int, scope: Scope, receive: Receive, send: Send
) -> None:
    received, more = 0, True
    while more and received <= limit:  # a client that is cut off would not see the answer
        message = await receive()
        received += len(message.get("body", b""))
        more = message.get("more_body", False)
    await PlainTextResponse(text, status)(scope, receive, send)
