"""`ezav report` and the page in a browser."""

from __future__ import annotations

import io
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
