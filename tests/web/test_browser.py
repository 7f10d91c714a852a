"""The page in a real browser: what a visitor sees and what the page fetches."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.recognizer import small_run
from tests.waiting import MINUTES, wait_until
from tests.web.conftest import Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: install chromium")


@dataclass
class Tab:
    """A browser tab with what it fetched and complained about."""

    tab: Any
    fetched: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def ask(self, clip: Path, names: str | None = None) -> None:
        if names is not None:
            self.tab.fill("#ezav-classes textarea", names)
        self.tab.set_input_files("#ezav-clip input[type=file]", str(clip))
        self.tab.wait_for_selector(".ezav-ranked, .ezav-message")

    def rows(self) -> list[list[str]]:
        """Name, kind and percent of each ranked row."""
        return [row.inner_text().split("\n") for row in self.tab.query_selector_all(".ezav-row")]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=FLAGS, timeout=1000 * MINUTES
        )
        yield browser
        browser.close()


def new_page(browser: Any, width: int = 1200) -> Any:
    """An empty page that waits for minutes, not for Playwright's 30 seconds."""
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.set_default_timeout(1000 * MINUTES)
    return page


@pytest.fixture(params=[1200])
def tab(browser: Any, page: Page, request: pytest.FixtureRequest) -> Iterator[Tab]:
    found = new_page(browser, width=request.param)
    watched = Tab(found)
    found.on("request", lambda one: watched.fetched.append(one.url))
    found.on("console", lambda m: watched.errors.append(m.text) if m.type == "error" else None)
    found.on("pageerror", lambda error: watched.errors.append(str(error)))
    found.goto(page.address)
    found.wait_for_selector("#ezav-classes textarea")
    yield watched
    found.close()


@pytest.mark.parametrize("tab", [1200, 390], indirect=True)
def test_upload_type_a_new_class_read_the_ranking(tab: Tab, page: Page, run_folder: Path) -> None:
    clip = run_folder.parent / "clip.mp4"
    names = ["red light", "a lamp that nobody has seen", "white light"]
    tab.ask(clip, "\n".join(names))
    wanted = page.recognizer.predict(clip, names, explain=True)[0]
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
    wanted = page.recognizer.predict(clip, explain=True)[0]
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
    tab.tab.get_by_text("0", exact=True).click()  # named after its file, 0.mp4
    tab.tab.wait_for_selector(".ezav-ranked")
    assert tab.tab.query_selector("#ezav-clip video")
    tab.tab.click("#ezav-clip button[aria-label='Clear']")
    tab.tab.wait_for_selector(".ezav-hint")
    assert not tab.tab.query_selector(".ezav-ranked")
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
