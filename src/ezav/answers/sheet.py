"""A contact sheet that can be corrected: every clip at a glance, in one self-contained file."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from itertools import groupby
from pathlib import Path

import numpy as np

from ezav.answers.row import COLUMNS, Answer
from ezav.answers.table import cells
from ezav.media import Clip
from ezav.naming import as_html, shown
from ezav.reports import contact_sheet
from ezav.reports.contact_sheet import Group, Tile
from ezav.reports.thumbnails import Image, frame_strip, spectrogram
from ezav.safe_io import write_text

MOST = 3000
"""Clips on a sheet: of more, those that are most doubtful."""
_HEIGHT, _WIDTH = 48, 288
"""Of the strip of sound, in pixels."""


def pictures_of(clip: Clip | None) -> tuple[str, ...]:
    """Small pictures of what a clip shows and sounds like: JPEGs in base 64.

    Example:
        >>> from ezav.media import Waveform
        >>> tone = np.sin(np.arange(16000) / 4).astype(np.float32)
        >>> clip = Clip("tone.wav", audio={16000: Waveform(tone, 16000)}, duration=1.0)
        >>> [base64.b64decode(one)[:2] for one in pictures_of(clip)]
        [b'\xff\xd8']
    """
    found = []
    if clip is not None and clip.frames is not None:
        found.append(frame_strip(clip.frames).data)
    if clip is not None and clip.waveform is not None:
        from PIL import Image as Pillow

        loud = (spectrogram(clip.waveform, clip.duration) * 255).astype(np.uint8)
        small, file = Pillow.fromarray(loud).resize((_WIDTH, _HEIGHT)), io.BytesIO()
        small.save(file, "JPEG", quality=70)
        found.append(file.getvalue())
    return tuple(base64.b64encode(data).decode("ascii") for data in found)


@dataclass(frozen=True, slots=True)
class _Clip:
    """A clip and its answers, one a list of names; the first says class and doubt."""

    rows: tuple[Answer, ...]
    pictures: tuple[str, ...]

    @property
    def first(self) -> Answer:
        return self.rows[0]

    @property
    def title(self) -> str:
        return "" if self.first.error else self.first.answer

    @property
    def doubt(self) -> tuple[bool, float]:
        """The most doubtful first: none of these, then by how narrow the decision was."""
        margin = self.first.margin
        return (not self.first.none_of_these, np.inf if margin is None else margin)

    @property
    def by_class(self) -> tuple[bool, str, tuple[bool, float]]:
        return (not self.title, self.title.casefold(), self.doubt)


def write_sheet(
    answers: Sequence[Answer],
    pictures: Mapping[str, tuple[str, ...]],
    path: Path,
    lists: Sequence[str],
) -> None:
    """Write the sheet in one step.

    Args:
        answers: the rows of a file follow each other.
        pictures: file -> what :func:`pictures_of` gave.
        path: of the sheet.
        lists: the lists of names; classes and doubt are those of the first.
    """
    clips = [
        _Clip(tuple(rows), pictures.get(file, ()))
        for file, rows in groupby(answers, key=lambda one: one.file)
    ]
    every = len(clips)
    clips = sorted(sorted(clips, key=lambda one: one.doubt)[:MOST], key=lambda one: one.by_class)
    by_doubt = sorted(range(len(clips)), key=lambda at: clips[at].doubt)
    rank = {at: place for place, at in enumerate(by_doubt)}
    tiles = [(clip.title, _tile(clip, rank[at])) for at, clip in enumerate(clips)]
    groups = []
    for title, some in groupby(tiles, key=lambda one: one[0]):
        held = [tile for _, tile in some]
        groups.append(Group(tiles=held, title=f"{title or 'not read'} ({len(held)})"))
    page = contact_sheet.contact_sheet(
        groups,
        title="Answers",
        lead=_lead(every, len(clips), lists),
        tools=_tools(answers),
        script=_script(answers, path),
    )
    write_text(path, page)


def _lead(every: int, there: int, lists: Sequence[str]) -> str:
    said = [f"{every} clip{'s' * (every != 1)}"]
    if len(lists) > 1:
        said.append(f"{len(lists)} lists of names, in the order of '{lists[0]}'")
    if there < every:
        said.append(f"the {there} most doubtful are here, all are in the table")
    return "; ".join(said) + ". Nothing is learned of corrections until 'ezav teach' is asked to."


def _tools(answers: Sequence[Answer]) -> str:
    names = sorted({name for one in answers for name in (one.answer, one.runner_up) if name})
    options = "".join(f'<option value="{as_html(name)}">' for name in names)
    return (
        '<p class="tools"><button type="button" id="by-class" aria-pressed="true">by class</button>'
        ' <button type="button" id="by-doubt" aria-pressed="false">most doubtful first</button>'
        ' <button type="button" id="download">save the table with '
        '<span id="count">0 corrections</span></button></p>'
        f'<datalist id="names">{options}</datalist>'
    )


def _script(answers: Sequence[Answer], path: Path) -> str:
    script = resources.files("ezav.answers").joinpath("sheet.js").read_text(encoding="utf-8")
    data = {
        "table": [list(COLUMNS), *(cells(one) for one in answers)],
        "called": f"{shown(path.stem)}-corrected.csv",
    }
    inert = json.dumps(data).replace("<", "\\u003c")  # it ends no element and opens no comment
    return f'<script type="application/json" id="data">{inert}</script>\n<script>{script}</script>'


def _tile(clip: _Clip, rank: int) -> Tile:
    one = clip.first
    answers = []
    if not one.error:
        kinds = contact_sheet.Answer(name=one.answer, kind=one.kind, share=one.probability)
        answers = [kinds] + [contact_sheet.Answer(name=one.runner_up)] * bool(one.runner_up)
    remarks = [f"not read: {one.error}"] * bool(one.error)
    remarks += [f"also: {one.also}"] * bool(one.also)
    remarks += ["none of these stands out: it may be something else"] * one.none_of_these
    remarks += [f"missing: {one.missing}"] * bool(one.missing)
    remarks += [f"remark: {one.damage}"] * bool(one.damage)
    remarks += [f"{row.among}: {_said(row)}" for row in clip.rows[1:] if not row.error]
    field = (
        f'<label class="correct">correct <input list="names" data-doubt="{rank}" '
        f'data-file="{as_html(one.file)}" value="{as_html(one.correct)}" '
        'placeholder="as it is"></label>'
    )
    strip = ("frames", "spectrogram") if len(clip.pictures) > 1 else ("frames or spectrogram",)
    images = tuple(
        Image("image/jpeg", base64.b64decode(data), alt) for data, alt in zip(clip.pictures, strip)
    )
    return Tile(
        clip=one.file, answers=tuple(answers), images=images, remarks=tuple(remarks), below=field
    )


def _said(row: Answer) -> str:
    chance = "" if row.probability is None else f" {row.probability:.0%}"
    return f"{row.answer}{chance}{' (none of these?)' * row.none_of_these}"
