"""A copy of the repository, and the wheel and sdist that are built from it without network."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOP = (
    *("pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "LICENSES"),
    *("CHANGELOG.md", "CITATION.cff", "constraints.txt", "requirements-weights.txt"),
)
"""What stands at the top of an sdist."""
MADE = ("__pycache__", "*.pyc", "*.egg-info", ".*_cache")


@dataclass(frozen=True)
class Built:
    """Attributes: version of the package; wheel and sdist, files."""

    version: str
    wheel: Path
    sdist: Path


def build(folder: Path) -> Built:
    """Copy what a clone holds, with the litter of a working day, and build it as users do."""
    source = folder / "source"
    shutil.copytree(ROOT / "src", source / "src", ignore=shutil.ignore_patterns(*MADE))
    for name in TOP:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    _litter(source)
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder / "dist", source],
        check=True,
        capture_output=True,
        env={**os.environ, "PIP_NO_INDEX": "1"},
    )
    (wheel,) = (folder / "dist").glob("*.whl")
    (sdist,) = (folder / "dist").glob("*.tar.gz")
    return Built(wheel.name.split("-")[1], wheel, sdist)


def _litter(source: Path) -> None:
    """What lies in a clone and is not to be passed on."""
    for name in (
        *("tests/test_it.py", "tests/fixtures/numbers.npz", "docs/index.md", "perf/rate.py"),
        *("examples/a.ipynb", "site/index.html", "runs/run/weights.safetensors", "stack.log"),
        *(".github/workflows/test.yml", "src/ezav/__pycache__/errors.cpython-311.pyc"),
        *("src/ezav/.mypy_cache/a.json", "build/lib/ezav/left_over.py"),
    ):
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("0")
