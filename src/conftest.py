"""What the examples in docstrings may take for granted: `store`, a small one, and `runs`, a folder.

Both are made once and only for examples. `store` has 12 classes `class 00` to `class 11` in all
five splits; `runs` holds three runs of two methods on one benchmark.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests import worlds
from tests.reports.fake_runs import write_run


def small_worlds(folder: Path) -> dict[str, Any]:
    """Name -> value."""
    runs = folder / "runs"
    write_run(runs / "ez-0", seed=0, skill=3.0)
    write_run(runs / "ez-1", seed=1, skill=3.0)
    write_run(runs / "frozen", method="zero_shot", label="zero_shot", skill=1.0, source="raw")
    return {"store": worlds.store(folder / "store"), "runs": runs}


@pytest.fixture(scope="session", autouse=True)
def _worlds(doctest_namespace: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> None:
    doctest_namespace.update(small_worlds(tmp_path_factory.mktemp("examples")))
