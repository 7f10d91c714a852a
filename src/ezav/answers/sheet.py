"""A contact sheet: every clip at a glance with its answer, in one file that fetches nothing."""

from __future__ import annotations

import base64
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from itertools import groupby
from pathlib import Path
from string import Template
from urllib.parse import quote

import numpy as np

import ezav
from ezav.answers.row import COLUMNS, Answer
from ezav.answers.table import cells
from ezav.media import Clip
from ezav.naming import shown
from ezav.reports.thumbnails import frame_strip, spectrogram
from ezav.safe_io import write_text

MOST = 3000
"""Clips on a sheet: of more, those that are most doubtful."""
_HEIGHT, _WIDTH = 48, 288
"""Of the strip of sound, in pixels."""


def pictures_of(clip: Clip | None) -> tuple[str, ...]:
    """Small pictures of what a clip shows and sounds like, as data URIs.

    Example:
        >>> from ezav.media import Waveform
        >>> tone = np.sin(np.arange(16000) / 4).astype(np.float32)
        >>> clip = Clip("tone.wav", audio={16000: Waveform(tone, 16000)}, duration=1.0)
        >>> [uri[:23] for uri in pictures_of(clip)]
        ['data:image/jpeg;base64,']
    """
    found = []
    if clip is not None and clip.frames is not None:
        found.append(frame_strip(clip.frames).uri)
    if clip is not None and clip.waveform is not None:
        from PIL import Image

        loud = (spectrogram(clip.waveform, clip.duration) * 255).astype(np.uint8)
        small, file = Image.fromarray(loud).resize((_WIDTH, _HEIGHT)), io.BytesIO()
        small.save(file, "JPEG", quality=70)
        data = base64.b64encode(file.getvalue()).decode("ascii")
        found.append(f"data:image/jpeg;base64,{data}")
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Tile:
    """A clip and its answers, one a list of names."""

    rows: tuple[Answer, ...]
    pictures: tuple[str, ...]

    @property
    def first(self) -> Answer:
        return self.rows[0]

    @property
    def doubt(self) -> tuple[bool, float]:
        """The most doubtful first: none of these, then by how narrow the decision was."""
        margin = self.first.margin
        return (not self.first.none_of_these, np.inf if margin is None else margin)

    @property
    def by_class(self) -> tuple[bool, str, tuple[bool, float]]:
        return (bool(self.first.error), self.first.answer.casefold(), self.doubt)


def write_sheet(
    answers: Sequence[Answer],
    pictures: Mapping[str, tuple[str, ...]],
    path: Path,
    lists: Sequence[str],
) -> None:
    """Write the sheet in one step.

    Args:
        answers: the rows of a file follow each other.
        pictures: file -> data URIs.
        path: of the sheet.
        lists: the lists of names; classes and doubt are those of the first.
    """
    tiles = [
        _Tile(tuple(rows), pictures.get(file, ()))
        for file, rows in groupby(answers, key=lambda one: one.file)
    ]
    left_out = max(0, len(tiles) - MOST)
    if left_out:
        tiles = sorted(tiles, key=lambda one: one.doubt)[:MOST]
    tiles.sort(key=lambda one: one.by_class)
    by_doubt = sorted(range(len(tiles)), key=lambda at: tiles[at].doubt)
    rank = {at: place for place, at in enumerate(by_doubt)}
    count = Counter(tile.first.answer for tile in tiles)
    parts, heading = [], None
    for at, tile in enumerate(tiles):
        title = shown(tile.first.answer) or "not read"
        if title != heading:
            heading = title
            number = count[tile.first.answer]
            parts.append(f"<h2>{escape(title)} <small>{number}</small></h2>")
        parts.append(_tile(tile, rank[at]))
    names = sorted({one.answer for one in answers if one.answer})
    template = resources.files("ezav.answers").joinpath("sheet.html")
    page = Template(template.read_text(encoding="utf-8")).substitute(
        version=escape(ezav.__version__),
        lead=escape(_lead(len(tiles) + left_out, left_out, lists)),
        tiles="\n".join(parts),
        names="".join(f'<option value="{escape(shown(name))}">' for name in names),
        # What is left out of the page is in the table that it gives back.
        table=_json([list(COLUMNS), *(cells(one) for one in answers)]),
        download=_json(f"{path.stem}-corrected.csv"),
    )
    write_text(path, page)


def _lead(files: int, left_out: int, lists: Sequence[str]) -> str:
    said = [f"{files} clip{'s' * (files != 1)}"]
    if len(lists) > 1:
        said.append(f"among {len(lists)} lists of names, in the order of '{shown(lists[0])}'")
    if left_out:
        said.append(f"the {MOST} most doubtful are shown")
    return ", ".join(said)


def _tile(tile: _Tile, rank: int) -> str:
    one = tile.first
    name = escape(shown(one.file))
    link = f'<a href="{escape(quote(one.file.encode("utf-8", "surrogateescape")))}">{name}</a>'
    images = "".join(f'<img alt="" loading="lazy" src="{escape(uri)}">' for uri in tile.pictures)
    said = "".join(_said(row, len(tile.rows) > 1) for row in tile.rows)
    notes = "".join(
        f'<p class="note">{escape(shown(text))}</p>'
        for text in (one.error, one.missing, one.damage)
        if text
    )
    return (
        f'<article data-doubt="{rank}"><div class="look">{images}</div>{said}{notes}'
        f'<p class="file">{link}</p><label>correct <input list="names" data-file="{name}" '
        f'value="{escape(shown(one.correct))}" placeholder="as it is"></label></article>'
    )


def _said(row: Answer, several: bool) -> str:
    if row.error:
        return ""
    chance = "" if row.probability is None else f" {row.probability:.0%}"
    other = f"<small>or {escape(shown(row.runner_up))}</small>" if row.runner_up else ""
    none = '<em title="the best score is low for all of these names">none of these?</em>'
    among = f"<small>{escape(shown(row.among))}:</small> " if several else ""
    return (
        f'<p class="answer">{among}<b>{escape(shown(row.answer))}</b>{chance} '
        f"<small>{row.kind}</small>{none if row.none_of_these else ''} {other}</p>"
    )


def _json(value: object) -> str:
    """JSON that ends no script and opens no comment."""
    return json.dumps(value).replace("<", "\\u003c")
