"""Hostile media, and workers that one has taken over: each costs one clip."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import av
import pytest

from ezav.errors import EzavError
from ezav.extraction import EncodedClip, EncoderSpec, Reading, WorkerPool, process
from ezav.extraction.look import TOO_LONG, Look
from ezav.extraction.wire import Channel
from ezav.media.container import UnreadableError, open_source
from ezav.media.formats import readable
from tests.media.files import write_clip
from tests.security.attacks import HERE, RUBBISH
from tests.waiting import MINUTES

LINUX = sys.platform.startswith("linux")
linux = pytest.mark.skipif(not LINUX, reason="needs Linux")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    write_clip(folder / "clip.mp4", frames=8)
    return folder


def captured(folder: Path, torch: bool = False) -> EncoderSpec:
    return EncoderSpec(f"{HERE}:Captured", {"folder": str(folder), "torch": torch})


def attacked(pool: WorkerPool, folder: Path, name: str) -> EncodedClip:
    (folder / "attack").write_text(name)
    ((_, clip),) = pool.encode([folder / "clip.mp4"])
    return clip


@pytest.fixture(scope="module")
def pool(folder: Path) -> Iterator[WorkerPool]:
    patch = pytest.MonkeyPatch()
    patch.setenv("AWS_SECRET_ACCESS_KEY", "a secret of the parent")
    patch.setenv("HF_TOKEN", "another secret")
    patch.setenv("HTTPS_PROXY", "http://me:a secret password@proxy:1")
    patch.setenv("MY_MODELS", "/models")
    patch.setenv("EZAV_WORKER_ENV", "MY_MODELS")
    reading = Reading(seconds=MINUTES, memory=512)
    with WorkerPool(captured(folder), None, workers=1, reading=reading) as pool:
        yield pool
    patch.undo()


@pytest.mark.parametrize("name", RUBBISH)
def test_rubbish_of_a_worker_is_that_workers_failure(
    pool: WorkerPool, folder: Path, name: str
) -> None:
    clip = attacked(pool, folder, name)
    assert clip.status == "unreadable"
    assert clip.reason.startswith("the worker's answer makes no sense")
    assert len(clip.reason) < 200
    ((_, after),) = pool.encode([folder / "clip.mp4"])
    assert (after.status, after.reason) == ("ok", "")


def test_a_message_that_does_not_end_holds_up_nobody(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_MESSAGE_SECONDS", 1.0)
    with WorkerPool(captured(folder), None, workers=1) as pool:
        clip = attacked(pool, folder, "half")
        assert clip.reason == "the worker's answer makes no sense: a message that does not end"
        ((_, after),) = pool.encode([folder / "clip.mp4"])
        assert after.status == "ok"


def test_a_message_takes_no_memory_before_it_is_there() -> None:
    mine, theirs = socket.socketpair()
    theirs.sendall(RUBBISH["a terabyte"])
    with pytest.raises(ValueError, match="arrays of"):
        Channel(mine, most=1 << 20).receive()
    theirs.close()
    mine.close()


def test_a_worker_knows_no_secret(pool: WorkerPool, folder: Path) -> None:
    assert attacked(pool, folder, "environment").status == "ok"
    environment, kept = json.loads((folder / "told").read_text())
    assert "secret" not in json.dumps(environment) + kept
    assert environment["MY_MODELS"] == "/models"
    assert environment["PATH"] == os.environ["PATH"]


@linux
def test_a_worker_has_no_network(pool: WorkerPool, folder: Path) -> None:
    assert pool.cut_off
    assert attacked(pool, folder, "network").status == "ok"
    refused = "13"  # EACCES
    assert json.loads((folder / "told").read_text()) == [refused, refused, refused, "-1"]


@linux
@pytest.mark.parametrize("torch", [False, True])
def test_memory_is_refused_at_once_with_torch_too(folder: Path, torch: bool) -> None:
    reading = Reading(seconds=MINUTES, memory=256)
    with WorkerPool(captured(folder, torch), None, workers=1, reading=reading) as pool:
        clip = attacked(pool, folder, "memory")
        assert clip.reason == "needs more memory than allowed"
        # The system said no: the watch of the pool had nothing to find.
        assert json.loads((folder / "told").read_text()) is False
        ((_, after),) = pool.encode([folder / "clip.mp4"])
        assert after.status == "ok"


def test_a_look_is_taken_in_the_worker(pool: WorkerPool, folder: Path) -> None:
    clip = pool.look(folder / "clip.mp4", Look(longest=10.0))
    assert clip.shown is not None
    assert clip.shown.frames is not None
    assert clip.shown.waveform is not None
    assert clip.shown.frames.images.shape == (8, 48, 64, 3)
    assert clip.shown.waveform.sample_rate == 16_000
    assert replace(clip, shown=None, tokens={}) == replace(
        next(pool.encode([folder / "clip.mp4"]))[1], tokens={}
    )
    long = pool.look(folder / "clip.mp4", Look(longest=0.2))
    assert (long.status, long.reason, long.tokens) == ("unreadable", TOO_LONG, {})
    assert long.claimed is not None


def test_the_page_opens_no_file_in_its_own_process(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the page's reader does with an upload, this process's FFmpeg sees none of it."""
    from ezav.web.reading import Reader
    from ezav.web.settings import WebSettings

    def opened(*arguments: object, **options: object) -> None:
        raise AssertionError("a file of a visitor was opened in the server")

    class OneWorker:
        """The reader of a recogniser, whose encoders play no part here."""

        def __init__(self, pool: WorkerPool) -> None:
            self.look = pool.look
            self.close = pool.close

    monkeypatch.setattr(av, "open", opened)
    with WorkerPool(captured(folder), None, workers=1) as pool:
        reader = Reader.__new__(Reader)
        reader._settings = WebSettings(max_seconds=10.0)
        reader._reader = OneWorker(pool)  # type: ignore[assignment]
        looked = reader.read(folder / "clip.mp4")
        assert looked.shown.frames is not None
        (folder / "no clip.mp4").write_bytes(b"\0" * 1000)
        with pytest.raises(EzavError, match="not a media file"):
            reader.read(folder / "no clip.mp4")


def nested_tracks(count: int) -> bytes:
    """An MP4 of nothing but boxes in boxes, each of which begins a track."""
    inside = b""
    for _ in range(count):
        inside = (len(inside) + 8).to_bytes(4, "big") + b"trak" + inside
    head = b"\0\0\0\x18ftypisom\0\0\0\0isommp41"
    return head + (len(inside) + 8).to_bytes(4, "big") + b"moov" + inside


@linux
@pytest.mark.parametrize("count", [500, 30_000])
def test_nested_tracks_cost_one_clip_within_its_limits(
    pool: WorkerPool, folder: Path, count: int
) -> None:
    path = folder / f"nested {count}.mp4"
    path.write_bytes(nested_tracks(count))
    clip = pool.look(path, Look(longest=10.0))
    assert clip.status == "unreadable"
    ((_, after),) = pool.encode([folder / "clip.mp4"])
    assert after.status == "ok"


def test_a_format_that_opens_its_siblings_is_not_read(tmp_path: Path) -> None:
    """Magic Lantern's: `clip.mlv` has its pictures in `clip.M00` and the next, by name."""
    head = b"MLVI" + (52).to_bytes(4, "little") + b"v2.0\0\0\0\0" + bytes(8)
    head += bytes([0, 0, 1, 0]) + bytes(4) + (1).to_bytes(2, "little") + bytes(22)
    (tmp_path / "clip.mlv").write_bytes(head.ljust(4096, b"\0"))
    with (
        pytest.raises(UnreadableError, match="not a media file"),
        open_source(tmp_path / "clip.mlv"),
    ):
        pass


def test_formats_that_open_other_files_are_not_among_those_read() -> None:
    read = set(readable().split(","))
    others = {"concat", "hls", "dash", "image2", "imf", "mlv", "rtsp", "sdp", "lavfi", "vobsub"}
    assert not others & read
    assert {"mp4", "matroska", "avi", "ogg", "wav", "flac", "mp3", "mpegts"} <= read
