"""Visitors of `ezav serve`: they upload, cancel, are slow or wrong, teach, and look again."""

from __future__ import annotations

import argparse
import http.client
import json
import random
import secrets
import signal
import subprocess
import sys
import threading
import time
import urllib.parse
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from held import Held, surroundings
from small_world import make

KINDS = ("whole", "whole", "cancelled", "slow", "wrong", "refresh", "table")
NAMES = ["blue light", "red light", "white light", "green light", "a torch"]
SLOW_SECONDS = 8.0
"""That a slow upload takes."""
Address = tuple[str, int]


@dataclass
class Visitor:
    """One after another of all kinds of visits, with time to think between them.

    Attributes:
        where: the page is.
        mine: the visitor's own address, since visitors of one address share its limits.
        clips: to choose from.
        names: to choose among.
        expected: answer of each clip, where it is known already.
        think: seconds between two visits, on average.
    """

    where: Address
    mine: str
    clips: list[Path]
    names: list[str]
    expected: dict[Path, Any]
    think: float
    seen: Counter[str]
    draw: random.Random
    waits: list[float] = field(default_factory=list)

    def visit(self, over: threading.Event) -> None:
        """Until it is over."""
        over.wait(self.draw.uniform(0, self.think))
        while not over.is_set():
            kind = self.draw.choice(KINDS)
            try:
                self.seen[f"{kind}: {getattr(self, kind)()}"] += 1
            except (OSError, http.client.HTTPException, ValueError) as error:
                self.seen[f"{kind}: {type(error).__name__}"] += 1
            over.wait(self.draw.uniform(0, 2 * self.think))

    def ask(self, method: str, path: str, body: bytes = b"", who: str = "") -> tuple[int, bytes]:
        """Status and body of one answer."""
        connection = http.client.HTTPConnection(
            *self.where, timeout=300, source_address=(self.mine, 0)
        )
        with closing(connection):
            connection.request(method, path, body, {"ezav-visitor": who} if who else {})
            answer = connection.getresponse()
            return answer.status, answer.read()

    def whole(self, pause: float = 0.0) -> str:
        """A clip's answer, compared with the one before there were visitors."""
        clip = self.draw.choice(self.clips)
        status, said = self._upload(clip.read_bytes(), pause)
        if status != 200:
            return str(status)
        found = json.loads(said)
        return "as expected" if self.expected.setdefault(clip, found) == found else "DIFFERS"

    def slow(self) -> str:
        """The same, in small pieces."""
        return self.whole(SLOW_SECONDS)

    def cancelled(self) -> str:
        """Half of a clip, and away."""
        body = self.draw.choice(self.clips).read_bytes()
        self._upload(body, 0.0, len(body) // 2)
        return "left"

    def wrong(self) -> str:
        """No clip at all: cut, turned around, or noise."""
        body = self.draw.choice(self.clips).read_bytes()
        cut, turned, noise = body[: len(body) // 9], body[::-1], self.draw.randbytes(9000)
        return str(self._upload(self.draw.choice((cut, turned, noise)), 0.0)[0])

    def refresh(self) -> str:
        """The page with all that belongs to it, twice, and no farewell."""
        who = secrets.token_urlsafe(24)
        static = [f"/static/{name}" for name in ("style.css", "page.js", "table.js", "teach.js")]
        paths = ["/", *static, "/api/state"]
        return str(max(self.ask("GET", path, who=who)[0] for path in 2 * paths))

    def table(self) -> str:
        """A workbench: names, clips, a correction, teaching, what there is to take along."""
        who = secrets.token_urlsafe(24)
        some = [self.names[0], self.names[-1], "a lamp of my own"]
        asked = [("PUT", "/api/names", "\n".join(some).encode())]
        for clip in self.draw.sample(self.clips, 2):
            asked.append(("POST", "/api/clips?name=a.mp4", clip.read_bytes()))
        asked += [
            ("GET", "/api/clips/1?why=1", b""),
            ("PUT", "/api/clips/1/correct", json.dumps({"name": some[2]}).encode()),
            ("POST", "/api/teach", b""),
            ("GET", "/api/recogniser.zip", b""),
            ("GET", "/api/answers.csv", b""),
            ("POST", "/api/undo", b""),
        ]
        if self.draw.random() < 0.5:  # the others are away without a word
            asked.append(("POST", "/api/leave", b""))
        for method, path, body in asked:
            status, said = self.ask(method, path, body, who)
            if status >= 300:
                return f"{status} {path.partition('?')[0]} {said[:80].decode('utf-8', 'replace')}"
        return "done"

    def _upload(self, body: bytes, seconds: float, until: int | None = None) -> tuple[int, bytes]:
        names = urllib.parse.urlencode([("class", name) for name in self.names])
        connection = http.client.HTTPConnection(
            *self.where, timeout=300, source_address=(self.mine, 0)
        )
        with closing(connection):
            connection.putrequest("POST", f"/api/predict?name=a.mp4&{names}")
            connection.putheader("Content-Length", str(len(body)))
            connection.endheaders()
            step = max(1, len(body) // 40)
            for at in range(0, len(body) if until is None else until, step):
                connection.send(body[at : at + step])
                time.sleep(seconds / 40)
            if until is not None:
                return 0, b""
            begun = time.monotonic()
            answer = connection.getresponse()
            told = answer.status, answer.read()
            self.waits.append(time.monotonic() - begun)
            return told


def serve_for_long(arguments: argparse.Namespace, root: Path) -> None:
    """A page as it is served, its visitors, and what its process holds."""
    places, log = root / "tmp", root / "serve.log"
    places.mkdir()
    world = make(root)
    clips = sorted((world / "lights").rglob("*.mp4"))
    command = [sys.executable, "-u", "-m", "ezav.cli.main", "serve", str(world / "run"), "--import"]
    command += ["--port", "0", "--max-megabytes", "2", "--max-kept-megabytes", "200"]
    command += ["--keep-minutes", str(arguments.keep_minutes)]
    served = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=log.open("w"),
        env=surroundings(places),
    )
    where = _address(log, served)
    over, seen = threading.Event(), Counter[str]()
    first = Visitor(where, "127.0.0.1", clips, NAMES, {}, 0.0, Counter(), random.Random(0))
    for clip in clips:  # undisturbed, one after the other
        first.clips = [clip]
        assert first.whole() == "as expected"
    visitors = [
        Visitor(where, f"127.0.0.{2 + n}", clips, NAMES, first.expected, arguments.think, seen,
                random.Random(n))
        for n in range(arguments.visitors)
    ]  # fmt: skip
    threads = [threading.Thread(target=one.visit, args=(over,), daemon=True) for one in visitors]
    held = Held(psutil.Process(served.pid), places, arguments.every, root / "held.csv")
    for one in threads:
        one.start()
    with held.noting():
        time.sleep(60 * arguments.minutes)
        over.set()
        for one in threads:
            one.join(330)
        time.sleep(min(40.0, 30 * arguments.minutes))  # for what is put off to be done
    served.send_signal(signal.SIGTERM)
    status = served.wait(60)
    waits = sorted(wait for one in visitors for wait in one.waits)
    for what, count in sorted(seen.items()):
        print(f"{count:6d} {what}")
    print(
        f"{sum(seen.values())} visits; an answer took {waits[len(waits) // 2]:.1f} s (half of "
        f"them), {waits[int(0.95 * len(waits))]:.1f} s (95 %); visitors took "
        f"{sum(psutil.Process().cpu_times()[:2]):.0f} s of the processor; status {status}"
    )
    held.show(f"serve: {arguments.visitors} visitors, {arguments.minutes:g} minutes")
    left = [str(path) for path in places.rglob("*")]
    bad = [what for what in seen if "DIFFERS" in what or ": 500" in what]
    if status or left or bad:
        raise SystemExit(f"status {status}, left {left}, {bad}, {log.read_text()}")


def _address(log: Path, served: subprocess.Popen[bytes]) -> Address:
    """Where the page is, as it is told."""
    while "the page is at" not in (said := log.read_text()):
        if served.poll() is not None:
            raise SystemExit(said)
        time.sleep(0.2)
    (word,) = [word for word in said.split() if word.startswith("http://")]
    told = urllib.parse.urlsplit(word)
    return str(told.hostname), int(told.port or 0)
