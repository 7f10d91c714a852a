"""The page from a program's side: the API, what it refuses, and that nothing stays behind."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from ezav.errors import EzavError
from ezav.recognizer import Candidate, Prediction
from ezav.web.answers import Answers, in_words
from ezav.web.render import ranking
from ezav.web.server import example_files
from ezav.web.settings import WebSettings
from ezav.web.uploads import Uploads
from tests.waiting import MINUTES, wait_until
from tests.web.conftest import Page


def _call(page: Page, data: list[Any], name: str = "predict") -> str:
    """The API by hand: the events that a call gives."""
    address = f"{page.address}gradio_api/call/{name}"
    request = urllib.request.Request(
        address, json.dumps({"data": data}).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:
        event = json.load(answer)["event_id"]
    with urllib.request.urlopen(f"{address}/{event}") as answer:
        return str(answer.read().decode())


def _upload(page: Page, clip: Path) -> dict[str, Any]:
    """A file as the API takes it, after its upload."""
    head = f'--x\r\nContent-Disposition: form-data; name="files"; filename="{clip.name}"\r\n\r\n'
    request = urllib.request.Request(
        f"{page.address}gradio_api/upload",
        head.encode() + clip.read_bytes() + b"\r\n--x--\r\n",
        {"Content-Type": "multipart/form-data; boundary=x"},
    )
    with urllib.request.urlopen(request) as answer:
        (path,) = json.load(answer)
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


def test_the_api_gives_the_same_as_python(page: Page, run_folder: Path) -> None:
    clip = run_folder.parent / "clip.mp4"
    names = ["red light", "a lamp that nobody has seen", "ライト"]
    told = _call(page, [_upload(page, clip), "\n".join(names)], "explain")
    assert told.startswith("event: complete")
    (found,) = json.loads(told.split("data: ", 1)[1])
    wanted = page.recognizer.predict(clip, names, explain=True)[0]
    assert [c["name"] for c in found["ranked"]] == [c.name for c in wanted.ranked]
    for a, b in zip(found["ranked"], wanted.ranked):
        assert a["score"] == pytest.approx(b.score, abs=1e-4)
        assert a["probability"] == pytest.approx(b.probability, abs=1e-4)
        assert a["contributions"] == pytest.approx(b.contributions, abs=1e-3)
    assert found["rejected"] == wanted.rejected
    (plain,) = json.loads(_call(page, [_upload(page, clip), "a\nb"]).split("data: ", 1)[1])
    assert not any(c["contributions"] or c["moments"] for c in plain["ranked"])
    assert "twice" in _call(page, [_upload(page, clip), "a\na"])


@pytest.mark.parametrize("path", ["/etc/passwd", "/etc/../etc/passwd", "run/result.json"])
def test_a_path_of_the_server_is_not_read(page: Page, path: str) -> None:
    told = _call(page, [{"path": path, "meta": {"_type": "gradio.FileData"}}, "a"])
    assert told.startswith("event: error")
    assert "Only an uploaded file is read" in told
    assert "root:" not in told
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(f"{page.address}gradio_api/file={path}")
    assert error.value.code in {403, 404}


@pytest.mark.parametrize("data", [["text", "a"], [{"a": 1}, "a"], [[1], "a"], ["a"], []])
def test_forged_values_are_answered_in_words(page: Page, data: list[Any]) -> None:
    told = _call(page, data)
    assert told.startswith("event: error")
    assert "Only an uploaded file is read" in told


def test_an_address_is_not_fetched(page: Page) -> None:
    before = set(page.looked_up)
    clip = {"path": "http://example.org/clip.mp4", "meta": {"_type": "gradio.FileData"}}
    assert _call(page, [clip, "a"]).startswith("event: error")
    assert page.looked_up == before


def test_the_server_asks_for_no_other_host(page: Page) -> None:
    assert page.looked_up <= {"127.0.0.1", "localhost", "0.0.0.0", "::1", "None"}


def test_a_file_that_is_too_large_is_refused(page: Page) -> None:
    body = b"--x\r\nContent-Disposition: form-data; name=files; filename=a.mp4\r\n\r\n"
    body += b"0" * 1_500_000 + b"\r\n--x--\r\n"
    request = urllib.request.Request(
        f"{page.address}gradio_api/upload",
        body,
        {"Content-Type": "multipart/form-data; boundary=x"},
    )
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(request)
    assert error.value.code == 413
    assert not list(page.folder.rglob("a.mp4"))


def test_of_an_upload_that_is_refused_or_cut_off_nothing_stays(page: Page) -> None:
    before = set(page.folder.rglob("*"))
    part = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.mp4"\r\n\r\n'
    part += b"0" * 700_000 + b"\r\n"
    form = {"Content-Type": "multipart/form-data; boundary=x"}
    assert _post(page, "upload", part + part + b"--x--\r\n", **form) == 413  # each may be so large
    assert set(page.folder.rglob("*")) == before

    host = page.address.removeprefix("http://").rstrip("/")
    leaving = http.client.HTTPConnection(host, timeout=MINUTES)
    leaving.putrequest("POST", "/gradio_api/upload")
    for name, value in {**form, "Content-Length": "900000"}.items():
        leaving.putheader(name, value)
    leaving.endheaders()
    leaving.send(part)
    wait_until(lambda: set(page.folder.rglob("*")) != before, "the part of an upload")
    leaving.close()
    wait_until(lambda: set(page.folder.rglob("*")) == before, "its end")


def _post(page: Page, path: str, body: Any, **headers: str) -> int:
    """The status of a request; a body in pieces says nothing of its length."""
    host = page.address.removeprefix("http://").rstrip("/")
    connection = http.client.HTTPConnection(host, timeout=MINUTES)
    try:
        connection.request("POST", f"/gradio_api/{path}", body, headers, encode_chunked=True)
        return connection.getresponse().status
    finally:
        connection.close()


def test_a_request_that_is_too_large_is_refused(page: Page) -> None:
    most = WebSettings(max_names=50).max_request
    list_of_names = json.dumps({"data": [None, "猫" * (most // 6 - 100)]}).encode()
    assert _post(page, "call/predict", list_of_names, **{"Content-Type": "application/json"}) == 200
    larger = json.dumps({"data": [None, "a" * most]}).encode()
    pieces = (larger[start : start + 4096] for start in range(0, len(larger), 4096))
    for body in (larger, pieces):
        headers = {"Content-Type": "application/json"}
        if body is pieces:
            headers["Transfer-Encoding"] = "chunked"
        assert _post(page, "call/predict", body, **headers) == 413
    assert _post(page, "call/upload", larger, **{"Content-Type": "application/json"}) == 413
    form = b"--x\r\nContent-Disposition: form-data; name=video; filename=a\r\n\r\na\r\n--x--\r\n"
    for kind in ("multipart/form-data; boundary=x", "Multipart/Form-Data; boundary=x"):
        for path in ("call/predict", "queue/join"):
            assert _post(page, path, form, **{"Content-Type": kind}) == 415
        for path in ("component_server", "process_recording"):  # nobody needs them here
            assert _post(page, path, form, **{"Content-Type": kind}) == 404


def test_answers_read_only_from_the_folder_of_uploads(page: Page, tmp_path: Path) -> None:
    answers = Answers(page.recognizer, None, WebSettings(), tmp_path / "uploads")  # type: ignore[arg-type]
    (tmp_path / "uploads").mkdir()
    (tmp_path / "uploads" / "link").symlink_to("/etc/passwd")
    for path in ("/etc/passwd", str(tmp_path / "uploads" / ".." / "x"), f"{tmp_path}/uploads/link"):
        with pytest.raises(EzavError, match="only an uploaded file"):
            answers.answer(path, "a")
    with pytest.raises(EzavError, match="no clip yet"):
        answers.answer(None, "a")
    with pytest.raises(EzavError, match="2,001 classes"):
        answers.classes("\n".join(map(str, range(2001))))
    assert answers.classes(" \n ") is None


def test_the_list_to_begin_with_is_one_that_is_answered(page: Page, tmp_path: Path) -> None:
    import gradio as gr

    from ezav.web.page import build

    for most, lines in ((8, 8), (7, 0)):  # the run has 8 classes; empty stands for all of them
        settings = WebSettings(max_names=most)
        answers = Answers(page.recognizer, None, settings, tmp_path)  # type: ignore[arg-type]
        blocks = build(answers, settings, [], lambda _: None, lambda *_: None).blocks.values()
        (names,) = [one for one in blocks if isinstance(one, gr.Textbox)]
        assert len(names.value.splitlines()) == lines
        assert answers.classes(names.value) == (list(page.recognizer.classes) if lines else None)


def test_a_mistake_of_ours_is_not_told_to_visitors(caplog: pytest.LogCaptureFixture) -> None:
    assert "secret" not in in_words(ValueError("secret"))
    assert "secret" in caplog.text
    assert in_words(EzavError("no class 'x'", "name one")) == "No class 'x'; name one."


def test_uploads_go_with_their_session_and_with_time(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path, seconds=60)
    files = {name: tmp_path / name / "clip.mp4" for name in ("example", "mine", "ours", "old")}
    for path in files.values():
        path.parent.mkdir()
        path.write_text("x")
        if path == files["example"]:
            uploads.keep_what_is_there()
            assert uploads.size() == 0
    assert uploads.size() == 3
    outside = tmp_path.parent / "outside.mp4"
    outside.write_text("x")
    for session, name in (("a", "mine"), ("a", "ours"), ("b", "ours"), ("a", "example")):
        uploads.remember(session, str(files[name]))
    uploads.remember("a", str(outside))
    uploads.forget("a")
    assert [name for name, path in files.items() if path.exists()] == ["example", "ours", "old"]
    assert outside.exists()
    os.utime(files["old"], (1, 1))
    os.utime(files["example"], (1, 1))
    uploads.sweep()
    assert [name for name, path in files.items() if path.exists()] == ["example", "ours"]
    files["ours"].unlink()
    uploads.sweep(time.time() + 61)  # folders without a file, which it had long enough
    assert [path.name for path in tmp_path.iterdir()] == ["example"]


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
    assert html.count("&lt;img") == 4


@pytest.mark.parametrize(
    "values",
    [
        {"port": 70_000},
        {"workers": 0},
        {"max_seconds": -1},
        {"max_names": 0},
        {"max_megabytes": float("nan")},
        {"time_limit": float("inf")},
        {"max_kept_megabytes": 100},
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
            assert b"What is in this clip?" in answer.read()
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
            assert b"What is in this clip?" in answer.read()


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
