"""What a request may weigh, and all uploads together: asked before Gradio holds any of it."""

from __future__ import annotations

from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOK = 4_000_000
"""Bytes of an upload between two looks at what is stored, which take a while."""
_FULL = "Too many uploads are kept: come back in some minutes."


class RequestLimits:
    """An ASGI layer that refuses what would fill memory or disk.

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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        uploading = scope["path"].rstrip("/").endswith("/upload")
        limit = self._upload if uploading else self._other
        kind = Headers(scope=scope).get("content-type", "")
        if not uploading and kind.startswith("multipart/"):
            await _refuse(415, "Files are taken by an upload only.", limit, scope, receive, send)
            return
        if uploading and self._stored() >= self._kept:
            await _refuse(503, _FULL, limit, scope, receive, send)
            return
        received = looked = 0

        async def counted() -> Message:
            """What arrives, whatever length the client has told."""
            nonlocal received, looked
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise HTTPException(413, f"More than {limit / 1e6:.1f} MB are not taken.")
            if uploading and received - looked >= LOOK:
                looked = received
                if self._stored() > self._kept:
                    raise HTTPException(503, _FULL)
            return message

        await self._app(scope, counted, send)


async def _refuse(
    status: int, text: str, limit: int, scope: Scope, receive: Receive, send: Send
) -> None:
    received, more = 0, True
    while more and received <= limit:  # a client that is cut off would not see the answer
        message = await receive()
        received += len(message.get("body", b""))
        more = message.get("more_body", False)
    await PlainTextResponse(text, status)(scope, receive, send)
