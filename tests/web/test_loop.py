"""The whole loop in a real browser: no run, names, clips, a correction, teaching, a download."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from ezav.cli.main import main
from ezav.web.example import write_example
from tests.media.files import write_clip
from tests.web.browsing import CHROMIUM, Tab

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: install chromium")


def _film(path: Path, number: int) -> Path:
    """Bars that move, in a colour of their own."""
    import numpy as np

    def picture(frame: int) -> Any:
        made = np.zeros((96, 96, 3), np.uint8)
        made[:, (frame + 8 * number) % 80 : (frame + 8 * number) % 80 + 16] = (255, 40, 200)
        return made

    return write_clip(path, frames=24, size=(96, 96), picture=picture)


def test_from_typed_names_to_a_recogniser_that_the_command_line_opens(
    browser: Any, frozen_page: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = write_example(tmp_path / "clips" / "clock.mp4")
    films = [_film(tmp_path / "clips" / f"film-{number}.mp4", number) for number in range(4)]
    (tmp_path / "clips" / "broken.mp4").write_bytes(b"no video " * 100)
    tab = Tab.open(browser, frozen_page, accept_downloads=True)
    page = tab.tab
    tab.name("a wall clock\na dog\na trumpet")
    tab.give([clock, *films[:2], tmp_path / "clips" / "broken.mp4"])
    said = dict(tab.table())
    assert said["clock.mp4"].startswith("a wall clock")
    assert said["broken.mp4"] == "not read: not a media file"
    assert not said["film-1.mp4"].startswith("a test pattern")

    page.select_option("#sort", "class")
    assert [file for file, _ in tab.table()][-1] == "broken.mp4"
    answers = [said for _, said in tab.table()][:-1]
    assert answers == sorted(answers)
    page.select_option("#sort", "doubt")
    assert [file for file, _ in tab.table()][-1] == "broken.mp4"

    page.fill("tr:has-text('film-0.mp4') .its-name", "a test pattern")
    page.keyboard.press("Enter")
    page.wait_for_selector("#pending li")
    page.click("#pending .back")  # not after all
    page.wait_for_selector("#pending:empty", state="attached")
    page.click("tr:has-text('film-0.mp4') .open")
    page.wait_for_selector(".is-it")
    page.click(".is-it[data-name='a dog']")  # with a click
    page.wait_for_selector("#pending li:has-text('a dog')")
    page.fill("tr:has-text('film-0.mp4') .its-name", "a test pattern")
    page.keyboard.press("Enter")
    page.wait_for_selector("#pending li:has-text('a test pattern')")
    page.fill("#shown-class", "a test pattern")
    page.set_input_files("#show-files", [str(films[2])])
    page.wait_for_selector("#teach:has-text('Teach 2 clips')")
    assert dict(tab.table())["film-1.mp4"] == said["film-1.mp4"], "nothing is learned yet"
    page.click("#teach")
    page.wait_for_selector("#taught li")
    assert page.inner_text("#said") == "a test pattern: a new class, 2 clips (2 added)"
    assert page.input_value("#names").splitlines()[-1] == "a test pattern"
    assert dict(tab.table())["film-1.mp4"] == "a test pattern taught"
    assert dict(tab.table())["clock.mp4"].startswith("a wall clock")

    page.click("#undo")
    page.wait_for_selector("#taught:empty", state="attached")
    assert dict(tab.table())["film-1.mp4"] == said["film-1.mp4"]
    page.click("#teach")
    page.wait_for_selector("#taught li")
    tab.give([films[3]])
    assert dict(tab.table())["film-3.mp4"] == "a test pattern taught"

    for button, name in (("#save-recogniser", "recogniser.zip"), ("#save-table", "answers.csv")):
        with page.expect_download() as download:
            page.click(button)
        assert download.value.suggested_filename == name
        download.value.save_as(tmp_path / "clips" / name)
    assert tab.errors == []
    page.close()
    _the_command_line_agrees(tmp_path, capsys)


def _the_command_line_agrees(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved = str(folder / "clips" / "recogniser.zip")
    assert main(["verify", saved]) == 0
    with (folder / "clips" / "answers.csv").open(newline="") as file:
        rows = {row["file"]: row for row in csv.DictReader(file) if row["answer"]}
    assert len(rows) == 5
    capsys.readouterr()
    files = [str(folder / "clips" / name) for name in rows]
    assert main(["predict", saved, *files, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["predictions"]
    for row, one in zip(rows.values(), told, strict=True):
        best, second = one["ranked"][:2]
        assert (row["answer"], row["kind"]) == (best["name"], best["kind"])
        assert row["runner_up"] == second["name"]
        assert float(row["margin"]) == pytest.approx(best["score"] - second["score"], abs=1e-4)
    out = str(folder / "again")
    given = ["--answers", str(folder / "clips" / "answers.csv"), "--out", out]
    assert main(["teach", saved, *given]) == 0
    assert "2 shown before" in capsys.readouterr().out
