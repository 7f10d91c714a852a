"""Media files and requests, changed, given to what takes them from strangers; for `fuzz.py`."""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import socket
import struct
import sys
import tempfile
import threading
import time
import urllib.parse
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import psutil
from tests.media.files import sine, write_clip, write_wav

from fuzz_mutations import TOKENS, by_bytes, json_text
from small_world import make

BATCH = 200
WAIT = 60.0
"""Seconds for a request that came whole to be answered."""


def media_corpus(folder: Path) -> list[Path]:
    """Small clips in many containers and codecs, as far as this build of FFmpeg writes them."""
    folder.mkdir(parents=True, exist_ok=True)
    kinds = {
        "h264.mp4": {},
        "front.mp4": {"faststart": True},
        "turned.mp4": {"rotation": 90},
        "silent.mp4": {"tone": None},
        "h264.mkv": {},
        "h264.mov": {},
        "h264.ts": {},
        "h264.flv": {"rate": 22_050},
        "mpeg4.avi": {"codec": "mpeg4"},
        "mpeg2.mpg": {"codec": "mpeg2video", "tone": None, "fps": 25},
        "vp9.mkv": {"codec": "libvpx-vp9"},
        "h265.mp4": {"codec": "libx265", "options": {"x265-params": "log-level=none"}},
    }
    made = []
    for name, how in kinds.items():
        try:
            made.append(write_clip(folder / name, **{"frames": 4, "rate": 16_000, **how}))
        except Exception as error:  # a codec that is not there
            (folder / name).unlink(missing_ok=True)
            print(f"not among the files: {name}: {error}", file=sys.stderr)
    tone = sine(440.0, 0.3, 16_000)[None]
    made.append(write_wav(folder / "tone.wav", np.repeat(tone, 2, 0), 16_000, "stereo"))
    return made


def mutated_media(data: bytes, draw: random.Random) -> bytes:
    """A file changed by bytes; or a length or a number near a name of four letters."""
    if draw.random() < 0.6:
        return by_bytes(data, draw)
    out = bytearray(data)
    named = [at for at in range(4, len(data) - 12) if data[at : at + 4].isalpha()] or [4]
    for _ in range(draw.choice((1, 1, 2))):
        at = draw.choice(named) + draw.choice((-4, 4, 8, 12, 16, 20))
        number = draw.choice((0, 1, 7, 0x7FFFFFFF, 0xFFFFFFFF, draw.getrandbits(32), len(data)))
        struct.pack_into(draw.choice("<>") + "I", out, max(0, min(at, len(out) - 4)), number)
    return bytes(out)


def fuzz_media(arguments: argparse.Namespace, root: Path) -> int:
    """Changed clips through the workers of extraction: each is answered, and this process lives."""
    from ezav.encoders.spec import EncoderSpec
    from ezav.extraction.pool import WorkerPool
    from ezav.extraction.reading import Reading

    valid = media_corpus(root / "media")
    data = {path: path.read_bytes() for path in valid}
    folder = root / "changed"
    folder.mkdir(exist_ok=True)
    here = "tests.extraction.encoders"
    seen, findings, before = Counter[str](), [], psutil.Process().num_fds()
    reading = Reading(seconds=20.0, memory=1024)
    looks, sounds = EncoderSpec(f"{here}:MeanColour"), EncoderSpec(f"{here}:Level")
    with WorkerPool(looks, sounds, workers=arguments.workers, reading=reading) as pool:
        for _, clip in pool.encode(valid):
            if clip.status != "ok":
                findings.append(f"the valid {clip.path.name}: {clip.reason}")
        seed, end = arguments.start, time.monotonic() + arguments.seconds
        while seed < arguments.start + arguments.count and time.monotonic() < end:
            paths = []
            for number in range(seed, min(seed + BATCH, arguments.start + arguments.count)):
                draw = random.Random(number)
                path = draw.choice(valid)
                paths.append(folder / f"{number}{path.suffix}")
                paths[-1].write_bytes(mutated_media(data[path], draw))
            answered = set()
            for index, clip in pool.encode(paths):
                answered.add(index)
                seen[_kind(clip.status, clip.reason)] += 1
                if "no sense" in clip.reason or "\n" in clip.reason:
                    findings.append(f"{paths[index].name}: {clip.reason}")
            if answered != set(range(len(paths))):
                findings.append(f"no answer to files of {seed} and after")
            seed += len(paths)
            if {path.name for path in folder.iterdir()} != {path.name for path in paths}:
                findings.append(f"other files beside those of {seed}")
            for path in paths:
                path.unlink(missing_ok=True)
            print(f"{seed - arguments.start} files: {dict(seen)}", flush=True)
    if (after := psutil.Process().num_fds()) > before + 3:
        findings.append(f"{after} files open, {before} before")
    return _tell(sum(seen.values()), seen, findings)


def _kind(status: str, reason: str) -> str:
    for what in ("took longer", "crashed", "memory"):
        if what in reason:
            return what
    return status


def _tell(count: int, seen: Counter[str], findings: list[str]) -> int:
    told = ", ".join(f"{number} {what}" for what, number in seen.most_common())
    print(f"{count} inputs: {told}; {len(findings)} findings")
    for finding in findings[:100]:
        print(finding)
    return int(bool(findings))


Asked = tuple[str, str, bytes]


def requests(clip: bytes) -> list[Asked]:
    """A valid request of every kind that the page takes: method, path, body."""

    def told(**said: object) -> bytes:
        return json.dumps(said).encode()

    lamp = "blue light"
    return [
        ("GET", "/", b""),
        ("GET", "/static/page.js", b""),
        ("GET", "/api/state", b""),
        ("PUT", "/api/names", b"blue light\nred light\na lamp: a lamp that shines"),
        ("POST", "/api/clips?name=a.mp4", clip),
        ("POST", "/api/clips?name=b.mp4&shows=red+light", clip),
        ("POST", "/api/predict?name=a.mp4&class=a&class=b&explain=1", clip),
        ("POST", "/api/clips/remove", told(clips=[1, 2])),
        ("GET", "/api/clips/1?why=1", b""),
        ("PUT", "/api/clips/1/correct", told(name=lamp)),
        ("POST", "/api/corrections", b"file,answer,correct\na.mp4,x,blue light\n"),
        ("POST", "/api/corrections", json.dumps([{"file": "a.mp4", "correct": lamp}]).encode()),
        ("POST", "/api/teach", b""),
        ("POST", "/api/undo", b""),
        ("POST", "/api/unlearn", told(name=lamp)),
        ("POST", "/api/rename", told(name=lamp, to="a new lamp")),
        ("GET", "/api/answers.csv", b""),
        ("GET", "/api/recogniser.zip", b""),
        ("POST", "/api/here", b""),
        ("POST", "/api/leave", b""),
        ("GET", "/api/examples/0", b""),
    ]


def changed_request(asked: Asked, draw: random.Random) -> tuple[bytes, bool]:
    """The bytes of a changed request, and whether it has a right head and comes whole."""
    method, path, body = asked
    way = draw.random()
    if body and way < 0.5:
        try:
            body = json_text(body, draw) if draw.random() < 0.7 else by_bytes(body, draw)
        except Exception:  # no JSON
            body = by_bytes(body, draw)
    elif way < 0.7:
        place, _, query = path.partition("?")
        pairs = urllib.parse.parse_qsl(query) or [("name", "a")]
        name, value = draw.choice(pairs)
        odd = by_bytes(value.encode(), draw) if draw.random() < 0.5 else draw.choice(TOKENS)
        query = urllib.parse.urlencode([*pairs, (name, odd)][draw.randrange(2) :])
        if draw.random() < 0.5:
            place = urllib.parse.quote(by_bytes(place.encode(), draw)).replace("%2F", "/")
        path = f"{place}?{query}"
    who = "".join(draw.choice("abc") for _ in range(2)).ljust(24, "x")
    head = [
        f"{method} {path} HTTP/1.1",
        "Host: localhost",
        f"Ezav-Visitor: {who}",
        f"Content-Length: {len(body)}",
        "Connection: close",
    ]
    whole = ("\r\n".join(head) + "\r\n\r\n").encode()
    if way < 0.8:
        return whole + body, path.startswith("/") and " " not in path
    if way < 0.9:
        return by_bytes(whole, draw) + body, False
    return by_bytes(whole + body, draw), False


def _ask(address: tuple[str, int], data: bytes, whole: bool, mine: str) -> tuple[str, bytes]:
    """What was answered, in a word: a status, "closed" or "nothing"; and the answer."""
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


def _visits(
    address: tuple[str, int], corpus: list[Asked], mine: int, start: int, end: float,
    seen: Counter[str], findings: list[str], hidden: bytes,
) -> None:  # fmt: skip
    number = start
    while time.monotonic() < end:
        draw = random.Random(number)
        asked = draw.choice(corpus)
        data, whole = changed_request(asked, draw)
        status, said = _ask(address, data, whole, f"127.0.0.{2 + mine}")
        seen[status] += 1
        bad = status.startswith("5") and status != "503"
        if bad or status == "no HTTP" or (whole and status in ("nothing", "closed")):
            findings.append(f"{number}: {asked[0]} {asked[1]}: {status} {said[-200:]!r}")
        if b"Traceback" in said or (hidden in said and "recogniser.zip" not in asked[1]):
            findings.append(f"{number}: {asked[0]} {asked[1]}: tells of places {said[-300:]!r}")
        number += 1000


def fuzz_http(arguments: argparse.Namespace, root: Path) -> int:
    """Changed requests to the page: none is a fault of the server's, and it goes on answering."""
    from ezav.recognizer import Recognizer
    from ezav.web.server import serving
    from ezav.web.settings import WebSettings

    world = make(root)
    clip = (world / "lights" / "blue light" / "0.mp4").read_bytes()
    small = [one for one in requests(clip) if one[2] != clip]
    corpus = 3 * small + [one for one in requests(clip) if one[2] == clip]
    seen, findings = Counter[str](), []
    places = root / "tmp"
    places.mkdir(exist_ok=True)
    tempfile.tempdir = str(places)
    settings = WebSettings(port=0, max_seconds=20, max_megabytes=2, max_names=50, keep_minutes=1)
    recognizer = Recognizer.load(world / "run", import_code=True)
    me = psutil.Process()
    with recognizer, serving(recognizer, settings) as address:
        told = urllib.parse.urlsplit(address)
        where = (str(told.hostname), int(told.port or 0))
        end, before = time.monotonic() + arguments.seconds, me.memory_info().rss >> 20
        visitors = [
            threading.Thread(
                target=_visits,
                args=(where, corpus, n, arguments.start + n, end, seen, findings,
                      os.fsencode(places)),
            )
            for n in range(arguments.visitors)
        ]  # fmt: skip
        for one in visitors:
            one.start()
        while time.monotonic() < end:
            time.sleep(min(60.0, arguments.seconds / 2))
            print(f"{sum(seen.values())} requests: {dict(seen)}", flush=True)
        for one in visitors:
            one.join()
        after = me.memory_info().rss >> 20
        connection = http.client.HTTPConnection(*where, timeout=WAIT)
        connection.request("GET", "/")
        if connection.getresponse().status != 200:
            findings.append("the page is not given any more")
        if left := [path.name for path in places.glob("ezav-serve-*/upload-*")]:
            findings.append(f"uploads are left: {left[:5]}")
    if left := list(places.glob("ezav-serve-*")):
        findings.append(f"its folder is left: {left}")
    print(f"{before} MiB at the beginning, {after} at the end")
    return _tell(sum(seen.values()), seen, findings)
