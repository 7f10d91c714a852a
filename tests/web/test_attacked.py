"""A browser gets its answer while others try to keep the page from it, all at once."""

from __future__ import annotations

import socket
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ezav.recognizer import Recognizer
from tests.media.files import write_clip, write_wav
from tests.security.test_media import nested_tracks
from tests.waiting import MINUTES
from tests.web.asking import ask
from tests.web.browsing import CHROMIUM, new_page

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: install chromium")
ATTACKER = ("127.0.0.2", 0)
"""Another client than the browser, on the same machine."""


def bombs(folder: Path) -> list[Path]:
    """Small files that are much to open: boxes in boxes, large pictures, a long silence."""
    tracks = folder / "tracks.mp4"
    tracks.write_bytes(nested_tracks(60_000))
    black = np.zeros((4096, 4096, 3), np.uint8)
    fast = {"preset": "ultrafast", "g": "250"}
    pictures = write_clip(
        folder / "black.mp4",
        frames=24,
        size=(4096, 4096),
        tone=None,
        options=fast,
        picture=lambda n: black,
    )
    silence = folder / "silence.wav"
    write_wav(silence, np.zeros(400_000, np.int16), 8_000)
    return [tracks, pictures, silence]


@contextmanager
def under_attack(address: str, folder: Path) -> Iterator[dict[str, int]]:
    """230 idle connections, four stalled uploads, requests again and again, three bombs."""
    told = urllib.parse.urlsplit(address)
    assert told.hostname is not None
    assert told.port is not None
    where = (told.hostname, told.port)
    over = threading.Event()
    seen = {"taken": 0, "refused": 0}

    def fill(names: str) -> None:
        while not over.is_set():
            connection = HTTPConnection(*where, timeout=MINUTES, source_address=ATTACKER)
            try:
                connection.request("PUT", "/api/names", names, {"Ezav-Visitor": "a" * 32})
                status = connection.getresponse().status
                seen["taken" if status in (200, 422) else "refused"] += 1
            except OSError:
                seen["refused"] += 1
            connection.close()
            over.wait(0.02)

    def bomb(path: Path) -> None:
        data = path.read_bytes()
        while not over.is_set():
            ask(address, "/api/predict?class=a&class=b", "POST", data)

    with ExitStack() as stack:
        for _ in range(4):
            stalled = stack.enter_context(socket.create_connection(where, source_address=ATTACKER))
            stalled.sendall(
                b"POST /api/clips?name=a HTTP/1.1\r\nHost: localhost\r\n"
                b"Ezav-Visitor: aaaaaaaaaaaaaaaaaaaaaaaaaaa\r\nContent-Length: 900000\r\n\r\nx"
            )
        for _ in range(230):
            stack.enter_context(socket.create_connection(where, source_address=ATTACKER))
        threads = [threading.Thread(target=fill, args=["a\nb"]) for _ in range(20)]
        threads += [threading.Thread(target=bomb, args=[one]) for one in bombs(folder)]
        for thread in threads:
            thread.start()
        try:
            yield seen
        finally:
            over.set()
            for thread in threads:
                thread.join()


def test_a_browser_gets_its_answer_meanwhile(
    browser: Any, run_folder: Path, tmp_path: Path
) -> None:
    pytest.importorskip("starlette", reason="not installed: pip install 'ezav[web]'")
    from ezav.web.server import serving
    from ezav.web.settings import WebSettings

    recognizer = Recognizer.load(run_folder, import_code=True)
    settings = WebSettings(port=0, max_seconds=10, max_megabytes=1, time_limit=5, memory_limit=512)
    clip = run_folder.parent / "clip.mp4"
    wanted = recognizer.predict(clip)[0]
    with (
        serving(recognizer, settings) as address,
        under_attack(address, tmp_path) as seen,
    ):
        for _ in range(2):
            tab = new_page(browser)
            tab.goto(address)
            tab.wait_for_selector("#names")
            tab.set_input_files("#files", str(clip))
            tab.wait_for_selector(".ranked")
            assert wanted.best.name in tab.inner_text(".ranked")
            tab.close()
        assert seen["taken"] > 0
        assert seen["refused"] > 0
