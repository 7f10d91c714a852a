"""The exported model in a browser, in C++ and in Python without torch gives Python's numbers.

Export and extraction take long to start: `make release-check` runs them.
"""

from __future__ import annotations

import functools
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from ezav import Recognizer
from ezav.cli.main import main
from ezav.features.toy import generate_toy_world
from tests.release.building import ROOT
from tests.web.browsing import CHROMIUM, FLAGS, new_page

pytestmark = pytest.mark.release
EXAMPLES = ROOT / "examples"
PACKAGE = EXAMPLES / "browser" / "node_modules" / "onnxruntime-web"
RUNTIME = next(Path(onnxruntime.__file__).parent.glob("capi/libonnxruntime.so.*"), None)
HEADERS = "#include <onnxruntime_cxx_api.h>\n#include <nlohmann/json.hpp>\n"
COMPILE = ("g++", "-std=c++17", "-I", "/usr/include/onnxruntime")
NAMES = ("an empty room", "a red diamond with fast clicks", "Zebra!", "a low hum")
Row = tuple[str, str, float, float]
"""Name, kind, score, probability."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with clips, a run of them, and what `ezav export` makes of both."""
    folder = tmp_path_factory.mktemp("exported")
    generate_toy_world(folder / "clips", classes=12, clips_per_class=6)
    store, run = str(folder / "store"), str(folder / "run")
    assert main(["extract", str(folder / "clips"), "--out", store]) == 0
    assert main(["run", store, "--out", run]) == 0
    clip = str(min(folder.glob("clips/*/000.mp4")))
    assert main(["export", run, "--out", str(folder / "exported"), "--clips", clip]) == 0
    with zipfile.ZipFile(folder / "exported" / "clip.npz") as clips:
        clips.extractall(folder / "exported" / "clip")
    return folder


@pytest.fixture(scope="module")
def wanted(world: Path) -> list[Row]:
    """What the recogniser itself says of the clip, from the likeliest to the last."""
    return ranked(world)


def ranked(world: Path, names: tuple[str, ...] | None = None) -> list[Row]:
    """The recogniser's answer for the first clip."""
    recognizer = Recognizer.load(world / "run")
    (answer,) = recognizer.predict([min(world.glob("clips/*/000.mp4"))], names, top_k=50)
    probabilities = [one.probability for one in answer.ranked]
    assert all(probabilities), answer.withheld
    return [(o.name, o.kind, o.score, p or 0.0) for o, p in zip(answer.ranked, probabilities)]


def same(found: list[Row], wanted: list[Row], rounded: float = 0.0) -> None:
    """The names in their order, and the numbers to 1e-4 and what they were rounded to."""
    assert [row[:2] for row in found] == [row[:2] for row in wanted]
    numbers = np.array([row[2:] for row in found]) - np.array([row[2:] for row in wanted])
    assert np.abs(numbers).max() < 1e-4 + rounded


def said(command: list[str | Path], **options: object) -> str:
    """What a program prints."""
    done = subprocess.run(command, capture_output=True, text=True, **options)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


def test_in_cpp(world: Path, wanted: list[Row], tmp_path: Path) -> None:
    if shutil.which("g++") is None or RUNTIME is None:
        pytest.skip("needs ONNX Runtime for C++: g++ and the library of Python's onnxruntime")
    probe = subprocess.run([*COMPILE, "-E", "-x", "c++", "-"], input=HEADERS.encode(), stdout=-3)
    if probe.returncode:
        pytest.skip("needs ONNX Runtime for C++: its headers and nlohmann-json's, where CPATH says")
    program = tmp_path / "rank"
    said([*COMPILE, EXAMPLES / "cpp" / "rank.cpp", RUNTIME, "-o", program])
    (tmp_path / "libonnxruntime.so.1").symlink_to(RUNTIME)
    path = {**os.environ, "LD_LIBRARY_PATH": str(tmp_path)}
    lines = said([program, world / "exported"], env=path).splitlines()
    found = []
    for line in lines:
        probability, score, kind, name = line.split(maxsplit=3)
        found.append((name, kind, float(score), float(probability[:-1]) / 100))
    assert len(found) == 5
    same(found, wanted[:5], rounded=5e-5)
    wrong = subprocess.run([program, tmp_path], capture_output=True, text=True, env=path)
    assert (wrong.returncode, "classes.json" in wrong.stderr) == (1, True)


def test_in_python_without_torch(world: Path) -> None:
    names = (*NAMES, min(world.glob("clips/*")).name)
    wanted = ranked(world, names)
    program = EXAMPLES / "python" / "rank.py"
    # Any import of torch would end the program.
    code = "import sys; sys.modules['torch'] = None; import runpy; sys.argv = sys.argv[1:]; "
    code += "sys.path.insert(0, ''); runpy.run_path(sys.argv[0], run_name='__main__')"
    lines = said([sys.executable, "-c", code, program, world / "exported", *names]).splitlines()
    kinds = {row[0]: row[1] for row in wanted}
    found = [line.split(maxsplit=2) for line in lines]
    rows = [(name, kinds[name], float(score), float(p[:-1]) / 100) for p, score, name in found]
    same(rows, wanted, rounded=5e-5)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Requests are not told."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Its files, at an address of this machine."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_in_a_browser(world: Path, wanted: list[Row], tmp_path: Path) -> None:
    if CHROMIUM is None:
        pytest.skip("needs a browser: install chromium")
    if not PACKAGE.is_dir():
        pytest.skip("needs a browser's ONNX Runtime: npm install in examples/browser")
    from playwright.sync_api import sync_playwright

    page = tmp_path / "page"
    shutil.copytree(EXAMPLES / "browser", page, ignore=shutil.ignore_patterns("node_modules"))
    (page / "node_modules").symlink_to(PACKAGE.parent.resolve())
    (page / "exported").symlink_to(world / "exported")
    with served(page) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        tab = new_page(browser)
        fetched: list[str] = []
        tab.on("request", lambda one: fetched.append(one.url))
        tab.goto(address)
        tab.wait_for_function("!document.querySelector('#status').textContent.includes('Loading')")
        told = tab.inner_text("#status")
        assert told == f"The likeliest of {len(wanted)} names:"
        answers = json.loads(tab.evaluate("JSON.stringify(answer)"))["ranked"]
        shown = [row.inner_text().split("\t") for row in tab.query_selector_all("#answer tr")]
        browser.close()
    same([(a["name"], a["kind"], a["score"], a["probability"]) for a in answers], wanted)
    assert [row[:2] for row in shown] == [list(row[:2]) for row in wanted[:5]]
    assert all(url.startswith(address) for url in fetched)
