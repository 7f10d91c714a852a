"""What a look at a store found, as CSV, as JSON, and as one self-contained page."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from ezav.checking.finding import TITLES, CheckResult, Finding, Kind, LearningCurve
from ezav.media import FrameSpec, read_clip
from ezav.naming import as_cell, as_html, shown
from ezav.reports.contact_sheet import Answer, Group, Tile, contact_sheet
from ezav.reports.thumbnails import Image, thumbnails
from ezav.safe_io import check_ending, write_text

ENDINGS = (".csv", ".json", ".html")
MOST = 60
"""Tiles of a kind on the page; all are in the table."""
_FRAMES = FrameSpec.uniform(6, short_side=96)
_RATE = 16000

Find = Callable[[str], Path | None]
"""A clip -> its media file, or None where there is none."""


def write_check(result: CheckResult, out: Path, find: Find | None = None) -> None:
    """Write what was found in the format that the file's ending names, in one step.

    Args:
        result: what was found.
        out: the file: `.csv`, `.json` or `.html`.
        find: where the clips of the page are; None: it has no pictures.

    Raises:
        EzavError: another ending, or a file that cannot be written.
    """
    check_ending(out, ENDINGS, "findings")
    if out.suffix.lower() == ".csv":
        text = as_csv(result)
    elif out.suffix.lower() == ".json":
        text = as_json(result)
    else:
        text = as_page(result, find)
    write_text(out, text)


def as_csv(result: CheckResult) -> str:
    """A header and one line a finding; what is not known is empty.

    Example:
        >>> found = Finding(kind="few", said="class 'dog' has 1 clip", class_name="dog", score=1.0)
        >>> print(as_csv(CheckResult(store="s", clips=1, classes=1, findings=(found,))))
        kind,said,clip,class,split,other,score
        few,class 'dog' has 1 clip,,dog,,,1.0
        <BLANKLINE>
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    names = [one.name for one in fields(Finding)]
    table.writerow(["class" if name == "class_name" else name for name in names])
    for one in result.findings:
        values = [getattr(one, name) for name in names]
        table.writerow(as_cell(v) if isinstance(v, str) else "" if v is None else v for v in values)
    return text.getvalue()


def as_json(result: CheckResult) -> str:
    """The whole result as a JSON object."""
    return json.dumps(_shown(asdict(result)), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def as_page(result: CheckResult, find: Find | None = None) -> str:
    """What was found as a page: the numbers first, then the clips of each kind."""
    rows = "".join(
        f"<tr><td>{count}</td><td>{as_html(TITLES[kind])}</td></tr>"
        for kind, count in result.counts.items()
    )
    tools = f"<table>{rows}</table>" if rows else ""
    if result.curve is not None:
        tools += _curve(result.curve)
    tools += "".join(f'<p class="remark">{as_html(note)}</p>' for note in result.notes)
    return contact_sheet(
        [_group(result, kind, find) for kind in result.counts],
        title="A look at the data",
        lead=f"{result.clips} clips of {result.classes} classes in {result.store}.",
        tools=f"<div>{tools}</div>",
    )


def _curve(curve: LearningCurve) -> str:
    head = "".join(f"<th>{point.clips}</th>" for point in curve.points)
    cells = "".join(
        f"<td>{100 * point.hm:.1f} ± {100 * point.error:.1f}</td>" for point in curve.points
    )
    return (
        f"<h2>How many more clips would help</h2><p>{as_html(curve.sentence)}.</p>"
        f"<table><tr><th>clips a class</th>{head}</tr><tr><td>HM</td>{cells}</tr></table>"
        '<p class="remark">The closed form of ESZSL on class folds of the known clips, percent ± '
        f"standard error over {curve.folds} folds; test clips are not used.</p>"
    )


def _group(result: CheckResult, kind: Kind, find: Find | None) -> Group:
    found = result.of(kind)
    title = f"{TITLES[kind]} ({len(found)}{f', the first {MOST}' * (len(found) > MOST)})"
    return Group(title=title, tiles=[_tile(one, find) for one in found[:MOST]])


def _tile(found: Finding, find: Find | None) -> Tile:
    answers = (Answer(name=found.class_name),) if found.class_name else ()
    images = tuple(_images(found, find)) if find is not None and found.clip else ()
    where = (f"split: {found.split}",) if found.split else ()
    return Tile(
        clip=found.clip or found.other,
        answers=answers,
        images=images,
        remarks=(found.said, *where),
    )


def _images(found: Finding, find: Find) -> Iterator[Image]:
    pair = found.kind in ("copy", "source")
    for clip in (found.clip, found.other) if pair else (found.clip,):
        path = find(clip)
        if path is not None:
            yield from thumbnails(read_clip(path, video=_FRAMES, audio=_RATE))


def _shown(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _shown(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_shown(one) for one in value]
    return shown(value) if isinstance(value, str) else value
