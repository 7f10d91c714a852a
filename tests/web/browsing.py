"""A browser's tab on the page, with what it fetched and complained about."""

from __future__ import annotations

import shutil
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
        found.wait_for_selector("#ezav-classes textarea")
        return watched

    def ask(self, clip: Path, names: str | None = None) -> None:
        if names is not None:
            self.tab.fill("#ezav-classes textarea", names)
        self.tab.set_input_files("#ezav-clip input[type=file]", str(clip))
        self.tab.wait_for_selector(".ezav-ranked, .ezav-message")

    def rows(self) -> list[list[str]]:
        """Name, kind and percent of each ranked row."""
        return [row.inner_text().split("\n") for row in self.tab.query_selector_all(".ezav-row")]


def new_page(browser: Any, width: int = 1200, **options: Any) -> Any:
    """An empty page that waits for minutes, not for Playwright's 30 seconds."""
    page = browser.new_page(viewport={"width": width, "height": 900}, **options)
    page.set_default_timeout(1000 * MINUTES)
    return page
