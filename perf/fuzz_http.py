"""Changed requests to the page, in this process or over connections; for `fuzz.py`.

None may be an error of the server's (5xx, but for 503), tell of places on the machine, or go
without an answer; afterwards the page is given, no upload is left, and memory is told.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import socket
import tempfile
import threading
import time
import urllib.parse
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from ezav.recognizer import Recognizer
from ezav.web import server
from ezav.web.reading import Reader
from ezav.web.settings import WebSettings
from fuzz_requests import Asked, as_bytes, changed, requests
from fuzz_targets import Target
from fuzz_turns import Kept, tell
from fuzz_workers import Batch
from held import Held
from small_world import make

WAIT = 60.0
"""Seconds for a request that came whole to be answered."""
AT_ONCE = 8
LIMITS: dict[str, Any] = {"max_seconds": 20, "max_megabytes": 2, "max_names": 50, "keep_minutes": 1}
TOKEN = "a-token-of-letters"


@dataclass
class Seen:
    """What was answered, and what is wrong with it."""

    name: str
    kept: Kept
    hidden: bytes
    """A place on the machine, which is told to nobody."""
    number: int
    """Of the next request."""
    counts: Counter[str]

    def take(self, number: int, asked: Asked, status: str, said: bytes) -> None:
        """Judge an answer; `status` is a number, or what came instead of one."""
        self.counts[status] += 1
        what = f"{asked.method} {asked.path!r}: {status} {said[-150:]!r}"
        if not status.isdecimal() or (status.startswith("5") and status != "503"):
            self.tell(number, what)
        if b"Traceback" in said or (self.hidden in said and b"zip" not in asked.path):
            self.tell(number, f"tells of places: {what}")

    def tell(self, number: int, what: str) -> None:
        """Add a finding."""
        nobody = Target(self.name, (), lambda *_: None, 1)
        Batch(nobody, Path(), 0, 0.0, Path(), self.kept.findings).tell(number, what)

    def next(self, corpus: list[Asked]) -> tuple[int, Asked, random.Random]:
        """The next request, changed."""
        number, self.number = self.number, self.number + 1
        draw = random.Random(number)
        return number, changed(draw.choice(corpus), draw), draw


def fuzz_http(arguments: argparse.Namespace, root: Path, room: Path) -> int:
    """Changed requests until the time is up."""
    world = make(root)
    clip = (world / "lights" / "blue light" / "0.mp4").read_bytes()
    small = [one for one in requests(clip) if one.body != clip]
    corpus = 20 * small + [one for one in requests(clip) if one.body == clip]
    places = room / "places"
    places.mkdir()
    tempfile.tempdir = str(places)
    kept = Kept(root, root, room)
    name = "requests over sockets" if arguments.sockets else "requests in process"
    number = arguments.start + kept.counts().get(name, Counter()).total()
    seen = Seen(name, kept, os.fsencode(places), number, Counter())
    me, end = psutil.Process(), time.monotonic() + arguments.seconds
    held = Held(me, places, arguments.seconds / 120, room / "held.csv")
    with Recognizer.load(world / "run", import_code=True) as recognizer, held.noting():
        if arguments.sockets:
            _over_sockets(recognizer, corpus, seen, end, arguments.visitors)
        else:
            asyncio.run(_in_process(recognizer, corpus, seen, end))
        if left := [path.name for path in places.rglob("upload-*")]:
            seen.tell(-1, f"uploads are left: {left[:5]}")
    if left := list(places.glob("ezav-serve-*")):
        seen.tell(-1, f"its folder is left: {left}")
    kept.add(name, seen.counts)
    status = tell(kept)
    held.show(name)
    return status


@contextmanager
def _apps(recognizer: Recognizer) -> Iterator[tuple[Any, Any]]:
    """The page as an application, open and behind a token."""
    with ExitStack() as stack:
        folder = stack.enter_context(server.private_folder("serve"))
        found = []
        for number, more in enumerate(({}, {"token": TOKEN, "root_path": "/ezav"})):
            settings = WebSettings(port=0, **LIMITS, **more)
            (place := folder / str(number)).mkdir()
            reader = stack.enter_context(Reader(recognizer, settings))
            visitors = server._visitors(recognizer, settings)
            stack.enter_context(visitors.sweeping())
            offered = server._offered((), place)
            found.append(
                server._application(recognizer, settings, visitors, reader, place, offered)
            )
        yield found[0], found[1]


async def _in_process(recognizer: Recognizer, corpus: list[Asked], seen: Seen, end: float) -> None:
    with _apps(recognizer) as apps:

        async def visit() -> None:
            while time.monotonic() < end:
                number, asked, draw = seen.next(corpus)
                status, said = await _called(apps[draw.random() < 0.2], asked, draw)
                seen.take(number, asked, status, said)

        await asyncio.gather(*(visit() for _ in range(AT_ONCE)))
        front = Asked("GET", b"/", head=((b"host", b"localhost"),))
        status, _ = await _called(apps[0], front, random.Random(0))
        if status != "200":
            seen.tell(-1, f"the page is not given any more: {status}")


async def _called(app: Any, asked: Asked, draw: random.Random) -> tuple[str, bytes]:
    """What an application answers; an error of its own is the status."""
    pieces = [asked.body]
    if draw.random() < 0.3:
        cut = draw.randrange(len(asked.body) + 1)
        pieces = [asked.body[:cut], asked.body[cut:]]
    leaves = draw.random() < 0.05
    messages = [
        {"type": "http.request", "body": piece, "more_body": at + 1 < len(pieces) or leaves}
        for at, piece in enumerate(pieces)
    ]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    # As uvicorn tells it.
    path = urllib.parse.unquote(urllib.parse.quote(asked.path, safe="/"))
    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1",
        "method": asked.method, "scheme": "http", "path": path, "raw_path": asked.path,
        "query_string": asked.query, "root_path": "", "headers": list(asked.head), "state": {},
        "server": ("localhost", 80), "client": (f"10.0.0.{draw.randrange(20)}", 5),
    }  # fmt: skip
    try:
        await asyncio.wait_for(app(scope, receive, send), WAIT)
    except TimeoutError:
        return "nothing", b""
    except Exception as error:
        return f"{type(error).__name__}: {error}", b""
    status = next((str(one["status"]) for one in sent if "status" in one), "nothing")
    return status, b"".join(one.get("body", b"") for one in sent)


def _over_sockets(
    recognizer: Recognizer, corpus: list[Asked], seen: Seen, end: float, visitors: int
) -> None:
    lock = threading.Lock()
    settings = WebSettings(port=0, **LIMITS)
    with server.serving(recognizer, settings) as address:
        told = urllib.parse.urlsplit(address)
        where = (str(told.hostname), int(told.port or 0))

        def visit(mine: str) -> None:
            while time.monotonic() < end:
                with lock:
                    number, asked, draw = seen.next(corpus)
                data, whole = as_bytes(asked, draw)
                status, said = _ask(where, data, whole, mine)
                with lock:
                    if whole or status.isdecimal() or status == "no HTTP":
                        seen.take(number, asked, status, said)
                    else:
                        seen.counts[status] += 1

        _at_once(visit, [f"127.0.0.{2 + number}" for number in range(visitors)])
        front = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        if (status := _ask(where, front, True, "127.0.0.1")[0]) != "200":
            seen.tell(-1, f"the page is not given any more: {status}")


def _at_once(visit: Callable[[str], None], who: list[str]) -> None:
    threads = [threading.Thread(target=visit, args=(one,)) for one in who]
    for one in threads:
        one.start()
    for one in threads:
        one.join()


def _ask(address: tuple[str, int], data: bytes, whole: bool, mine: str) -> tuple[str, bytes]:
    """What was answered: a status, "closed", "nothing" or "no HTTP"; and the answer."""
    try:
        with socket.create_connection(address, 10, source_address=(mine, 0)) as connection:
            connection.settimeout(WAIT if whole else 1.0)
            connection.sendall(data)
            said = b""
            while piece := connection.recv(1 << 16):
                said = (said + piece)[: 1 << 20]
    except TimeoutError:
        return "nothing", b""
    except OSError:
        return "closed", b""
    if not said:
        return "closed", b""
    head = said.split(b"\r\n", 1)[0].split()
    status = head[1].decode("latin-1") if len(head) > 1 and head[0] == b"HTTP/1.1" else "no HTTP"
    return status, said
