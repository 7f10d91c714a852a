"""A disk that takes half of a write and then nothing: what was there is there, and goes on."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ezav.answers.journal import Entry, Journal
from ezav.errors import EzavError
from ezav.features import StoreWriter
from ezav.recognizer.event_files import append_event, check_appended
from ezav.recognizer.events import Event
from tests.features.small_store import HEADER, make_clip

REAL = os.write


@contextmanager
def full(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Half of the next write is written, and nothing after it."""
    calls: list[int] = []

    def write(handle: int, data: bytes) -> int:
        calls.append(handle)
        if len(calls) == 1:
            return REAL(handle, bytes(data)[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write)
        yield
    assert len(calls) > 1


@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
def test_events(ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / f"events{ending}"
    event = Event(start=1, end=2, name="dog", kind="seen", probability=0.5, score=1)
    check_appended(path)
    append_event(event, path)
    before = path.read_bytes()
    with full(monkeypatch), pytest.raises(EzavError, match="No space left"):
        append_event(event, path)
    assert path.read_bytes() == before
    check_appended(path)
    append_event(event, path)
    assert len(path.read_bytes().splitlines()) == len(before.splitlines()) + 1


def test_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = (Entry(file=name, stamp=(1, 2), rows=()) for name in ("a.mp4", "b.mp4"))
    with Journal(tmp_path / "a.journal", "one list") as journal:
        journal.append([one])
        with full(monkeypatch), pytest.raises(EzavError, match="No space left"):
            journal.append([other])
        journal.append([other])
    with Journal(tmp_path / "a.journal", "one list") as journal:
        assert list(journal.entries) == ["a.mp4", "b.mp4"]
    whole = (tmp_path / "a.journal").read_text()
    (tmp_path / "a.journal").write_text(whole.replace("[1, 2]", "[1, Infinity]", 1))
    with Journal(tmp_path / "a.journal", "one list") as journal:  # a damaged line is passed over
        assert list(journal.entries) == ["b.mp4"]


def test_clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with StoreWriter(tmp_path, HEADER) as writer:
        writer.add(**make_clip(0))
        with full(monkeypatch), pytest.raises(EzavError, match="No space left"):
            writer.add(**make_clip(1))
        writer.add(**make_clip(2))
    with StoreWriter(tmp_path, HEADER) as writer:
        assert set(writer.done) == {"clip0000", "clip0002"}
