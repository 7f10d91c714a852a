"""The notebooks of examples/ run from the first cell to the last, and say what they are to say.

A kernel for each takes long to start: `make release-check` runs them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.release.building import ROOT


def run(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Everything that its cells show."""
    kept = [str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, kept)))
    notebook: Any = nbformat.read(ROOT / "examples" / name, as_version=4)
    assert not [cell for cell in notebook.cells if cell.get("outputs")], "cleared before a commit"
    NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    ).execute()
    shown = [
        output.get("text") or output.get("data", {}).get("text/plain", "")
        for cell in notebook.cells
        for output in cell.get("outputs", ())
    ]
    return "\n".join(shown)


@pytest.mark.release
def test_the_practitioners(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = run("practitioner.ipynb", tmp_path, monkeypatch)
    assert "(32, ())" in shown
    assert "blue square" in shown
    assert "rain on a roof" not in shown


@pytest.mark.release
def test_the_researchers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = run("researcher.ipynb", tmp_path, monkeypatch)
    assert "'test_unseen': 42" in shown
    assert "SIMULATED DATA" in shown
    assert "| devise | 1 |" in shown
