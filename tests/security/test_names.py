"""Names of others are text wherever they are printed or written."""

from __future__ import annotations

import csv
import html
import io
import re
from typing import Any

import pytest

from ezav.cli.predict import label
from ezav.cli.tables import laid_out
from ezav.markdown import escaped, markdown_rows
from ezav.naming import as_html
from ezav.recognizer import Candidate, Prediction
from ezav.recognizer.event_files import as_csv, as_srt, as_vtt
from ezav.recognizer.events import Event
from ezav.reports.contact_sheet import Answer, Group, Tile, contact_sheet
from ezav.reports.figures.style import printable
from ezav.reports.page import _table
from ezav.reports.tables import to_csv
from ezav.web.kept import Kept
from ezav.web.render import details, ranking

HOSTILE = [
    "dog\x1b[2J\x1b]0;title\x07",
    "gpj.\u202edog",
    "gpj.&#x202e;dog",
    "do\u200bg do\u200cg \u2066dog\u3164",
    "\x1b]8;;http://evil.example\x07dog\x1b]8;;\x07",
    "\x9b2Jdog\ufeff",
    '=HYPERLINK("http://evil.example","dog")',
    "＝1+1",
    "+1",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "<b>dog</b> {\\an8}",
    "<script>alert(1)</script>",
    "dog\n\n00:00:09,000 --> 00:00:10,000\ncat",
    "[dog](http://evil.example) ![x](http://evil.example/x.png) | `a`",
]
ACTING = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\u2028\u2029\u3164\ufeff]"
)


def event(name: str) -> Event:
    return Event(start=1.0, end=2.0, name=name, kind="new", probability=0.5, score=-1.0)


@pytest.mark.parametrize("name", HOSTILE)
def test_in_csv_subtitles_and_tables(name: str) -> None:
    (row,) = csv.DictReader(io.StringIO(as_csv([event(name)])))
    assert row["class"].lstrip()[0] not in "=+-@|%＝"
    assert row["score"] == "-1.000000"
    for text in (as_srt([event(name)]), as_vtt([event(name)])):
        assert text.count("-->") == 1
        assert not ACTING.search(text)
        assert "<" not in text
        assert len(text.strip().split("\n\n")) <= 2
    assert "{" not in as_srt([event(name)])  # in WebVTT it is a letter like others
    for line, _ in laid_out(["class"], [[name]], 1, None):
        assert not ACTING.search(line)
    assert not ACTING.search(label(Candidate(name=name, kind="new", score=1.0, probability=1.0)))


@pytest.mark.parametrize("name", HOSTILE)
def test_in_markdown(name: str) -> None:
    text = markdown_rows(("class",), [(escaped(name),)])
    assert text.count("\n") == 2
    assert not ACTING.search(text)
    assert not re.search(r"(?<!\\)[<\[`&]", text)


@pytest.mark.parametrize("name", HOSTILE)
def test_in_pages(name: str) -> None:
    candidate = Candidate(name=name, kind="new", score=1.0, probability=0.5, known_as=name)
    found = Prediction(clip=name, ranked=(candidate, candidate), remarks=(name,), warnings=(name,))
    answer = Answer(name=name, kind=name)
    tile = Tile(clip=name, answers=(answer, answer), truth=answer, remarks=(name,))
    sheet = contact_sheet([Group(title=name, tiles=(tile,))], title=name, lead=name)
    failed = details(Kept(1, name, error=name), None)
    for text in (failed, ranking(found), sheet, _table([[name], [name]])):
        assert not ACTING.search(html.unescape(text).replace("\n", ""))
        body = text.partition("</style>")[2] or text
        assert "<script>alert" not in body
        assert "<b>dog" not in body
    assert not ACTING.search(printable(name))  # in drawings
    table = to_csv([[name, -0.5]])
    assert not ACTING.search(table.replace("\n", ""))
    if name != "+1":  # a number is no formula
        assert table.lstrip('"').lstrip()[0] not in "=+-@|%＝"


def test_letters_of_other_scripts_stay() -> None:
    for name in ("می‌خواهم", "क्‍ष", "👩‍🚒", "café", "猫が鳴く"):
        assert as_html(name) == name


def test_in_a_model_card() -> None:
    from ezav.recognizer import card

    class Trained:
        classes = tuple(HOSTILE)
        seen = tuple(HOSTILE[:3])

    trained: Any = Trained()
    text = card._classes(trained)
    assert not ACTING.search(text)
    assert not re.search(r"(?<!\\)[<\[`]", text)
