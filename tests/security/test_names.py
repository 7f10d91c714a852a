"""Names of others are text wherever they are printed or written."""

from __future__ import annotations

import csv
import io
import re
from typing import Any

import pytest

from ezav.cli.predict import label
from ezav.cli.tables import laid_out
from ezav.markdown import escaped, markdown_rows
from ezav.recognizer import Candidate
from ezav.recognizer.event_files import as_csv, as_srt, as_vtt
from ezav.recognizer.events import Event

HOSTILE = [
    "dog\x1b[2J\x1b]0;title\x07",
    "gpj.\u202edog",
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
ACTING = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029]")


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
    assert not re.search(r"(?<!\\)[<\[`]", text)


def test_in_a_model_card() -> None:
    from ezav.recognizer import card

    class Trained:
        classes = tuple(HOSTILE)
        seen = tuple(HOSTILE[:3])

    trained: Any = Trained()
    text = card._classes(trained)
    assert not ACTING.search(text)
    assert not re.search(r"(?<!\\)[<\[`]", text)
