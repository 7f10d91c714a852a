"""The page in a real browser: what a visitor sees and what the page fetches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.recognizer import small_run
from tests.web.browsing import CHROMIUM, Tab
from tests.web.conftest import Page

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: install chromium")


@pytest.mark.parametrize("tab", [1200, 390], indirect=True)
def test_upload_type_a_new_class_read_the_ranking(tab: Tab, page: Page, run_folder: Path) -> None:
    clip = run_folder.parent / "clip.mp4"
    names = ["red light", "a lamp that nobody has seen", "white light"]
    tab.ask(clip, "\n".join(names))
    wanted = page.recognizer.predict(clip, names, explain=True)[0]
    assert not tab.tab.query_selector(".cell, .part"), "explained before it was asked"
    tab.tab.click(".why")
    tab.tab.wait_for_selector(".cell")
    assert tab.rows() == [[c.name, c.kind, f"{c.probability:.1%}"] for c in wanted.ranked]
    assert {kind for _, kind, _ in tab.rows()} == {"seen", "unseen", "new"}

    assert len(tab.tab.query_selector_all(".frames img")) == 8
    assert tab.tab.query_selector(".sound")
    cells = [cell.inner_text() for cell in tab.tab.query_selector_all(".cell b")]
    moments = [m for c in wanted.ranked for m in c.moments]
    assert cells == [f"{moment.alone:.0%}" for moment in moments]
    assert "What speaks for" in tab.tab.inner_text(".details")
    assert tab.tab.query_selector("[aria-live=polite] .ranked")

    assert tab.tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert tab.errors == []
    own = (page.address, f"blob:{page.address}", "data:")
    assert [url for url in tab.fetched if not url.startswith(own)] == []


def test_asking_again_with_other_names(tab: Tab, page: Page, run_folder: Path) -> None:
    clip = run_folder.parent / "clip.mp4"
    tab.ask(clip)  # the text field begins with the classes of the run
    wanted = page.recognizer.predict(clip)[0]
    assert [row[0] for row in tab.rows()][:5] == [c.name for c in wanted.ranked]
    tab.tab.fill("#names", "Red Light\n<b>bold</b> & <script>alert(1)</script>")
    tab.tab.click("#ask")
    tab.tab.wait_for_function("() => document.querySelectorAll('.row').length == 2")
    assert {row[0] for row in tab.rows()} == {
        "Red Light (known as “red light”)",
        "<b>bold</b> & <script>alert(1)</script>",
    }
    tab.tab.click("#reset")
    tab.tab.wait_for_function(
        "() => document.querySelector('#names').value.includes('white light')"
    )
    assert tab.errors == []


@pytest.mark.parametrize(
    ("names", "word"),
    [
        ("red light\nRed Light", "one class"),
        ("\n".join(f"thing {n}" for n in range(60)), "too many for this page"),
    ],
)
def test_a_bad_list_is_answered_in_words(tab: Tab, run_folder: Path, names: str, word: str) -> None:
    tab.ask(run_folder.parent / "clip.mp4", names)
    told = tab.tab.inner_text("#told")
    assert word in told
    assert "Traceback" not in tab.tab.content()


def test_files_that_are_no_clip_or_lack_something(tab: Tab, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video " * 100)
    silent = small_run.write_video(tmp_path / "silent.mp4", ["red light"], sound=False)
    long = small_run.write_video(tmp_path / "long.mp4", ["red light"] * 4, seconds=3.0)
    tab.give([broken, silent, long])
    said = dict(tab.table())
    assert said["broken.mp4"] == "not read: not a media file"
    assert "12 s long, at most 10 s are read" in said["long.mp4"]
    assert "no sound: no audio stream" in tab.tab.inner_text("tr:has-text('silent.mp4') .remarks")
    tab.tab.click("tr:has-text('silent.mp4') .open")
    tab.tab.wait_for_selector(".ranked")
    assert "No sound (no audio stream): answered from the picture alone." in tab.tab.inner_text(
        ".details"
    )
    large = tmp_path / "large.mp4"
    large.write_bytes(b"0" * 1_500_000)
    tab.give([large])
    assert "large.mp4: More than 1.0 MB are not taken." in tab.tab.inner_text("#told")


def test_an_example_is_one_click(tab: Tab) -> None:
    tab.tab.click(".example")  # named after its file, 0.mp4
    tab.tab.wait_for_selector(".ranked")
    assert tab.tab.query_selector(".player video")
    tab.tab.click("#clear")
    tab.tab.wait_for_selector("#hint:not([hidden])")
    assert not tab.tab.query_selector(".ranked, .player")
    assert tab.errors == []


def test_what_there_was_is_there_when_it_is_loaded_again_and_not_for_others(
    browser: Any, tab: Tab, page: Page, run_folder: Path
) -> None:
    tab.ask(run_folder.parent / "clip.mp4", "red light\na lamp")
    tab.tab.reload()
    tab.tab.wait_for_selector(".open")
    assert tab.tab.input_value("#names") == "red light\na lamp"
    other = Tab.open(browser, page.address)
    assert other.table() == []
    other.tab.close()
