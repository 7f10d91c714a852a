"""The time left of a benchmark, against sums made by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from ezav.benchmarks.pace import Pace
from ezav.cli.main import main
from tests import worlds


def test_every_method_has_its_own_pace() -> None:
    pace = Pace(["slow"] * 3 + ["fast"] * 3, processes=2)
    pace.ended("fast", 1.0)
    pace.ended("slow", 100.0)
    # Two slow ones and two fast ones wait, two side by side: (2 * 100 + 2 * 1) / 2.
    assert str(pace.left) == "about 0:01:41 left (slow 0:03:20, fast 0:00:02)"
    pace.ended("slow", 200.0)
    assert pace.left.seconds == {"slow": 150.0, "fast": 2.0}


def test_what_is_not_known_is_said_and_the_last_run_has_no_neighbour() -> None:
    pace = Pace(["slow", "slow", "new"], processes=4)
    pace.ended("slow", 60.0)
    assert str(pace.left) == "at least 0:00:30 left (slow 0:01:00, not known yet: new)"
    pace.ended("new", 5.0)
    assert str(pace.left) == "about 0:01:00 left"
    pace.ended("slow", 60.0)
    assert str(pace.left) == ""


def test_a_benchmark_knows_the_pace_of_earlier_runs_in_its_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    worlds.store(tmp_path / "store")
    bench = ["bench", str(tmp_path / "store"), "--out", str(tmp_path / "out"), "--processes", "1"]
    assert main([*bench, "--methods", "eszsl", "--seeds", "1"]) == 0
    assert "left" not in capsys.readouterr().err  # there was nothing to know it from
    assert main([*bench, "--methods", "eszsl", "devise", "--seeds", "2", "--epochs", "1"]) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if "left" in line]
    assert lines[0].startswith("at least 0:00:0")
    assert "not known yet: devise" in lines[0]
    assert "not known yet" not in lines[-1]
