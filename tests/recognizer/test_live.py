"""Live sources: a pipe and streams over loopback, against the same recording as a file."""

from __future__ import annotations

import http.server
import json
import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import pytest
import torch

from ezav.cli import main as command_line
from ezav.errors import EzavError
from ezav.media import read_clip
from ezav.recognizer import Recognizer, relay
from ezav.recognizer.event_files import append_event, check_appended
from ezav.recognizer.events import Event, ScanSettings
from ezav.recognizer.live import LiveSource
from ezav.recognizer.scan import scan
from ezav.recognizer.segment import Segmenter
from tests.recognizer import small_run

ORDER = ["red light", "green light", "dark room", "blue light"]
EVERYTHING = ScanSettings(reject=False)


def _streamed(folder: Path, kind: str, lights: list[str] = ORDER) -> Path:
    """A film of four seconds a light as a container that can be read as it comes."""
    film = small_run.write_video(folder / "film.mp4", lights, seconds=4.0)
    out = folder / f"film.{kind}"
    with av.open(str(film)) as source, av.open(str(out), "w", format=kind) as target:
        streams = {one.index: target.add_stream_from_template(one) for one in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                target.mux(packet)
    return out


@contextmanager
def _serving(*answers: Callable[[socket.socket], None]) -> Iterator[str]:
    """One connection after the other, each answered by its own function, then none."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        for answer in answers:
            with listener.accept()[0] as connection:
                answer(connection)
        listener.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"tcp://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.close()


def _found(recognizer: Recognizer, source: LiveSource) -> tuple[list[Event], str]:
    events: list[Event] = []
    try:
        events.extend(scan(recognizer, source, None, EVERYTHING))
    except EzavError as error:
        return events, str(error)
    # `extend` keeps what came before an error.
    return events, ""


@pytest.mark.parametrize("kind", ["mpegts", "matroska"])
def test_a_pipe_gives_the_events_of_the_file(sure: Recognizer, tmp_path: Path, kind: str) -> None:
    film, pipe = _streamed(tmp_path, kind), tmp_path / "pipe"
    wanted = list(scan(sure, film, None, EVERYTHING))
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(film.read_bytes()), daemon=True)
    writer.start()
    found, why = _found(sure, LiveSource(str(pipe)))
    assert why == ""
    assert [event.name for event in found] == ORDER == [event.name for event in wanted]
    for one, other in zip(found, wanted):
        assert one.start == pytest.approx(other.start, abs=0.5)
        assert one.end == pytest.approx(other.end, abs=0.5)


def test_an_event_comes_while_the_stream_goes_on(sure: Recognizer, tmp_path: Path) -> None:
    film = _streamed(tmp_path, "mpegts", ORDER * 3).read_bytes()
    came, ended = threading.Event(), []

    def answer(connection: socket.socket) -> None:
        connection.sendall(film[: len(film) * 2 // 3])  # more than 20 s are not needed for it
        ended.append(came.wait(600))
        connection.sendall(film[len(film) * 2 // 3 :])

    with _serving(answer) as address:
        events = scan(sure, LiveSource(address, patience=50, retries=0), None, EVERYTHING)
        assert next(events).name == ORDER[0]
        came.set()
        with pytest.raises(EzavError, match="scanned in part only: the stream ended"):
            list(events)
    assert ended == [True]


def test_an_address_is_reached_again(sure: Recognizer, tmp_path: Path) -> None:
    film = _streamed(tmp_path, "matroska").read_bytes()
    with _serving(*[lambda c: c.sendall(film)] * 2) as address:
        found, why = _found(sure, LiveSource(address, retries=1))
    assert [event.name for event in found] == ORDER * 2
    assert found[len(ORDER)].start >= found[len(ORDER) - 1].end >= 15
    assert why.endswith("the other side closed it (tried again in vain: 1)")


def test_a_stream_that_stalls_keeps_what_was_found(sure: Recognizer, tmp_path: Path) -> None:
    film, done = _streamed(tmp_path, "mpegts").read_bytes(), threading.Event()

    def answer(connection: socket.socket) -> None:
        connection.sendall(film)
        done.wait(600)

    with _serving(answer) as address:
        found, why = _found(sure, LiveSource(address, patience=1.0, retries=0))
        done.set()
    assert [event.name for event in found] == ORDER
    assert why.endswith("scanned in part only: the stream stalled: nothing came for 1 s")


def test_rubbish_and_nothing_are_one_line(sure: Recognizer, tmp_path: Path) -> None:
    rubbish = os.urandom(1 << 16)

    def endless(connection: socket.socket) -> None:
        try:
            while True:
                connection.sendall(rubbish)
        except OSError:
            return

    with _serving(endless) as address:
        found, why = _found(sure, LiveSource(address))
    assert found == []
    assert "cannot scan" in why
    assert "no media stream" in why
    found, why = _found(sure, LiveSource("tcp://127.0.0.1:1", retries=1))
    assert found == []
    assert "cannot reach the stream: connection refused (tried again in vain: 1)" in why


class _Films(http.server.BaseHTTPRequestHandler):
    film = b""

    def do_GET(self) -> None:
        if self.path == "/elsewhere":
            self.send_response(302)
            self.send_header("Location", "/film")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.film)))
        self.end_headers()
        self.wfile.write(self.film)

    def log_message(self, *_: object) -> None:
        pass


def test_http_ends_where_it_says_and_makes_no_detour(sure: Recognizer, tmp_path: Path) -> None:
    _Films.film = _streamed(tmp_path, "mpegts").read_bytes()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Films) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
        found, why = _found(sure, LiveSource(f"{address}/film"))
        detour = _found(sure, LiveSource(f"{address}/elsewhere", retries=0))
        server.shutdown()
    assert [event.name for event in found] == ORDER
    assert why == ""
    assert detour[0] == []
    assert "the server says 302" in detour[1]


def test_the_command_reads_standard_input(lights: tuple[Path, Path], tmp_path: Path) -> None:
    film = _streamed(tmp_path, "mpegts")
    out = [tmp_path / "events.jsonl", tmp_path / "events.csv"]
    command = [sys.executable, "-m", "ezav.cli.main", "scan", "--import", str(lights[1]), "-"]
    command += ["--no-reject", "--out", *map(str, out)]
    for times in (1, 2):  # a second call goes on in the same files
        with film.open("rb") as stream:
            done = subprocess.run(command, stdin=stream, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        lines = out[0].read_text().splitlines()
        names = [json.loads(line)["name"] for line in lines]
        assert len(names) == times * done.stdout.count(" - ") > 0
        assert len(out[1].read_text().splitlines()) == 1 + len(names)
    nothing = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert nothing.returncode == 1
    assert "cannot scan '-': nothing came" in nothing.stderr
    assert len(out[0].read_text().splitlines()) == len(lines)


def test_files_that_cannot_be_appended_to(
    lights: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    event = Event(start=0, end=1, name="a", kind="new", probability=None, score=0)
    for name in ("a.jsonl", "a.csv"):
        check_appended(tmp_path / name)
        append_event(event, tmp_path / name)
        check_appended(tmp_path / name)
        (tmp_path / name).write_text("something else")
        with pytest.raises(EzavError, match="has no events to go on after"):
            check_appended(tmp_path / name)
        assert (tmp_path / name).read_text() == "something else"
    run = str(lights[1])
    assert command_line.main(["scan", "--import", run, "-", "--out", str(tmp_path / "a.srt")]) == 1
    assert "end the name with .csv, .jsonl" in capsys.readouterr().err
    assert command_line.main(["scan", "--import", run, "srt://127.0.0.1/a"]) == 1
    assert "addresses of the kind 'srt' are not read" in capsys.readouterr().err


def test_a_source_that_is_refused_leaves_no_empty_file(
    lights: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    earlier = tmp_path / "earlier.jsonl"
    append_event(Event(start=0, end=1, name="a", kind="new", probability=None, score=0), earlier)
    words = ["scan", "--import", str(lights[1]), "tcp://127.0.0.1:1", "--retries", "0", "--out"]
    files = [str(tmp_path / "new.jsonl"), str(tmp_path / "new.csv"), str(earlier)]
    assert command_line.main([*words, *files]) == 1
    assert "connection refused" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["earlier.jsonl"]
    assert len(earlier.read_text().splitlines()) == 1


def test_no_moment_waits_longer_than_is_said() -> None:
    draw = torch.Generator().manual_seed(0)
    for cost in (0.0, 3.0, 1e6):
        segmenter, told = Segmenter(cost, look=1, most=20), 0
        for number in range(500):
            told += len(list(segmenter.add(torch.randn(4, generator=draw))))
            assert number + 1 - told <= 21
        assert told + len(list(segmenter.finish())) == 500


@pytest.mark.parametrize("values", [{"patience": 0}, {"patience": 99}, {"retries": -1}])
def test_bad_settings(values: dict[str, int]) -> None:
    with pytest.raises(EzavError):
        LiveSource("-", **values)


def test_datagrams_give_the_events_of_the_file(sure: Recognizer, tmp_path: Path) -> None:
    film = _streamed(tmp_path, "mpegts").read_bytes()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    over = threading.Event()

    def send() -> None:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger,
        ):
            sender.connect(("127.0.0.1", port))
            begun = False
            while not begun and not over.is_set():  # until somebody listens
                try:
                    sender.send(film[:188])
                    sender.send(film[188:376])
                    begun = True
                except ConnectionRefusedError:
                    over.wait(0.05)
            for at in range(376, len(film), 7 * 188):
                sender.send(film[at : at + 7 * 188])
                stranger.sendto(b"rubbish", ("127.0.0.1", port))
                over.wait(0.001)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    found, why = _found(sure, LiveSource(f"udp://127.0.0.1:{port}", patience=5, retries=0))
    over.set()
    thread.join()
    assert [event.name for event in found] == ORDER
    assert why.endswith("the stream stalled: nothing came for 5 s")


def _rtsp(film: bytes) -> Callable[[socket.socket], None]:
    """A server of one film: MPEG-TS in RTP, between the lines of the control connection."""
    told = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=film\r\nt=0 0\r\n"
    told += "m=video 0 RTP/AVP 33\r\na=control:track\r\n"

    def answer(connection: socket.socket) -> None:
        lines = connection.makefile("rwb")
        while request := lines.readline().decode().split():
            heads = {}
            while line := lines.readline().decode().strip():
                name, _, value = line.partition(": ")
                heads[name.lower()] = value
            more, body = "", b""
            if request[0] == "OPTIONS":
                more = "Public: DESCRIBE, SETUP, PLAY\r\n"
            elif request[0] == "DESCRIBE":
                body = told.encode()
                more = f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n"
            elif request[0] == "SETUP":
                more = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n"
            head = f"RTSP/1.0 200 OK\r\nCSeq: {heads['cseq']}\r\n{more}\r\n"
            lines.write(head.encode() + body)
            lines.flush()
            if request[0] == "PLAY":
                break
        for number, at in enumerate(range(0, len(film), 7 * 188)):
            packet = struct.pack(">BBHII", 0x80, 33, number & 0xFFFF, number * 90, 7)
            packet += film[at : at + 7 * 188]
            lines.write(struct.pack(">BBH", 36, 0, len(packet)) + packet)
        lines.flush()

    return answer


def test_rtsp_gives_the_events_of_the_file(sure: Recognizer, tmp_path: Path) -> None:
    film = _streamed(tmp_path, "mpegts").read_bytes()
    with _serving(_rtsp(film)) as address:
        source = address.replace("tcp://", "rtsp://") + "/film"
        found, why = _found(sure, LiveSource(source, retries=0))
    assert [event.name for event in found] == ORDER
    assert why.endswith("the stream ended: the other side closed it")
    found, why = _found(sure, LiveSource("rtsp://127.0.0.1:1/film", retries=0))
    assert found == []
    assert "cannot read the stream: connection refused" in why


def test_a_device_is_passed_on_as_a_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "cut_off", lambda: True)  # for good: not in this process
    # Raw pictures, as a camera gives them.
    raw, out = tmp_path / "camera", tmp_path / "stream.nut"
    raw.write_bytes(bytes(range(256)) * (10 * 64 * 48 * 2 // 256))
    options = {"video_size": "64x48", "pixel_format": "yuyv422", "framerate": "5"}
    with out.open("wb") as stream:
        relay.pass_on(str(raw), relay.Kind(format="rawvideo", options=options), stream, 5.0)
    clip = read_clip(out)
    assert clip.frames is not None
    assert clip.duration == pytest.approx(2.0, abs=0.25)
    assert LiveSource("v4l2:/dev/video0").is_address is False
    with pytest.raises(EzavError, match="srt"):
        LiveSource("srt://127.0.0.1:1")


def test_a_device_that_is_not_there_is_one_line(sure: Recognizer) -> None:
    for kind in ("v4l2:/no/such/camera", "avfoundation:0"):
        found, why = _found(sure, LiveSource(kind))
        assert found == []
        assert "cannot read the stream: " in why
        assert "\n" not in why
