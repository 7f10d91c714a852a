"""What holds for every test: no limits of time by the example, and no silent skips in CI."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest

hypothesis.settings.register_profile("ezav", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("ezav")

MAY_SKIP = ("needs a GPU", "needs a browser", "needs ONNX Runtime for C++")
"""How the reason of a skip begins that CI accepts."""

_left_out = pytest.StashKey[dict[str, int]]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "apart(package): compares with a package that no extra of ezav installs for the tests; "
        "left out, with a word, where it cannot be imported",
    )
    config.stash[_left_out] = {}


def _imports(package: str) -> bool:
    try:
        importlib.import_module(package)
    except (ImportError, OSError, RuntimeError):  # torchcodec without FFmpeg's libraries: the last
        return False
    return True


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    kept, left = [], []
    absent = config.stash[_left_out]
    for item in items:
        packages = [mark.args[0] for mark in item.iter_markers("apart")]
        missing = [package for package in packages if not _imports(package)]
        for package in missing:
            absent[package] = absent.get(package, 0) + 1
        (left if missing else kept).append(item)
    if left:
        items[:] = kept
        config.hook.pytest_deselected(items=left)


def _refused(config: pytest.Config) -> Iterator[str]:
    """The skips that CI does not accept, each once."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not os.environ.get("CI"):  # a worker of xdist, or a user's own machine
        return
    for report in reporter.stats.get("skipped", []):
        if hasattr(report, "wasxfail"):
            continue
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if not reason.removeprefix("Skipped: ").startswith(MAY_SKIP):
            yield f"{report.nodeid}: {reason}"


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """What a worker of xdist left out, told here by the one process that reports."""
    node.config.stash[_left_out].update(getattr(node, "workeroutput", {}).get("left_out", {}))


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = session.config.stash[_left_out]
    if session.exitstatus == pytest.ExitCode.OK and any(_refused(session.config)):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    for package, count in config.stash[_left_out].items():
        terminalreporter.write_line(f"left out: {count} tests that need {package}, which is absent")
    refused = list(_refused(config))
    if refused:
        terminalreporter.section("skips that fail in CI (a GPU, a browser, a C++ library may lack)")
        for line in refused:
            terminalreporter.write_line(line)
