"""The page's server asked by hand, as a program and as a page do."""

from __future__ import annotations

import http.client
import json
import secrets
import urllib.parse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.waiting import MINUTES


def ask(
    address: str, path: str, method: str = "GET", body: Any = None, **headers: str
) -> tuple[int, bytes]:
    """Status and body of an answer."""
    told = urllib.parse.urlsplit(address)
    connection = http.client.HTTPConnection(told.netloc, timeout=MINUTES)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, told.path.rstrip("/") + path, body, named)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def predict(address: str, clip: Path, names: list[str], explain: bool = False) -> dict[str, Any]:
    """What the function for programs says of a file."""
    query = [("name", clip.name), ("explain", str(int(explain))), *(("class", n) for n in names)]
    path = f"/api/predict?{urllib.parse.urlencode(query)}"
    status, said = ask(address, path, "POST", clip.read_bytes())
    assert status == 200, said.decode()
    found: dict[str, Any] = json.loads(said)
    return found


@dataclass
class Visitor:
    """A page, without a browser."""

    address: str
    who: str = field(default_factory=lambda: secrets.token_urlsafe(24))

    def ask(self, path: str, method: str = "GET", body: Any = None) -> tuple[int, bytes]:
        """Status and body of an answer."""
        if isinstance(body, dict):
            body = json.dumps(body)
        return ask(self.address, path, method, body, Ezav_Visitor=self.who)

    def __call__(self, path: str, method: str = "GET", body: Any = None) -> Any:
        """The JSON of an answer that is none of a refusal."""
        status, said = self.ask(path, method, body)
        assert status == 200, said.decode()
        return json.loads(said)

    def give(self, clip: Path, **query: str) -> dict[str, Any]:
        """The row of a clip."""
        told = urllib.parse.urlencode({"name": clip.name, **query})
        row: dict[str, Any] = self(f"/api/clips?{told}", "POST", clip.read_bytes())
        return row

    def refusal(self, path: str, method: str = "POST", body: Any = None) -> str:
        """The line in which it is said that something cannot be done."""
        status, said = self.ask(path, method, {} if body is None else body)
        assert status == 422, (status, said)
        (line,) = said.decode().splitlines()
        return line
