"""The page from a program's side: the API, what it refuses, and that nothing stays behind."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ezav.errors import EzavError
from ezav.recognizer import Candidate, Prediction

pytest.importorskip("starlette", reason="not installed: pip install 'ezav[web]'")

from ezav.web.app import in_words
from ezav.web.render import ranking
from ezav.web.server import _visitors, example_files
from ezav.web.settings import WebSettings
from tests.waiting import MINUTES, wait_until
from tests.web.asking import Visitor, ask, predict
from tests.web.conftest import Page


def test_the_api_gives_the_same_as_python(page: Page, run_folder: Path) -> None:
    clip = run_folder.parent / "clip.mp4"
    names = ["red light", "a lamp that nobody has seen", "ライト"]
    found = predict(page.address, clip, names, explain=True)
    wanted = page.recognizer.predict(clip, names, explain=True)[0]
    assert [c["name"] for c in found["ranked"]] == [c.name for c in wanted.ranked]
    for a, b in zip(found["ranked"], wanted.ranked):
        assert a["score"] == pytest.approx(b.score, abs=1e-4)
        assert a["probability"] == pytest.approx(b.probability, abs=1e-4)
        assert a["contributions"] == pytest.approx(b.contributions, abs=1e-3)
    assert found["rejected"] == wanted.rejected
    plain = predict(page.address, clip, ["a", "b"])
    assert not any(c["contributions"] or c["moments"] for c in plain["ranked"])
    status, said = ask(page.address, "/api/predict?class=a&class=a", "POST", clip.read_bytes())
    assert (status, b"twice" in said) == (422, True)


@pytest.mark.parametrize("path", ["/etc/passwd", "../../etc/passwd", "http://example.org/a.mp4"])
def test_what_a_visitor_calls_a_file_is_never_a_path_or_an_address(page: Page, path: str) -> None:
    before = set(page.looked_up)
    visitor = Visitor(page.address)
    told = urllib.parse.urlencode({"name": path})
    row = visitor(f"/api/clips?{told}", "POST", b"root:x:0:0 " * 30)
    assert row["error"] == "not a media file"
    assert row["file"] == path
    assert page.looked_up == before
    for there in (f"/static/{path}", f"/static/..%2f..{path}", f"/api/examples/{path}"):
        assert ask(page.address, there)[0] == 404


@pytest.mark.parametrize("body", [b"", b"[1]", b"{", b"null", b"[" * 10_000, b"\xed\xa0\x80"])
def test_forged_values_are_answered_in_words(page: Page, body: bytes) -> None:
    visitor = Visitor(page.address)
    for path, method in (("unlearn", "POST"), ("rename", "POST"), ("clips/1/correct", "PUT")):
        status, said = visitor.ask(f"/api/{path}", method, body)
        assert (status, said) == (400, b"The request holds no JSON object.")
    assert visitor.ask("/api/clips/remove", "POST", {"clips": ["x", None, 1e300, True]})[0] == 200
    assert visitor.refusal("/api/clips/7/correct", "PUT", {"name": "a"}).startswith("This clip is")
    assert visitor.ask("/api/clips/7")[0] == 422
    for who in ("", "short", "x" * 70, "a b" * 10):
        assert Visitor(page.address, who).ask("/api/state")[0] == 400


def test_the_server_asks_for_no_other_host(page: Page) -> None:
    assert page.looked_up <= {"127.0.0.1", "localhost", "0.0.0.0", "::1", "None"}


def _uploads(page: Page) -> set[Path]:
    return set(page.folder.rglob("upload-*"))


def test_the_same_bytes_may_come_and_go_at_once(page: Page, run_folder: Path) -> None:
    clip = run_folder.parent / "clip.mp4"

    def give(who: int) -> list[int]:
        visitor = Visitor(page.address)
        numbers = []
        for _ in range(2):
            numbers.append(visitor.give(clip)["number"])
            visitor("/api/clips/remove", "POST", {"clips": numbers[-1:]})
        return numbers

    with ThreadPoolExecutor(3) as pool:
        assert [len(set(numbers)) for numbers in pool.map(give, range(3))] == [2, 2, 2]
    assert _uploads(page) == set()


def test_of_an_upload_nothing_stays(page: Page, run_folder: Path) -> None:
    """Whether it is read, refused or cut off."""
    visitor = Visitor(page.address)
    assert visitor.give(run_folder.parent / "clip.mp4")["answer"]
    assert visitor.ask("/api/clips?name=a.mp4", "POST", b"0" * 1_500_000)[0] == 413
    assert _uploads(page) == set()

    host = page.address.removeprefix("http://").rstrip("/")
    leaving = http.client.HTTPConnection(host, timeout=MINUTES)
    leaving.putrequest("POST", "/api/clips?name=a.mp4")
    leaving.putheader("Ezav-Visitor", visitor.who)
    leaving.putheader("Content-Length", "900000")
    leaving.endheaders()
    leaving.send(b"0" * 300_000)
    wait_until(lambda: _uploads(page), "the part of an upload")
    leaving.close()
    wait_until(lambda: not _uploads(page), "its end")


def test_a_request_that_is_too_large_is_refused(page: Page) -> None:
    visitor = Visitor(page.address)
    settings = WebSettings(max_names=50)
    most = settings.max_request
    status, said = visitor.ask("/api/names", "PUT", ("🐈" * settings.max_letters).encode())
    assert status == 422, said
    larger = b"a" * (most + 1)
    pieces = (larger[start : start + 4096] for start in range(0, len(larger), 4096))
    for body in (larger, pieces):
        assert visitor.ask("/api/names", "PUT", body)[0] == 413
    assert "60 classes are too many" in visitor.refusal("/api/names", "PUT", "x\n" * 60)


def test_the_list_to_begin_with_is_one_that_is_answered(page: Page) -> None:
    for most, lines in ((8, 8), (7, 0)):  # the run has 8 classes; empty stands for all of them
        visitors = _visitors(page.recognizer, WebSettings(max_names=most))
        state = visitors.bench("a", "").state()
        assert len(state["names"].splitlines()) == lines
        assert state["choices"] == list(page.recognizer.classes)


def test_a_mistake_of_ours_is_not_told_to_visitors(caplog: pytest.LogCaptureFixture) -> None:
    assert "secret" not in in_words(ValueError("secret"))
    assert "secret" in caplog.text
    assert in_words(EzavError("no class 'x'", "name one")) == "No class 'x'; name one."


def test_examples_are_files_or_folders_of_them(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("b.mp4", "a.mp4", ".hidden"):
        (tmp_path / name).write_text("x")
    some = [tmp_path / "a.mp4", tmp_path / "b.mp4"]
    assert example_files([tmp_path]) == some
    assert example_files([some[1], tmp_path]) == [some[1], *some]
    for missing in (tmp_path / "empty", tmp_path / "none.mp4"):
        with pytest.raises(EzavError, match="no example at"):
            example_files([missing])


def test_names_are_text_not_markup() -> None:
    nasty = '<img src=x onerror="alert(1)">'
    one = Candidate(name=nasty, kind="new", score=1, probability=0.5, known_as=nasty)
    html = ranking(Prediction(clip="", ranked=(one,), missing={"audio": nasty}, warnings=(nasty,)))
    assert "<img" not in html
    assert html.count("&lt;img") == 6  # twice as what "It is this" says


@pytest.mark.parametrize(
    "values",
    [
        {"port": 70_000},
        {"workers": 0},
        {"max_seconds": -1},
        {"max_names": 0},
        {"max_megabytes": float("nan")},
        {"time_limit": float("inf")},
        {"max_kept_megabytes": 99},
    ],
)
def test_bad_settings(values: dict[str, Any]) -> None:
    with pytest.raises(EzavError):
        WebSettings(**values)


def test_there_is_room_for_the_largest_files() -> None:
    assert WebSettings().max_kept == 2e9
    assert WebSettings(max_megabytes=5000).max_kept >= 4 * 5e9
    assert WebSettings(max_megabytes=10, max_kept_megabytes=11).max_kept == 11e6


_NOBODY = "http://127.0.0.1:9"  # a proxy where nobody listens


@pytest.mark.parametrize(
    ("proxies", "ending"),
    [
        ({}, signal.SIGTERM),
        ({"HTTP_PROXY": _NOBODY, "http_proxy": _NOBODY, "ALL_PROXY": _NOBODY}, signal.SIGHUP),
    ],
)
def test_the_command_serves_and_leaves_nothing_behind(
    run_folder: Path, tmp_path: Path, proxies: dict[str, str], ending: signal.Signals
) -> None:
    code = (
        "import sys; from ezav.cli import main as m; m.COMMANDS.setdefault('serve', ''); "
        "sys.exit(m.main(sys.argv[1:]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, "serve", str(run_folder), "--port", "0", "--import"],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ
        | {"TMPDIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
        | proxies,
    )
    try:
        assert process.stderr is not None
        address = ""
        while not address and (line := process.stderr.readline()):
            address = "".join(re.findall(r"http://127\.0\.0\.1:\d+/", line))
        with urllib.request.urlopen(address) as answer:
            assert b"What is in these clips?" in answer.read()
        assert any(path.name.startswith("ezav-serve-") for path in tmp_path.iterdir())
    finally:
        process.send_signal(ending)
        assert process.wait(MINUTES) == 0
        process.stderr.close()
    assert list(tmp_path.iterdir()) == []


def test_an_address_of_ipv6(page: Page) -> None:
    from ezav.web.server import serving

    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:  # there is no IPv6 here
        with (
            pytest.raises(EzavError, match="cannot serve on ::1"),
            serving(page.recognizer, WebSettings(host="::1", port=0)),
        ):
            pass
        return
    with serving(page.recognizer, WebSettings(host="::1", port=0)) as address:
        assert address.startswith("http://[::1]:")
        with urllib.request.urlopen(address) as answer:
            assert b"What is in these clips?" in answer.read()


@pytest.mark.parametrize("host", ["no.such.host.invalid", "a" * 70, "::2"])
def test_an_address_that_is_not_here_is_said(page: Page, host: str) -> None:
    from ezav.web.server import serving

    with (
        pytest.raises(EzavError, match=f"cannot serve on {host}"),
        serving(page.recognizer, WebSettings(host=host, port=0)),
    ):
        pass


def test_a_taken_port_is_said(page: Page) -> None:
    from ezav.web.server import serving

    port = int(page.address.rstrip("/").rsplit(":", 1)[1])
    with (
        pytest.raises(EzavError, match="choose another `port`"),
        serving(page.recognizer, WebSettings(port=port)),
    ):
        pass
