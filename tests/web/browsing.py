"""A browser's tab on the page, with what it fetched and complained about."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.waiting import MINUTES

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


@dataclass
class Tab:
    """A browser tab with what it fetched and complained about."""

    tab: Any
    fetched: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @classmethod
    def open(cls, browser: Any, address: str, **options: Any) -> Tab:
        found = new_page(browser, **options)
        watched = cls(found)
        found.on("request", lambda one: watched.fetched.append(one.url))
        found.on("console", lambda m: watched.errors.append(m.text) if m.type == "error" else None)
        found.on("pageerror", lambda error: watched.errors.append(str(error)))
        found.goto(address)
        found.wait_for_selector("#names")
        return watched

    def name(self, names: str) -> None:
        """Type names to choose from."""
        self.tab.fill("#names", names)

    def ask(self, clip: Path, names: str | None = None) -> None:
        """Give the first clip, which is opened."""
        if names is not None:
            self.name(names)
        self.give([clip])
        self.tab.wait_for_selector(".ranked, .details .message, #told:not([hidden])")

    def give(self, clips: Sequence[Path]) -> None:
        """Give clips, and wait until the table has them all."""
        self.tab.set_input_files("#files", [str(clip) for clip in clips])
        self.settled()

    def settled(self) -> None:
        """Nothing is on its way."""
        self.tab.wait_for_selector(".on-its-way, .open:enabled, #told:not([hidden])")
        self.tab.wait_for_function("() => !document.querySelector('.on-its-way')")

    def rows(self) -> list[list[str]]:
        """Name, kind and percent of each ranked row."""
        found = [row.inner_text().split("\n") for row in self.tab.query_selector_all(".row")]
        return [[part for part in row if part != "It is this"] for row in found]

    def table(self) -> list[tuple[str, str]]:
        """Clip and answer of each row of the table."""
        cells = (".file", "td:nth-child(2)")
        return [
            tuple(row.query_selector(cell).inner_text() for cell in cells)
            for row in self.tab.query_selector_all("tr.clip")
        ]


def new_page(browser: Any, width: int = 1200, **options: Any) -> Any:
    """An empty page that waits for minutes, not for Playwright's 30 seconds."""
    page = browser.new_page(viewport={"width": width, "height": 900}, **options)
    page.set_default_timeout(1000 * MINUTES)
    return page
