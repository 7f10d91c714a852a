"""The page in a real browser: what a visitor sees and what the page fetches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.recognizer import small_run
from tests.waiting import wait_until
from tests.web.browsing import CHROMIUM, Tab, new_page
from tests.web.conftest import Page

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: install chromium")


@pytest.mark.parametrize("tab", [1200, 390], indirect=True)
def test_upload_type_a_new_class_read_the_ranking(tab: Tab, page: Page, run_folder: Path) -> None:
    clip = run_folder.parent / "clip.mp4"
    names = ["red light", "a lamp that nobody has seen", "white light"]
    tab.ask(clip, "\n".join(names))
    wanted = page.recognizer.predict(clip, names, explain=True)[0]
    assert not tab.tab.query_selector(".ezav-cell, .ezav-part"), "explained before it was asked"
    tab.tab.click("#ezav-why")
    tab.tab.wait_for_selector(".ezav-cell")
    assert tab.rows() == [[c.name, c.kind, f"{c.probability:.1%}"] for c in wanted.ranked]
    assert {kind for _, kind, _ in tab.rows()} == {"seen", "unseen", "new"}

    assert len(tab.tab.query_selector_all(".ezav-frames img")) == 8
    assert tab.tab.query_selector(".ezav-sound")
    cells = [cell.inner_text() for cell in tab.tab.query_selector_all(".ezav-cell b")]
    moments = [m for c in wanted.ranked for m in c.moments]
    assert cells == [f"{moment.alone:.0%}" for moment in moments]
    assert "What speaks for" in tab.tab.inner_text("#ezav-evidence")
    assert tab.tab.query_selector("#ezav-ranking [aria-live=polite] .ezav-ranked")

    assert tab.tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert tab.errors == []
    own = (page.address, f"blob:{page.address}", "data:")
    assert [url for url in tab.fetched if not url.startswith(own)] == []


def test_asking_again_with_other_names(tab: Tab, page: Page, run_folder: Path) -> None:
    clip = run_folder.parent / "clip.mp4"
    tab.ask(clip)  # the text field begins with the classes of the run
    wanted = page.recognizer.predict(clip)[0]
    assert [row[0] for row in tab.rows()][:5] == [c.name for c in wanted.ranked]
    tab.tab.fill("#ezav-classes textarea", "Red Light\n<b>bold</b> & <script>alert(1)</script>")
    tab.tab.click("#ezav-ask")
    tab.tab.wait_for_function("document.querySelectorAll('.ezav-row').length == 2")
    assert {row[0] for row in tab.rows()} == {
        "Red Light (known as “red light”)",
        "<b>bold</b> & <script>alert(1)</script>",
    }
    tab.tab.click("#ezav-reset")
    tab.tab.wait_for_function(
        "document.querySelector('#ezav-classes textarea').value.includes('white light')"
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
    told = tab.tab.inner_text(".ezav-message")
    assert word in told
    assert "Traceback" not in tab.tab.content()


def test_files_that_are_no_clip_or_lack_something(tab: Tab, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video " * 100)
    tab.ask(broken)
    assert "cannot be read: not a media file" in tab.tab.inner_text(".ezav-message")

    tab.tab.reload()
    tab.tab.wait_for_selector("#ezav-classes textarea")
    silent = small_run.write_video(tmp_path / "silent.mp4", ["red light"], sound=False)
    tab.ask(silent)
    assert "No sound (no audio stream): answered from the picture alone." in tab.tab.inner_text(
        "#ezav-ranking"
    )

    tab.tab.reload()
    tab.tab.wait_for_selector("#ezav-classes textarea")
    long = small_run.write_video(tmp_path / "long.mp4", ["red light"] * 4, seconds=3.0)
    tab.ask(long)
    assert "12 s long, at most 10 s are read" in tab.tab.inner_text(".ezav-message")


def test_an_example_is_one_click(tab: Tab) -> None:
    tab.tab.click("#ezav-try")  # named after its file, 0.mp4
    tab.tab.wait_for_selector(".ezav-ranked")
    assert tab.tab.query_selector("#ezav-player video")
    assert not tab.tab.is_visible("#ezav-try")
    tab.tab.click("#ezav-clip button[aria-label='Clear']")
    tab.tab.wait_for_selector(".ezav-hint")
    assert not tab.tab.query_selector(".ezav-ranked")
    assert not tab.tab.query_selector("#ezav-player video")
    assert tab.tab.is_visible("#ezav-try")
    assert tab.errors == []


def test_the_upload_goes_when_the_page_is_closed(browser: Any, page: Page, tmp_path: Path) -> None:
    clip = small_run.write_video(tmp_path / "mine.mp4", ["dark room"])
    tab = new_page(browser)
    tab.goto(page.address)
    tab.wait_for_selector("#ezav-classes textarea")
    Tab(tab).ask(clip)
    assert list(page.folder.rglob("mine.mp4"))
    tab.close()
    wait_until(lambda: not list(page.folder.rglob("mine.mp4")), "the upload to go")
