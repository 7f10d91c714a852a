"""The page where others reach it: who may ask, for what, how much, and for how long."""

from __future__ import annotations

import errno
import fcntl
import http.client
import os
import resource
import socket
import tempfile
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="not installed: pip install 'ezav[web]'")

from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.types import Receive, Scope, Send

from ezav.errors import EzavError
from ezav.private import private_folder, sweep_leftovers
from ezav.web import connections, limits
from ezav.web.app import Page, in_words
from ezav.web.connections import Connections
from ezav.web.guard import Guard
from ezav.web.limits import RequestLimits
from ezav.web.server import _answering, _listening
from ezav.web.settings import WebSettings
from ezav.web.visitors import MOST, Visitors
from tests.waiting import MINUTES, wait_until

TOKEN = "a-token-of-24-letters-00"
PAGE = "<html><script>window.config = 1</script></html>"


class Behind:
    """Stands for the page: reads the whole request and answers with its path."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            while True:
                kind = (await receive())["type"].removeprefix("lifespan.")
                await send({"type": f"lifespan.{kind}.complete"})
                if kind == "shutdown":
                    return
        self.asked.append(scope["path"])
        more = True
        try:
            while more:
                more = (await receive()).get("more_body", False)
        except HTTPException as refusal:
            await PlainTextResponse(refusal.detail, refusal.status_code)(scope, receive, send)
            return
        forwarded = [name for name, _ in scope["headers"] if name.startswith(b"x-")]
        answer = HTMLResponse(PAGE) if scope["path"] == "/" else PlainTextResponse(f"{forwarded}")
        await answer(scope, receive, send)


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """Serves what is behind a guard; gives host and port."""
    ended: list[Any] = []

    def begin(behind: Any = None, **options: Any) -> str:
        settings = WebSettings(port=0, **options)
        guard = Guard(
            behind or Behind(),
            {"localhost", *settings.allow_hosts},
            settings.token,
            settings.root_path,
        )
        listening = _listening(settings)
        socket_ = listening.__enter__()
        answering = _answering(guard, socket_, settings)
        answering.__enter__()
        ended.extend([listening, answering])
        return f"127.0.0.1:{socket_.getsockname()[1]}"

    yield begin
    for block in reversed(ended):
        block.__exit__(None, None, None)


def ask(
    host: str, path: str = "/config", method: str = "GET", **headers: str
) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(host, timeout=MINUTES)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, headers=named)
    answer = connection.getresponse()
    answer.body = answer.read().decode()  # type: ignore[attr-defined]
    connection.close()
    return answer


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:7860"}, 200),
        ({"Host": "192.168.1.7"}, 200),
        ({"Host": "[::1]:7860"}, 200),
        ({"Host": "demo.example.org"}, 200),
        ({"Host": "evil.example"}, 403),  # its name server says that this address is its own
        ({"Host": "demo.example.org.evil.example"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://["}, 403),
        ({"Origin": "http://localhost:9999"}, 403),
        ({"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors"}, 403),
        ({"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}, 200),
        ({"Sec_Fetch_Site": "same-origin", "Sec_Fetch_Mode": "cors"}, 200),
    ],
)
def test_other_sites_and_hosts_are_refused(
    serve: Callable[..., str], headers: dict[str, str], status: int
) -> None:
    host = serve(allow_hosts=("demo.example.org",))
    assert ask(host, **headers).status == status
    own = ask(host, Origin=f"http://{host}")
    assert own.status == 200
    assert own.headers["access-control-allow-origin"] is None


@pytest.mark.parametrize(
    "path",
    [
        "/static/settings.py",
        "/static/../settings.py",
        "/static/%2e%2e/settings.py",
        "/static//etc/passwd",
        "/api/examples/9",
        "/api/examples/-1",
        "/api/state/",
        "/api/file=/etc/passwd",
        "/docs",
        "/openapi.json",
        "/config",
    ],
)
def test_what_nobody_needs_is_not_there(serve: Callable[..., str], path: str) -> None:
    page = Page("", None, None, None, Path(), [])  # type: ignore[arg-type]
    host = serve(page.app())
    assert ask(host, path).status == 404
    assert ask(host, "/static/page.js").status == 200


def test_a_disk_without_room_is_told(serve: Callable[..., str], monkeypatch: Any) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/private/place")

    monkeypatch.setattr(tempfile, "mkstemp", full)
    host = serve(Page("", None, None, None, Path(), []).app())  # type: ignore[arg-type]
    told = ask(host, "/api/predict", "POST")
    assert told.status == 507
    assert "no room" in told.body
    assert "private" not in told.body


def test_browsers_are_told_what_they_may_do(serve: Callable[..., str]) -> None:
    page = ask(serve(), "/")
    told = dict(one.split(" ", 1) for one in page.headers["content-security-policy"].split("; "))
    assert told["script-src"] == "'self'"  # none within the page, none made of text
    assert told["default-src"] == told["frame-ancestors"] == told["base-uri"] == "'none'"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["x-frame-options"] == "DENY"
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["server"] is None


def test_nobody_but_a_known_proxy_says_who_asks(serve: Callable[..., str]) -> None:
    told = {"X_Forwarded_Host": "evil.example", "X_Original_URL": "http://evil.example"}
    answer = ask(serve(), **told)
    assert (answer.status, answer.body) == (200, "[]")  # type: ignore[attr-defined]


def test_a_page_for_others_asks_for_its_token(serve: Callable[..., str]) -> None:
    assert WebSettings().token == ""
    assert WebSettings(host="0.0.0.0", open=True).token == ""
    made = [WebSettings(host="0.0.0.0").token for _ in range(2)]
    assert made[0] != made[1]
    assert min(map(len, made)) >= 32
    behind = Behind()
    host = serve(behind, token=TOKEN)
    for path in ("/", "/api/state", "/static/page.js"):
        assert ask(host, path).status == 401
    assert ask(host, "/?token=wrong", Accept="text/html").status == 401
    assert ask(host, Authorization="Bearer wrong").status == 401
    assert ask(host, Cookie="ezav=1; token=wrong").status == 401
    assert behind.asked == []
    asked = ask(host, "/", Accept="text/html")
    assert 'name="token"' in asked.body  # type: ignore[attr-defined]
    entered = ask(host, f"/?token={TOKEN}&view=api")
    assert (entered.status, entered.headers["location"]) == (303, "/?view=api")
    cookie = entered.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert TOKEN not in cookie
    assert ask(host, Cookie=cookie.split(";")[0]).status == 200
    assert ask(host, Authorization=f"Bearer {TOKEN}").status == 200
    elsewhere = ask(host, f"//evil.example/?token={TOKEN}").headers["location"]
    assert urllib.parse.urlsplit(elsewhere).netloc == ""


@pytest.mark.parametrize(
    "values",
    [
        {"token": "short"},
        {"token": "with spaces in between"},
        {"token": TOKEN, "open": True},
        {"root_path": "ezav"},
        {"root_path": "/a/"},
        {"root_path": "//evil.example"},
    ],
)
def test_settings_that_would_not_guard(values: dict[str, Any]) -> None:
    with pytest.raises(EzavError):
        WebSettings(**values)


def test_under_the_path_of_a_proxy(serve: Callable[..., str]) -> None:
    """Whether the proxy takes the path away or not."""
    behind = Behind()
    host = serve(behind, root_path="/ezav", token=TOKEN)
    for path in ("/ezav/config", "/config", "/ezav", "/ezav/"):
        ask(host, path, Authorization=f"Bearer {TOKEN}")
    assert behind.asked == ["/config", "/config", "/", "/"]
    entered = ask(host, f"/ezav/?token={TOKEN}")
    assert entered.headers["location"] == "/ezav/"
    assert "Path=/ezav" in entered.headers["set-cookie"]
    ask(host, "/ezavel/config", Authorization=f"Bearer {TOKEN}")
    assert behind.asked[4:] == ["/ezavel/config"]  # which is nothing of the page's


def test_idle_connections_make_room(serve: Callable[..., str]) -> None:
    host = serve(max_connections=40)
    address = (host.split(":")[0], int(host.split(":")[1]))
    idle = [socket.create_connection(address) for _ in range(230)]
    assert ask(host).status == 200
    gone = 0
    for one in idle:
        one.settimeout(0.0)
        try:
            gone += one.recv(1) == b""
        except BlockingIOError:
            continue
        except ConnectionError:
            gone += 1
    assert gone >= 230 - 40
    for one in idle:
        one.close()


@pytest.mark.parametrize("begun", [b"", b"GET /config HTTP/1.1\r\nHost: loc"])
def test_a_head_that_does_not_come_is_not_waited_for(
    serve: Callable[..., str], monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    monkeypatch.setattr(connections, "HEADER_SECONDS", 0.5)
    host = serve()
    for first in (b"", b"GET /config HTTP/1.1\r\nHost: localhost\r\n\r\n"):
        with socket.create_connection((host.split(":")[0], int(host.split(":")[1]))) as slow:
            slow.settimeout(MINUTES)
            slow.sendall(first)
            if first:
                assert b"200 OK" in slow.recv(4096)
            slow.sendall(begun)
            try:
                while slow.recv(4096):
                    pass
            except ConnectionError:
                pass  # cut off: that is what is wanted


def limited(**waiting: int) -> tuple[RequestLimits, Behind]:
    """Limits, and what is behind them; how many requests of a client wait."""
    behind, settings = Behind(), WebSettings(max_megabytes=1)
    return RequestLimits(behind, settings, lambda: 0, lambda who: waiting.get(who, 0)), behind


def test_stalled_uploads_are_cut_off_and_hold_up_nobody(
    serve: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    app, _ = limited()
    host = serve(app)
    head = b"POST /api/clips HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900000\r\n\r\n"
    address = (host.split(":")[0], int(host.split(":")[1]))
    stalled = [socket.create_connection(address, source_address=("127.0.0.2", 0)) for _ in range(5)]
    for one in stalled[:4]:
        one.sendall(head + b"x" * 1000)
    wait_until(lambda: app._uploads["127.0.0.2"] == 4, "four uploads under way")
    stalled[4].sendall(head.replace(b"900000", b"5") + b"hello")
    stalled[4].settimeout(MINUTES)
    assert b"429" in stalled[4].recv(4096)
    assert ask(host, "/api/clips", "POST").status == 200  # of 127.0.0.1
    monkeypatch.setattr(limits, "STALL_SECONDS", 0.5)
    with socket.create_connection(address) as late:
        late.settimeout(MINUTES)
        late.sendall(head + b"x")
        assert b"408" in late.recv(4096)
    for one in stalled:
        one.close()


def test_one_client_does_not_fill_the_queue(serve: Callable[..., str]) -> None:
    app, behind = limited(**{"127.0.0.2": 5})
    host = serve(app)
    connection = http.client.HTTPConnection(host, source_address=("127.0.0.2", 0))
    connection.request("PUT", "/api/names", b"a")
    assert connection.getresponse().status == 429
    connection.close()
    assert behind.asked == []
    assert ask(host, "/api/names", "PUT").status == 200


def test_one_client_does_not_fill_the_memory() -> None:
    class Bench:
        size, used = 600_000_000, 0.0

    visitors = Visitors(Bench, WebSettings())  # type: ignore[arg-type]
    visitors.bench("x", "a")
    visitors.bench("y", "b").size = 100  # type: ignore[misc]
    with pytest.raises(EzavError, match="too much is kept for you"):
        visitors.check_room("a")
    visitors.check_room("b")
    for number in range(10):
        visitors.bench(f"{number}", f"client {number}").size = 200_000_000  # type: ignore[misc]
    with pytest.raises(EzavError, match="the server keeps too much"):
        visitors.check_room("b")


def test_who_comes_makes_only_their_own_room() -> None:
    class Bench:
        def __init__(self) -> None:
            self.used = 0.0

    visitors = Visitors(Bench, WebSettings())  # type: ignore[arg-type]
    mine = visitors.bench("mine", "me")
    for number in range(2 * MOST):
        visitors.bench(f"{number}", "another")
    assert len(visitors) == 1 + MOST // 4
    assert visitors.bench("mine", "me") is mine


def test_what_a_killed_server_left_is_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    killed = tmp_path / "ezav-serve-killed"
    (killed / "uploads").mkdir(parents=True)
    (killed / "uploads" / "clip.mp4").write_bytes(b"x")
    (killed / ".in-use").touch()
    strange = tmp_path / "ezav-serve-of-others"
    strange.mkdir()
    target = tmp_path / "precious"
    target.mkdir()
    (target / ".in-use").touch()
    (tmp_path / "ezav-serve-link").symlink_to(target)
    with private_folder("serve") as folder:
        assert not killed.exists()
        assert strange.exists()
        assert target.exists()
        sweep_leftovers()  # another server begins meanwhile
        assert folder.exists()
    assert not folder.exists()


def test_the_lock_of_a_folder_goes_with_its_process(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    if (child := os.fork()) == 0:
        held = os.open(path, os.O_RDWR | os.O_CREAT)
        fcntl.flock(held, fcntl.LOCK_EX)
        os.kill(os.getpid(), 9)
    os.waitpid(child, 0)
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_errors_name_no_path() -> None:
    told = in_words(EzavError("'/tmp/ezav-serve-ab/3f/clip.mp4': Input/output error"))
    assert told == "'clip.mp4': Input/output error."


def test_more_connections_than_files_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda what: (256, 256))
    with pytest.raises(EzavError, match="256 are allowed"):
        Connections(1000, 10)
