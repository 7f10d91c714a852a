"""`ezav run STORE`: no method is named, and what it prints is what the run says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ezav.cli.main import main
from ezav.protocol.run_folder import read_result
from tests import worlds


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("store") / "tiny"
    worlds.store(path)
    return path


def test_a_store_alone_runs_the_best(store: Path, tmp_path: Path, capsys) -> None:
    assert main(["run", str(store), "--out", str(tmp_path / "run")]) == 0
    result = read_result(tmp_path / "run")
    assert result.method == "best"
    assert result.folds == 10
    said = capsys.readouterr().out
    assert "10 class folds" in said
    for name, one in result.members.items():
        (line,) = (line for line in said.splitlines() if line.strip().startswith(name))
        assert f"{one.weight:.2f}" in line
        assert f"{100 * one.alone:.1f}%" in line


def test_options_of_the_best_and_json(store: Path, tmp_path: Path, capsys) -> None:
    arguments = ["run", str(store), "--out", str(tmp_path / "run"), "--json"]
    assert main([*arguments, "--config.pull", "5", "--folds", "3"]) == 0
    (run,) = json.loads(capsys.readouterr().out)["runs"]
    assert run["config"]["pull"] == 5
    assert run["folds"] == 6  # three, divided twice
    assert set(run["members"]["linear"]) == {"weight", "alone", "lost"}


def test_a_named_method_keeps_the_official_protocol(store: Path, tmp_path: Path) -> None:
    assert main(["run", "eszsl", str(store), "--out", str(tmp_path / "run")]) == 0
    assert read_result(tmp_path / "run").folds == 0


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (["--folds", "11"], "10 known classes are too few for 11 class folds"),
        (["--folds", "1"], "1 class folds"),
        (["--config.visual-weight", "0.5"], "share no space"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    store: Path, tmp_path: Path, capsys, more: list[str], line: str
) -> None:
    assert main(["run", str(store), "--out", str(tmp_path / "run"), *more]) == 1
    told = capsys.readouterr().err.strip()
    assert line in " ".join(told.split())
    assert "Traceback" not in told
    assert not (tmp_path / "run").exists()


def test_a_path_where_nothing_is_names_no_method(tmp_path: Path, capsys) -> None:
    assert main(["run", str(tmp_path / "gone"), "--out", str(tmp_path / "run")]) == 1
    assert "there is no feature store" in " ".join(capsys.readouterr().err.split())
