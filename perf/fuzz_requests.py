"""Requests of every kind that the page takes, and changes of them; for `fuzz_http.py`."""

from __future__ import annotations

import json
import random
import urllib.parse
from dataclasses import dataclass, replace

from fuzz_mutations import TOKENS, by_bytes, json_text

VISITOR = b"ezav-visitor"
Head = tuple[tuple[bytes, bytes], ...]
ODD_HEADS: dict[bytes, tuple[bytes, ...]] = {
    b"origin": (b"http://[", b"null", b"http://evil", b"http://localhost", b"://", b"\xff"),
    b"host": (b"", b"[::1", b"evil", b"localhost:x", b"[", b"localhost:99999999", b"\xff"),
    b"cookie": (b"=", b";;;", b"ezav-00000000=\xff", b"a" * 5000, b'x="\\"'),
    b"authorization": (b"Bearer", b"Bearer \xff", b"Basic x", b"bearer a-token-of-letters"),
    b"sec-fetch-site": (b"cross-site", b"\xff", b"none"),
    b"content-type": (b"application/json; charset=x", b"multipart/form-data; boundary=", b"\xff"),
    b"content-length": (b"-1", b"1e9", b"99999999999999999999", b"0", b"x"),
    b"transfer-encoding": (b"chunked", b"gzip, chunked", b"x"),
    b"range": (b"bytes=0-0,1-1", b"bytes=-1", b"bytes=9999999999-", b"bytes=", b"x=\xff"),
    b"if-range": (b"x", b"\xff"),
    b"if-none-match": (b"*", b"x"),
    b"if-modified-since": (b"x", b"Thu, 01 Jan 1970 00:00:00 GMT", b"\xff"),
    b"accept": (b"text/html", b"\xff"),
    b"x-forwarded-for": (b"1.2.3.4", b"\xff", b"," * 500),
    b"expect": (b"100-continue", b"x"),
    VISITOR: (b"", b"x" * 21, b"x" * 65, b"\xff" * 22, b"../../etc/passwd/aaaaaaaa"),
}


@dataclass(frozen=True)
class Asked:
    """A request; `query` is what stands behind the question mark."""

    method: str
    path: bytes
    query: bytes = b""
    body: bytes = b""
    head: Head = ()


def requests(clip: bytes) -> list[Asked]:
    """A valid request of every kind that the page takes."""

    def told(**said: object) -> bytes:
        return json.dumps(said).encode()

    lamp = "blue light"
    table = b"file,answer,correct\na.mp4,x,blue light\n"
    rows = json.dumps([{"file": "a.mp4", "correct": lamp}]).encode()
    return [
        Asked("GET", b"/"),
        Asked("GET", b"/", b"token=a-token-of-letters"),
        Asked("GET", b"/static/page.js"),
        Asked("GET", b"/api/state"),
        Asked("PUT", b"/api/names", body=b"blue light\nred light\na lamp: a lamp that shines"),
        Asked("POST", b"/api/clips", b"name=a.mp4", clip),
        Asked("POST", b"/api/clips", b"name=b.mp4&shows=red+light", clip),
        Asked("POST", b"/api/predict", b"name=a.mp4&class=a&class=b&explain=1", clip),
        Asked("POST", b"/api/clips/remove", body=told(clips=[1, 2])),
        Asked("GET", b"/api/clips/1", b"why=1"),
        Asked("PUT", b"/api/clips/1/correct", body=told(name=lamp)),
        Asked("POST", b"/api/corrections", body=table),
        Asked("POST", b"/api/corrections", body=rows),
        Asked("POST", b"/api/teach"),
        Asked("POST", b"/api/undo"),
        Asked("POST", b"/api/unlearn", body=told(name=lamp)),
        Asked("POST", b"/api/rename", body=told(name=lamp, to="a new lamp")),
        Asked("GET", b"/api/answers.csv"),
        Asked("GET", b"/api/recogniser.zip"),
        Asked("POST", b"/api/here"),
        Asked("POST", b"/api/leave"),
        Asked("GET", b"/api/examples/0"),
    ]


def changed(asked: Asked, draw: random.Random) -> Asked:
    """A request of somebody, changed in its body, its path, its query or its head."""
    who = "".join(draw.choice("abc") for _ in range(2)).ljust(24, "x")
    head: Head = ((b"host", b"localhost"), (VISITOR, who.encode()))
    way = draw.random()
    if asked.body and way < 0.45:
        asked = replace(asked, body=_body(asked.body, draw))
    elif way < 0.65:
        asked = replace(asked, query=_query(asked.query, draw))
        if draw.random() < 0.5:
            asked = replace(asked, path=by_bytes(asked.path, draw))
    elif way < 0.85:
        name = draw.choice(list(ODD_HEADS))
        kept = head if draw.random() < 0.3 else tuple(one for one in head if one[0] != name)
        value = draw.choice(ODD_HEADS[name])
        head = (*kept, (name, value if draw.random() < 0.8 else by_bytes(value, draw)))
    return replace(asked, head=head)


def _body(body: bytes, draw: random.Random) -> bytes:
    try:
        return json_text(body, draw) if draw.random() < 0.7 else by_bytes(body, draw)
    except Exception:  # no JSON
        return by_bytes(body, draw)


def _query(query: bytes, draw: random.Random) -> bytes:
    pairs = urllib.parse.parse_qsl(query) or [(b"name", b"a")]
    name, value = draw.choice(pairs)
    odd = by_bytes(value, draw) if draw.random() < 0.5 else draw.choice(TOKENS)
    whole = urllib.parse.urlencode([*pairs, (name, odd)][draw.randrange(2) :]).encode()
    return by_bytes(whole, draw) if draw.random() < 0.2 else whole


def as_bytes(asked: Asked, draw: random.Random) -> tuple[bytes, bool]:
    """The request as it goes over a connection; whether its head is right and it comes whole."""
    target = urllib.parse.quote(asked.path, safe="/").encode()
    target += b"?" + asked.query if asked.query else b""
    lines = [b"%s %s HTTP/1.1" % (asked.method.encode(), target)]
    lines += [b"%s: %s" % one for one in asked.head]
    names = {name for name, _ in asked.head}
    if not names & {b"content-length", b"transfer-encoding"}:
        lines.append(b"Content-Length: %d" % len(asked.body))
    lines.append(b"Connection: close")
    whole = b"\r\n".join(lines) + b"\r\n\r\n"
    if draw.random() < 0.8:
        plain = names <= {b"host", VISITOR} and target.startswith(b"/") and whole.isascii()
        return whole + asked.body, plain and b" " not in target
    if draw.random() < 0.5:
        return by_bytes(whole, draw) + asked.body, False
    return by_bytes(whole + asked.body, draw), False
