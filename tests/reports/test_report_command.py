"""`ezav report` and the page in a browser."""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tyro
from rich.console import Console

from ezav.cli import report as command
from ezav.errors import EzavError
from tests.reports.fake_runs import write_run
from tests.waiting import MINUTES


def call(*arguments: str) -> tuple[command.ReportCommand, command.ReportResult]:
    parsed = tyro.cli(command.CLI, args=list(arguments))
    return parsed, parsed.run()


def test_the_command_writes_the_page_and_returns_the_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = [write_run(tmp_path / f"runs/{seed}", label="ours", seed=seed) for seed in (0, 1)]
    out = tmp_path / "new/page.html"
    parsed, result = call(str(tmp_path / "runs"), "--out", str(out))
    assert out.read_text().startswith("<!doctype html>")
    assert result.report == out
    assert len(result.runs) == 2
    (row,) = result.rows
    assert row.mean["HM"] == pytest.approx(sum(r.metrics.HM for r in results) / 2)
    assert row.dataset == "toy"
    printed = Console(file=io.StringIO(), width=80)
    monkeypatch.setattr(command, "output", printed)
    parsed.show(result)
    text = printed.file.getvalue()  # type: ignore[attr-defined]
    assert "ours" in text
    assert "report:" in text


def test_a_run_that_a_kill_left_half_written_is_passed_over(tmp_path: Path) -> None:
    write_run(tmp_path / "runs/seed-0", label="ours")
    half = tmp_path / "runs/.seed-1.part"
    half.mkdir()
    shutil.copy(tmp_path / "runs/seed-0/result.json", half)
    _, result = call(str(tmp_path / "runs"), "--out", str(tmp_path / "page.html"))
    assert [run.name for run in result.runs] == ["seed-0"]


def test_without_runs_it_says_how() -> None:
    with pytest.raises(EzavError, match=r"name one or more run folders"):
        call()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    executable = shutil.which("chromium") or shutil.which("chromium-browser")
    if executable is None:
        pytest.skip("needs a browser: apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(
            executable_path=executable, args=["--no-sandbox"], timeout=1000 * MINUTES
        )
        yield opened
        opened.close()


def test_the_page_fits_a_phone_and_a_desktop(tmp_path: Path, browser: Any) -> None:
    long = "averyveryverylongclassnamewithoutanyspaceinitatall" * 3
    names = [f"class number {i} of many" for i in range(29)] + [long]
    write_run(tmp_path / "run", names=names, unseen=8, label="a label_with/no_end" * 5)
    page_file = command.ReportCommand(runs=(tmp_path / "run",), out=tmp_path / "r.html").run()
    for width in (390, 1200):
        problems: list[str] = []
        page = browser.new_page(viewport={"width": width, "height": 900})
        page.set_default_timeout(1000 * MINUTES)
        page.on("console", lambda message: problems.append(message.text))  # noqa: B023
        page.on("pageerror", lambda error: problems.append(str(error)))  # noqa: B023
        page.on("request", lambda request: problems.append(request.url))  # noqa: B023
        page.goto(Path(page_file.report).as_uri())
        page.wait_for_load_state()
        assert [p for p in problems if not p.startswith(("file:", "data:"))] == []
        size = "document.documentElement"
        assert page.evaluate(f"{size}.scrollWidth <= {size}.clientWidth"), width
        small = page.evaluate(
            "Math.min(...[...document.querySelectorAll('svg text')]"
            ".map(t => t.getBoundingClientRect()).filter(r => r.width > 0)"
            ".map(r => Math.min(r.width, r.height)))"
        )
        assert small >= 5, "some text in a figure is too small to read"
        page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_is_legible_in_the_light_and_in_the_dark(
    tmp_path: Path, browser: Any, scheme: str
) -> None:
    write_run(tmp_path / "ours", skill=2.5)
    write_run(tmp_path / "frozen", method="zero_shot", label="frozen", skill=2.4, source="raw")
    out = command.ReportCommand(
        runs=(tmp_path / "ours", tmp_path / "frozen"), out=tmp_path / "r.html"
    ).run()
    page = browser.new_page(viewport={"width": 1200, "height": 900}, color_scheme=scheme)
    page.set_default_timeout(1000 * MINUTES)
    page.goto(Path(out.report).as_uri())
    found = page.evaluate(
        """[...document.querySelectorAll('p, td, th, h1, h2, h3, a, li, svg text, figcaption')]
        .filter(e => e.textContent.trim() && e.getBoundingClientRect().width)
        .map(e => {
          const style = getComputedStyle(e);
          let behind = e.closest('svg') ? e.closest('figure') : e;
          while (behind && getComputedStyle(behind).backgroundColor === 'rgba(0, 0, 0, 0)')
            behind = behind.parentElement;
          return [e.textContent.trim(), e.closest('svg') ? style.fill : style.color,
                  getComputedStyle(behind).backgroundColor];
        })"""
    )
    page.close()
    assert len(found) > 100
    dark = {round(_luminance(behind)) for _, _, behind in found}
    assert dark == {0 if scheme == "dark" else 1}
    low = {text for text, ink, behind in found if _contrast(ink, behind) < 4.5}
    # Lines of equal HM are quiet on purpose, and their numbers stand on the lines.
    assert all(text.startswith("HM ") for text in low), low


def _luminance(css: str) -> float:
    """Relative luminance of a colour (WCAG 2.1)."""
    values = [float(value) / 255 for value in re.findall(r"[\d.]+", css)[:3]]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("many", [False, True])
def test_no_half_of_a_wide_page_is_empty(tmp_path: Path, browser: Any, many: bool) -> None:
    runs = [tmp_path / "ours"]
    write_run(runs[0], skill=2.5, classes=30, unseen=8)
    if many:
        runs.append(tmp_path / "closed")
        write_run(runs[1], method="eszsl", label="ESZSL", classes=30, unseen=8, source="raw")
    out = command.ReportCommand(runs=tuple(runs), out=tmp_path / "r.html").run()
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(1000 * MINUTES)
    page.goto(Path(out.report).as_uri())
    # What is drawn or written, in the order of the page; bands of 900 pixels.
    boxes = page.evaluate(
        """[...document.querySelectorAll('svg, td, p, figcaption, summary, h3')]
        .map(e => e.getBoundingClientRect()).filter(r => r.width)
        .map(r => [r.left, r.right, r.top, r.bottom])"""
    )
    page.close()
    bottom = max(box[3] for box in boxes)
    for top in range(0, int(bottom) - 900, 450):
        here = [box for box in boxes if box[2] < top + 900 and box[3] > top]
        assert min(box[0] for box in here) < 100
        assert max(box[1] for box in here) > 700, f"the right half is empty from {top} on"
