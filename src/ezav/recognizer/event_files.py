"""Events as files: JSON, JSON lines, CSV, and subtitles (WebVTT, SRT) that a video player shows."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable
from pathlib import Path

from ezav.errors import EzavError
from ezav.naming import as_cell, as_subtitle, shown
from ezav.recognizer.events import Event
from ezav.safe_io import check_ending, check_writable, write_text, write_whole

_HEAD = "start,end,class,kind,probability,score\n"


def as_json(events: Iterable[Event]) -> str:
    """A list of objects."""
    return json.dumps([event.as_dict() for event in events], indent=2, ensure_ascii=False) + "\n"


def as_lines(events: Iterable[Event]) -> str:
    """One JSON object a line."""
    return "".join(json.dumps(event.as_dict(), ensure_ascii=False) + "\n" for event in events)


def as_csv(events: Iterable[Event]) -> str:
    """A header and one line an event."""
    return _HEAD + _rows(events)


def _rows(events: Iterable[Event]) -> str:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    for e in events:
        table.writerow(
            (
                f"{e.start:.3f}",
                f"{e.end:.3f}",
                as_cell(e.name),
                e.kind,
                "" if e.probability is None else f"{e.probability:.6f}",
                f"{e.score:.6f}",
            )
        )
    return text.getvalue()


def as_vtt(events: Iterable[Event]) -> str:
    """WebVTT (W3C); `&` and `<` are escaped, so a name cannot become markup or a cue.

    Example:
        >>> dog = Event(start=1, end=2.5, name="dog <3", kind="new", probability=0.5, score=1)
        >>> print(as_vtt([dog]))
        WEBVTT
        <BLANKLINE>
        00:00:01.000 --> 00:00:02.500
        dog &lt;3 (new, 50%)
        <BLANKLINE>
    """
    cues = [
        f"{clock(e.start, '.')} --> {clock(e.end, '.')}\n{_cue(e, _in_vtt(e.name))}\n"
        for e in events
    ]
    return "\n".join(["WEBVTT\n", *cues])


def as_srt(events: Iterable[Event]) -> str:
    """SubRip: numbered cues, a comma before the milliseconds."""
    cues = [
        f"{number}\n{clock(e.start, ',')} --> {clock(e.end, ',')}\n{_cue(e, as_subtitle(e.name))}\n"
        for number, e in enumerate(events, start=1)
    ]
    return "\n".join(cues)


WRITERS: dict[str, Callable[[Iterable[Event]], str]] = {
    ".json": as_json,
    ".jsonl": as_lines,
    ".csv": as_csv,
    ".vtt": as_vtt,
    ".srt": as_srt,
}


_APPENDED = {".csv": _rows, ".jsonl": as_lines}


def check_appended(path: Path) -> None:
    """Begin a file to which :func:`append_event` adds, or see that it is one.

    Raises:
        EzavError: another ending than .csv or .jsonl, a file that is something else, or that
            cannot be written.
    """
    kind = path.suffix.lower()
    if kind not in _APPENDED:
        raise EzavError(
            f"'{path}': events of a live source are appended, which '{kind or path.name}' "
            "does not allow",
            f"end the name with {', '.join(_APPENDED)}",
        )
    check_writable(path)
    head = _HEAD if kind == ".csv" else ""
    try:
        if not path.exists() or path.stat().st_size == 0:
            write_text(path, head)
        elif not _goes_on(path, head.encode()):
            raise EzavError(f"'{path}' has no events to go on after", "name a new file")
    except OSError as error:
        raise EzavError(f"cannot write '{path}': {error.strerror or error}") from None


def _goes_on(path: Path, head: bytes) -> bool:
    """Whether a file begins as it must, and its last line is whole."""
    with path.open("rb") as file:
        begins = file.read(max(1, len(head)))
        file.seek(-1, 2)
        return begins == (head or b"{") and file.read(1) == b"\n"


def append_event(event: Event, path: Path) -> None:
    """Add one event to a file of :func:`check_appended`; it is on the disk's way at once.

    Raises:
        EzavError: it cannot be written; the file is as it was.
    """
    try:
        with path.open("ab", buffering=0) as file:
            write_whole(file.fileno(), _APPENDED[path.suffix.lower()]([event]).encode())
    except OSError as error:
        raise EzavError(f"cannot write '{path}': {error.strerror or error}") from None


def write_events(events: list[Event], path: Path) -> None:
    """Write events in the format that the file's ending names; in one step."""
    check_ending(path, WRITERS, "events")
    write_text(path, WRITERS[path.suffix.lower()](events))


def clock(seconds: float, point: str) -> str:
    """Hours, minutes, seconds, milliseconds.

    Example:
        >>> clock(3661.5, ","), clock(359999.9996, ".")
        ('01:01:01,500', '100:00:00.000')
    """
    total = round(seconds * 1000)
    hours, rest = divmod(total, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{hours:02d}:{minutes:02d}:{rest // 1000:02d}{point}{rest % 1000:03d}"


def _in_vtt(name: str) -> str:
    """WebVTT can write the signs of its markup."""
    return shown(name).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _cue(event: Event, name: str) -> str:
    percent = "" if event.probability is None else f", {event.probability:.0%}"
    return f"{name} ({event.kind}{percent})"
