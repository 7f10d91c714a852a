"""Moments as CSV, JSON and a contact sheet."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

from ezav.library.find import Moment
from ezav.naming import as_cell, shown
from ezav.recognizer.event_files import clock
from ezav.reports.contact_sheet import Answer, Group, Tile, contact_sheet
from ezav.reports.thumbnails import Image
from ezav.safe_io import check_ending, write_text

SHEET = ".html"
"""The ending of a contact sheet."""
ENDINGS = (".csv", ".json", SHEET)


def as_csv(moments: Sequence[Moment]) -> str:
    """A header and one line a moment, the best first.

    Example:
        >>> print(as_csv([Moment(file="a.mp4", start=1.0, end=3.0, score=2.5)]))
        rank,file,start,end,score
        1,a.mp4,1.000,3.000,2.500000
        <BLANKLINE>
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("rank", "file", "start", "end", "score"))
    for rank, one in enumerate(moments, start=1):
        times = f"{one.start:.3f}", f"{one.end:.3f}"
        table.writerow((rank, as_cell(one.file), *times, f"{one.score:.6f}"))
    return text.getvalue()


def as_json(moments: Sequence[Moment]) -> str:
    """A list of objects, the best first."""
    rows = [
        {
            "rank": rank,
            "file": shown(one.file),
            "start": round(one.start, 6),
            "end": round(one.end, 6),
            "score": one.score,
        }
        for rank, one in enumerate(moments, start=1)
    ]
    return json.dumps(rows, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def as_sheet(moments: Sequence[Moment], query: str) -> str:
    """One self-contained page: a tile a moment, with its pictures and its times.

    Example:
        >>> html = as_sheet([Moment(file="a.mp4", start=1.0, end=3.0, score=2.5)], "a <dog>")
        >>> "a &lt;dog&gt;" in html, "00:00:01.0" in html
        (True, True)
    """
    tiles = []
    for one in moments:
        images = tuple(
            Image("image/jpeg", base64.b64decode(data), f"at {clock(one.start, '.')}")
            for data in one.pictures
        )
        tiles.append(
            Tile(
                clip=one.file,
                answers=(Answer(name=between(one)),),
                images=images,
                remarks=(f"score {one.score:.3f}",),
            )
        )
    return contact_sheet([Group(tiles=tiles)], title=query, lead="The best first.")


def between(moment: Moment) -> str:
    """From when to when, to a tenth of a second.

    Example:
        >>> between(Moment(file="a.mp4", start=61.0, end=63.04, score=1.0))
        '00:01:01.0 - 00:01:03.0'
    """
    return f"{clock(moment.start, '.')[:-2]} - {clock(moment.end, '.')[:-2]}"


def write_moments(moments: Sequence[Moment], path: Path, query: str) -> None:
    """Write moments in the format that the file's ending names; in one step.

    Args:
        moments: the best first.
        path: the file.
        query: what was looked for, the title of a contact sheet.

    Raises:
        EzavError: another ending, or it cannot be written.
    """
    check_ending(path, ENDINGS, "moments")
    ending = path.suffix.lower()
    if ending == SHEET:
        write_text(path, as_sheet(moments, query))
    else:
        write_text(path, as_csv(moments) if ending == ".csv" else as_json(moments))
