"""What is refused before Gradio holds it: by the weight of a request, and of all uploads."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("gradio", reason="Gradio is not installed: pip install 'ezav[web]'")

from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.responses import PlainTextResponse

from ezav.web import limits
from ezav.web.limits import RequestLimits
from tests.waiting import MINUTES

UPLOAD = "/gradio_api/upload"


class _Asked:
    """An application that reads the whole request, and one request to it after the other."""

    def __init__(self, stored: int = 0) -> None:
        # As Gradio: what is read of an upload is in the folder from then on.
        self.settings = SimpleNamespace(
            max_upload=100,
            max_request=10,
            max_kept=250,
            max_of_one=10_000,
            waiting_of_one=2,
            upload_seconds=MINUTES,
            keep_minutes=10,
        )
        self.waiting = 0
        self.limits = RequestLimits(
            self,
            self.settings,  # type: ignore[arg-type]
            stored=lambda: stored + self.read,
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
            except MultiPartException as refusal:  # as Gradio: what has arrived goes
                self.read, self.removed = before, self.read - before
                await PlainTextResponse(refusal.message, 400)(scope, receive, send)
                return
            self.read += len(message["body"])
            more = message["more_body"]
        if len(self.inside) == 1:
            self.inside.append(0)
            self.inside[1] = await self.ask(UPLOAD, self.inside[0], 1)
        await PlainTextResponse("done")(scope, receive, send)

    async def ask(self, path: str, piece: bytes, pieces: int, kind: str = "") -> int:
        status = 0
        headers = [(b"content-type", kind.encode()), (b"content-length", b"1")]
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
    ("path", "pieces", "kind", "status"),
    [
        ("/gradio_api/call/predict", 2, "", 200),
        ("/gradio_api/call/predict", 3, "", 413),
        ("/gradio_api/call/predict", 2, "multipart/form-data; boundary=x", 415),
        ("/gradio_api/call/predict", 1000, "multipart/form-data; boundary=x", 415),
        ("/gradio_api/upload", 20, "", 200),
        ("/gradio_api/upload/", 20, "multipart/form-data; boundary=x", 200),
        ("/gradio_api/upload", 1000, "", 413),
        ("/gradio_api/call/predict", 2, "Multipart/Form-Data; boundary=x", 415),
        ("/gradio_api/call/upload", 3, "", 413),  # no upload: it is held in memory
    ],
)
def test_what_a_request_may_weigh(path: str, pieces: int, kind: str, status: int) -> None:
    asked = _Asked()
    assert asyncio.run(asked.ask(path, b"12345", pieces, kind)) == status
    uploading = path.rstrip("/") == UPLOAD
    assert asked.read <= (100 if uploading else 10)
    assert asked.taken <= (105 if uploading else 15)
    assert asked.removed == (100 if uploading and status == 413 else 0)


def test_uploads_are_refused_while_too_many_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LOOK", 10)
    assert asyncio.run(_Asked(stored=240).ask(UPLOAD, b"12345", 2)) == 200
    full = _Asked(stored=250)
    assert asyncio.run(full.ask(UPLOAD, b"", 1)) == 503
    assert asyncio.run(full.ask("/call/predict", b"", 1)) == 200
    # What arrives is stored at once, and looked at again while it comes.
    filling = _Asked(stored=240)
    assert asyncio.run(filling.ask(UPLOAD, b"12345", 20)) == 503
    assert filling.read == 0
    assert 0 < filling.removed <= 20


def test_uploads_under_way_count_in_memory_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LOOK", 10)
    asked = _Asked()
    asked.limits._stored = lambda: 0  # fields of a form are in no folder
    asked.settings.max_kept = 65
    asked.inside = [b"12345" * 2]  # asked while 60 bytes of the first are there
    assert asyncio.run(asked.ask(UPLOAD, b"12345", 12)) == 200
    assert asked.inside[1] == 503
    asked.inside = []
    assert asyncio.run(asked.ask(UPLOAD, b"12345", 12)) == 200


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
