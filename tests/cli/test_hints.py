"""What a practitioner types by mistake, as a command: one line that says what to do."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ezav.cli.main import main
from tests import worlds
from tests.reports.fake_runs import write_run


def _said(arguments: list[str], capsys: pytest.CaptureFixture[str], status: int = 1) -> str:
    assert main(arguments) == status
    error = capsys.readouterr().err.strip()
    assert "Traceback" not in error
    return error


def test_extract_of_one_clip(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"x")
    said = _said(["extract", str(clip), "--out", str(tmp_path / "store")], capsys)
    assert "is one recording" in said
    assert "'ezav predict'" in said
    assert "\n" not in said
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("content", ["", "{", '{"version": 1'])
def test_a_truncated_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    (tmp_path / "result.json").write_text(content)
    said = _said(["inspect", str(tmp_path)], capsys)
    assert "result.json" in said
    assert "\n" not in said


def test_the_wrong_ending_of_a_curve_is_told_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = tmp_path / "names.txt"
    names.write_text("dog\ncat\n")
    given = ["classes", "tradeoff", str(names), "--alphas", "0.3", "--margins", "0.1"]
    said = _said([*given, "--out", str(tmp_path / "x.foo")], capsys)
    assert "end its name in .csv" in said
    assert not (tmp_path / "x.foo").exists()
    assert "\n" not in said


def test_a_store_without_its_class_embeddings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = worlds.store(tmp_path / "store")
    shutil.rmtree(store.path / "classes")
    said = _said(["run", "eszsl", str(store.path), "--out", str(tmp_path / "run")], capsys)
    assert "lacks the class embeddings" in said
    assert "make it anew" in said
    assert "\n" not in said
    assert not (tmp_path / "run").exists()


def test_a_report_of_a_run_without_its_validation_scores(tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    (tmp_path / "run" / "validation.safetensors").unlink()
    out = tmp_path / "report.html"
    assert main(["report", str(tmp_path / "run"), "--out", str(out)]) == 0
    assert out.exists()
