"""One small run, and its page served for all tests of this folder."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ezav.features import FeatureStore
from ezav.protocol import calibration
from ezav.protocol.run_folder import write_run
from ezav.protocol.two_stage import TwoStageProtocol
from ezav.recognizer import Recognizer
from tests.recognizer import small_run
from tests.waiting import MINUTES
from tests.web.browsing import CHROMIUM, FLAGS, Tab


@dataclass
class Page:
    """The page being served.

    Attributes:
        folder: where temporary files of the server lie.
        looked_up: hosts that this process asked the name server for while it was served.
    """

    address: str
    recognizer: Recognizer
    folder: Path
    looked_up: set[str]


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("web")
    store = small_run.media_store(folder / "store", folder / "videos", clips_per_class=4)
    small_run.write_video(folder / "clip.mp4", ["red light", "blue light"])
    return small_run.train(store, folder / "run")


@pytest.fixture(scope="session")
def page(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    pytest.importorskip("starlette", reason="not installed: pip install 'ezav[web]'")
    from ezav.web.server import serving
    from ezav.web.settings import WebSettings

    looked_up: set[str] = set()
    real = socket.getaddrinfo

    def watched(host: Any, *rest: Any, **options: Any) -> Any:
        looked_up.add(str(host))
        return real(host, *rest, **options)

    patch = pytest.MonkeyPatch()
    patch.setattr(socket, "getaddrinfo", watched)
    folder = tmp_path_factory.mktemp("uploads")
    patch.setattr(tempfile, "tempdir", str(folder))
    recognizer = Recognizer.load(run_folder, import_code=True)
    settings = WebSettings(port=0, max_seconds=10, max_megabytes=1, max_names=50)
    example = run_folder.parent / "videos" / "green light" / "0.mp4"
    with serving(recognizer, settings, [example]) as address:
        patch.setattr(tempfile, "tempdir", None)
        yield Page(address, recognizer, folder, looked_up)
    patch.undo()


@pytest.fixture(scope="session")
def best_run(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of `best`, the default of `ezav run`: it can be taught."""
    store = FeatureStore.open(run_folder.parent / "store")
    folder = tmp_path_factory.mktemp("best") / "run"
    write_run(TwoStageProtocol(method="best").fit(store), folder)
    return folder


@pytest.fixture(scope="session")
def frozen_page() -> Iterator[str]:
    """A page without a run."""
    pytest.importorskip("starlette", reason="not installed: pip install 'ezav[web]'")
    from ezav.web.server import serving
    from ezav.web.settings import WebSettings

    with serving(Recognizer.frozen(), WebSettings(port=0)) as address:
        yield address


@pytest.fixture(scope="module")  # not longer: its loop would be in the way of other tests'
def browser() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=FLAGS, timeout=1000 * MINUTES
        )
        yield browser
        browser.close()


@pytest.fixture(params=[1200])
def tab(browser: Any, page: Page, request: pytest.FixtureRequest) -> Iterator[Tab]:
    watched = Tab.open(browser, page.address, width=request.param)
    yield watched
    watched.tab.close()


@pytest.fixture(autouse=True)
def _percentages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small runs have too few clips for percentages; here they are given all the same."""
    monkeypatch.setattr(calibration, "LEAST_CLIPS", 1)
    monkeypatch.setattr(calibration, "MOST_ECE", 1.0)
