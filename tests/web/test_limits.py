"""What is refused before it is held: by the weight of a request, and of all that is kept."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("starlette", reason="not installed: pip install 'ezav[web]'")

from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse

from ezav.web import limits
from ezav.web.limits import RequestLimits
from tests.waiting import MINUTES

UPLOAD = "/api/clips"


class _Asked:
    """An application that reads the whole request, and one request to it after the other."""

    def __init__(self, stored: int = 0) -> None:
        self.settings = SimpleNamespace(
            max_upload=100,
            max_request=10,
            max_kept=250,
            waiting_of_one=2,
            upload_seconds=MINUTES,
        )
        self.waiting = 0
        self.limits = RequestLimits(
            self,
            self.settings,  # type: ignore[arg-type]
            stored=lambda: stored,
            waiting=lambda client: self.waiting,
        )
        self.read, self.taken, self.removed = 0, 0, 0
        self.inside: list[Any] = []
        """The body of a request to make once the first is read; then its status."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        more, before = scope["type"] == "http", self.read
        while more:
            try:
                message = await receive()
            except HTTPException:  # what has arrived goes
                self.read, self.removed = before, self.read - before
                raise
            self.read += len(message["body"])
            more = message["more_body"]
        if len(self.inside) == 1:
            self.inside.append(0)
            self.inside[1] = await self.ask(UPLOAD, self.inside[0], 1)
        await PlainTextResponse("done")(scope, receive, send)

    async def ask(self, path: str, piece: bytes, pieces: int) -> int:
        status = 0
        headers = [(b"content-length", b"1")]
        scope = {"type": "http", "method": "POST", "path": path, "headers": headers}
        left = pieces

        async def receive() -> dict[str, Any]:
            nonlocal left
            left -= 1
            self.taken += len(piece)
            return {"type": "http.request", "body": piece, "more_body": left > 0}

        async def send(message: dict[str, Any]) -> None:
            nonlocal status
            status = message.get("status", status)

        try:
            await self.limits(scope, receive, send)  # type: ignore[arg-type]
        except HTTPException as refusal:  # Starlette answers with it
            status = refusal.status_code
        return status


@pytest.mark.parametrize(
    ("path", "pieces", "status"),
    [
        ("/api/names", 2, 200),
        ("/api/names", 3, 413),
        ("/api/clips", 20, 200),
        ("/api/predict", 20, 200),
        ("/api/clips", 1000, 413),
        ("/api/clips/", 3, 413),  # no upload: it is held in memory
        ("/", 3, 413),
    ],
)
def test_what_a_request_may_weigh(path: str, pieces: int, status: int) -> None:
    asked = _Asked()
    assert asyncio.run(asked.ask(path, b"12345", pieces)) == status
    uploading = path in ("/api/clips", "/api/predict")
    assert asked.read <= (100 if uploading else 10)
    assert asked.taken <= (105 if uploading else 15)
    assert asked.removed == (0 if status == 200 else 100 if uploading else 10)


def test_uploads_are_refused_while_too_many_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LOOK", 10)
    assert asyncio.run(_Asked(stored=240).ask(UPLOAD, b"12345", 2)) == 200
    full = _Asked(stored=250)
    assert asyncio.run(full.ask(UPLOAD, b"", 1)) == 503
    assert asyncio.run(full.ask("/api/names", b"", 1)) == 200
    # What arrives counts at once, and is looked at again while it comes.
    filling = _Asked(stored=240)
    assert asyncio.run(filling.ask(UPLOAD, b"12345", 20)) == 503
    assert filling.read == 0
    assert 0 < filling.removed <= 20


def test_uploads_under_way_count_by_what_has_arrived(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LOOK", 10)
    busy = _Asked(stored=180)
    busy.inside = [b"12345" * 2]  # asked while 60 bytes of the first are there
    assert asyncio.run(busy.ask(UPLOAD, b"12345", 12)) == 200
    assert busy.inside == [b"12345" * 2, 200]
    idle = _Asked(stored=0)  # one of which nothing comes holds up nobody
    idle.inside = [b"12345"]
    assert asyncio.run(idle.ask(UPLOAD, b"", 1)) == 200
    assert idle.inside == [b"12345", 200]


def test_one_client_has_so_many_requests_at_a_time() -> None:
    asked = _Asked()
    asked.limits._under_way[""] = limits.REQUESTS_OF_ONE
    assert asyncio.run(asked.ask("/api/state", b"", 1)) == 429
    assert asyncio.run(asked.ask("/static/page.js", b"", 1)) == 200
    asked.limits._under_way[""] -= 1
    assert asyncio.run(asked.ask("/api/state", b"", 1)) == 200
    asked.waiting = 2
    assert asyncio.run(asked.ask("/api/names", b"", 1)) == 429
    assert asyncio.run(asked.ask("/api/leave", b"", 1)) == 200
