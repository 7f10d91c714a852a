"""The column `correct`: what a person, a spreadsheet or the contact sheet wrote there."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from ezav.answers import Answer, correct, corrections
from ezav.answers.sheet import write_sheet
from ezav.answers.table import write_answers
from ezav.errors import DamagedError, EzavError, NotFoundError, RefusedError

ROWS = [
    Answer(file="a.mp4", among="run", answer="dog", kind="seen", margin=2.0, correct="cat"),
    Answer(file="=b.mp4", among="run", answer="<b>$cat", runner_up="dog", margin=0.5),
    Answer(file="c, d.mp4", among="run", answer="dog", margin=0.1, correct="-dog"),
    Answer(file="e.mp4", among="run", error="not a media file"),
]


@pytest.mark.parametrize("ending", [".csv", ".json", ".parquet"])
def test_each_format_gives_them_back(tmp_path: Path, ending: str) -> None:
    table = tmp_path / f"a{ending}"
    write_answers(ROWS, table)
    found = corrections(table)
    assert [(one.path, one.answer, one.correct) for one in found] == [
        (tmp_path / "a.mp4", "dog", "cat"),
        (tmp_path / "c, d.mp4", "dog", "-dog"),
    ]


def test_a_spreadsheet_may_have_saved_the_table(tmp_path: Path) -> None:
    table = tmp_path / "a.csv"
    lines = "\ufefffile;among;Answer;Correct;note\r\n'=b.mp4;run;dog;  Cat  purring ;mine\r\n"
    table.write_text(lines, encoding="utf-8", newline="")
    (found,) = corrections(table)
    assert (found.file, found.correct) == ("=b.mp4", "Cat purring")
    assert correct(table, {"=b.mp4": "dog"}) == 1
    assert table.read_text().splitlines()[1] == "'=b.mp4;run;dog;dog;mine"


def test_writing_changes_that_column_alone(tmp_path: Path) -> None:
    table = tmp_path / "a.csv"
    write_answers(ROWS, table)
    with table.open(newline="") as file:
        before = list(csv.DictReader(file))
    assert correct(table, {"=b.mp4": "=cat", "a.mp4": ""}) == 2
    with table.open(newline="") as file:
        after = list(csv.DictReader(file))
    assert [row.pop("correct") for row in after] == ["", "'=cat", "'-dog", ""]
    for row in before:
        row.pop("correct")
    assert after == before
    assert {one.file: one.correct for one in corrections(table)}["=b.mp4"] == "=cat"


def test_wrong_tables_are_one_line(tmp_path: Path) -> None:
    def made(text: str, name: str = "a.csv") -> Path:
        (tmp_path / name).write_text(text)
        return tmp_path / name

    with pytest.raises(NotFoundError, match="no table of answers"):
        corrections(tmp_path / "none.csv")
    with pytest.raises(EzavError, match="begin with the columns file,correct"):
        corrections(made("file,answer\na.mp4,dog\n"))
    with pytest.raises(EzavError, match=r"corrects 'a\.mp4' twice: 'cat' and 'dog'"):
        corrections(made("file,correct\na.mp4,cat\na.mp4,dog\n"))
    with pytest.raises(DamagedError, match="is not JSON"):
        corrections(made("{", "a.json"))
    with pytest.raises(EzavError, match="has no column 'correct'"):
        corrections(made('[{"file": "a.mp4"}]', "a.json"))
    with pytest.raises(DamagedError, match="no Parquet file"):
        corrections(made("PAR1", "a.parquet"))
    table = made("file,correct\na.mp4,cat\n")
    with pytest.raises(EzavError, match=r"has no row of 'b\.mp4'"):
        correct(table, {"a.mp4": "dog", "b.mp4": "dog"})
    assert table.read_text() == "file,correct\na.mp4,cat\n"


def test_a_parquet_table_is_text_and_takes_what_its_size_allows(tmp_path: Path) -> None:
    table = tmp_path / "a.parquet"
    _, *parts = pa.array([b"a\xff.mp4"], pa.binary()).buffers()
    files = pa.StringArray.from_buffers(1, *parts)
    parquet.write_table(pa.table({"file": files, "correct": ["cat"]}), table)
    with pytest.raises(DamagedError, match="no Parquet file"):
        corrections(table)
    parquet.write_table(pa.table({"file": [["a.mp4"]], "correct": ["cat"]}), table)
    with pytest.raises(DamagedError, match="no Parquet file"):
        corrections(table)
    long = pa.DictionaryArray.from_arrays(np.zeros(100_000, np.int32), ["x" * 10_000])
    parquet.write_table(pa.table({"file": long, "correct": long}), table)
    assert table.stat().st_size < 100_000
    with pytest.raises(RefusedError, match="claims far more than its size"):
        corrections(table)


class Sheet(HTMLParser):
    """What a browser finds on the page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.files: list[str] = []
        self.doubt: list[int] = []
        self.sources: list[str] = []
        self.scripts: list[str] = []
        self.tags: set[str] = set()
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        self.tags.add(tag)
        self._inside = tag
        if tag == "input":
            self.files.append(str(told["data-file"]))
            self.doubt.append(int(str(told["data-doubt"])))
        self.sources += [str(told[key]) for key in ("src", "href") if key in told]

    def handle_data(self, data: str) -> None:
        if self._inside == "script" and data.strip():
            self.scripts.append(data)


def test_the_sheet_sorts_by_class_and_by_doubt_and_fetches_nothing(tmp_path: Path) -> None:
    write_sheet(ROWS, {"a.mp4": ("/9g=",)}, tmp_path / "a.html", ["run"])
    page = Sheet((tmp_path / "a.html").read_text())
    # By class, within it by doubt; what could not be read comes last.
    assert page.files == ["=b.mp4", "c, d.mp4", "a.mp4", "e.mp4"]
    assert page.doubt == [1, 0, 2, 3]
    assert page.sources == ["data:image/jpeg;base64,/9g="]
    assert "b" not in page.tags


def test_the_sheet_gives_back_the_table_with_the_corrections(tmp_path: Path) -> None:
    """Its script, run with a page made of stubs, against the table that ezav writes."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs a browser: or Node.js, to run the script of the page")
    write_sheet(ROWS, {}, tmp_path / "a.html", ["run"])
    data, script = Sheet((tmp_path / "a.html").read_text()).scripts
    stubs = """
const element = () => ({ classList: { toggle() {} }, dataset: {}, append() {}, setAttribute() {},
  addEventListener() {}, firstChild: {}, closest: element, textContent: "" });
const held = { ...element(), textContent: JSON.stringify(DATA) };
globalThis.window = element();
globalThis.document = { createElement: () => ({ ...element(), firstChild: element() }),
  getElementById: id => id === "data" ? held : element(), querySelectorAll: () => [] };
"""
    asked = 'corrections.set("=b.mp4", \'say "hi", =1\'); process.stdout.write(csv());'
    program = tmp_path / "page.js"
    # One scope, as in the page.
    program.write_text(stubs.replace("DATA", data) + script.replace('"use strict";', "") + asked)
    said = subprocess.run([node, program], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    table = tmp_path / "a.csv"
    write_answers(ROWS, table)
    correct(table, {"=b.mp4": 'say "hi", =1'})
    assert said.stdout == table.read_text()
    assert json.loads(data)["called"] == "a-corrected.csv"
