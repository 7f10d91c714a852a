"""`ezav teach`: from a table of answers, corrected, to a recogniser that knows better."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from ezav.answers import correct
from ezav.cli.main import main
from ezav.recognizer import Recognizer
from tests.recognizer import small_run
from tests.web.browsing import CHROMIUM, FLAGS, new_page

NEW = "zorbing"
CLASS = sorted(small_run.COLOURS)[0]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Videos in class folders, and a run of the default method on them."""
    folder = tmp_path_factory.mktemp("lights")
    small_run.media_store(folder / "store", folder / "videos")
    assert main(["run", "best", str(folder / "store"), "--out", str(folder / "run")]) == 0
    return folder / "videos", folder / "run"


@pytest.fixture
def run(trained: tuple[Path, Path], tmp_path: Path) -> Path:
    mine = tmp_path / "run"
    mine.mkdir()
    for path in trained[1].iterdir():
        (mine / path.name).write_bytes(path.read_bytes())
    return mine


def state(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_corrections_of_a_table_are_learned_when_asked(
    trained: tuple[Path, Path], run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    videos = trained[0]
    clips = sorted((videos / CLASS).glob("*.mp4"))
    table = tmp_path / "answers.csv"
    ask = ["predict", str(run), *map(str, clips), "--import", "--out", str(table)]
    assert main(ask) == 0
    with table.open(newline="") as file:
        files = [row["file"] for row in csv.DictReader(file)]
    before = state(run)
    teach = ["teach", str(run), "--import", "--answers", str(table)]
    assert main(teach) == 1
    assert "corrects nothing" in capsys.readouterr().err
    correct(table, {files[0]: NEW, files[1]: NEW})
    assert main(teach) == 1
    said = capsys.readouterr().err
    assert f"corrects 2 clips to '{NEW}', which is no class; --new takes it as a new one" in said
    assert state(run) == before
    assert main([*teach, "--new", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["classes"] == [
        {"name": NEW, "new": True, "added": 2, "repeated": 0, "clips": 2},
    ]
    assert Recognizer.load(run, import_code=True).taught == {NEW: 2}
    known = state(run)
    assert main([*teach, "--new"]) == 0
    assert "nothing is new: the recogniser is as it was" in capsys.readouterr().out
    assert state(run) == known
    # The taught recogniser is another one: its answers are made anew, the corrections stay.
    assert main(ask) == 0
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["correct"] for row in rows[:3]] == [NEW, NEW, ""]
    assert [row["answer"] for row in rows[:2]] == [NEW, NEW]
    assert rows[0]["kind"] == "taught"


def test_classes_by_files_into_a_folder_of_its_own(
    trained: tuple[Path, Path], run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = next((trained[0] / CLASS).glob("*.mp4"))
    before, out = state(run), tmp_path / "out"
    words = ["teach", str(run), "--import", "--class", NEW, str(clip), "--rename"]
    words += [CLASS, "the old lamp", "--out", str(out)]
    assert main(words) == 0
    assert "zorbing: a new class, 1 clip (1 added)" in capsys.readouterr().out
    assert state(run) == before
    taught = Recognizer.load(out, import_code=True)
    assert {NEW, "the old lamp"} <= set(taught.classes)
    assert CLASS not in taught.classes
    assert main(words) == 1
    assert f"'{out}' exists already; choose another --out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "nothing to learn is given"),
        (["--class", NEW], f"no clip shows '{NEW}'"),
        (["--class", NEW, "no/such.mp4"], "'no/such.mp4' cannot be read: no such file"),
        (["--class", NEW, "{empty}"], "holds no recordings"),
        (["--answers", "no.csv"], "there is no table of answers 'no.csv'"),
        (["--remove", "walrus"], "no class 'walrus'"),
        (["--rename", "walrus", "seal"], "no class 'walrus'"),
    ],
)
def test_what_is_wrong_is_one_line_and_writes_nothing(
    run: Path,
    tmp_path: Path,
    words: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "empty").mkdir()
    before = state(run)
    given = [word.format(empty=tmp_path / "empty") for word in words]
    assert main(["teach", str(run), "--import", *given]) == 1
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert message in last
    assert state(run) == before


def test_without_a_run_what_was_taught_is_written_as_a_recogniser(
    trained: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = next((trained[0] / CLASS).glob("*.mp4"))
    out = tmp_path / "out"
    words = ["teach", "--frozen", "--class", NEW, str(clip)]
    assert main(words) == 1
    assert "--frozen takes no run; name the folder to be written with --out" in (
        capsys.readouterr().err
    )
    assert main([*words, "--out", str(out)]) == 0
    assert Recognizer.load(out).taught == {NEW: 1}
    assert main(["teach", "--class", NEW, str(clip)]) == 1
    assert "no run is given" in capsys.readouterr().err


@pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: install chromium")
def test_a_correction_goes_from_the_contact_sheet_to_the_recogniser(
    trained: tuple[Path, Path], run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet = tmp_path / "answers.html"
    clips = [str(next(trained[0].glob(f"{name}/*.mp4"))) for name in small_run.COLOURS]
    ask = ["predict", str(run), *clips, "--import"]
    assert main([*ask, "--out", str(tmp_path / "a.csv"), str(sheet)]) == 0
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    playwright = pytest.importorskip("playwright.sync_api", reason="needs a browser: Playwright")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page, errors = new_page(browser, width=390), []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(sheet.as_uri())
        by_class = [one.inner_text() for one in page.query_selector_all("main h2")]
        page.click("#by-doubt")
        margins = {row["file"]: float(row["margin"]) for row in rows}
        files = [one.get_attribute("data-file") for one in page.query_selector_all(".tile input")]
        field = page.query_selector(".tile input")
        field.fill(f" {NEW}  again ")
        field.press("Tab")
        told = page.inner_text("#download")
        with page.expect_download() as found:
            page.click("#download")
        found.value.save_as(tmp_path / found.value.suggested_filename)
        page.click("#by-class")
        assert [one.inner_text() for one in page.query_selector_all("main h2")] == by_class
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        browser.close()
    assert errors == []
    assert told == "save the table with 1 correction"
    assert [margins[file] for file in files] == sorted(margins.values())
    assert len(by_class) == len({row["answer"] for row in rows})
    given = tmp_path / "answers-corrected.csv"
    elsewhere = tmp_path / "a" / "b" / given.name
    elsewhere.parent.mkdir(parents=True)
    elsewhere.write_bytes(given.read_bytes())
    before, teach = state(run), ["teach", str(run), "--import", "--new", "--answers"]
    assert main([*teach, str(elsewhere)]) == 1
    assert "its paths start from its own folder" in capsys.readouterr().err
    assert state(run) == before
    assert main([*teach, str(given)]) == 0
    assert Recognizer.load(run, import_code=True).taught == {f"{NEW} again": 1}
