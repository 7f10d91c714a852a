"""The command line as a whole: help for everything, one line for every mistake, honest status."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import ezav.cli
from ezav.cli.main import COMMANDS, main
from ezav.errors import EzavError
from tests import worlds

FOLDER = Path(ezav.cli.__file__).parent


def test_every_command_module_is_listed_and_every_listed_command_exists(capsys):
    files = {
        p.stem
        for p in FOLDER.glob("*.py")
        if re.search(r"^(class )?CLI\b", p.read_text("utf-8"), re.M)
    }
    modules = {name.rstrip("_") for name in files}  # import_: the name is a keyword
    assert modules == set(COMMANDS)
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in COMMANDS)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_explains_each_command(name, capsys):
    assert main([name, "--help"]) == 0
    assert f"ezav {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "ez_avgzl", "nowhere", "--out", "run"], "no feature store"),
        (["run", "ez_avgz", "nowhere", "--out", "run"], "did you mean 'ez_avgzl'"),
        (["predict", "nowhere", "clip.mp4"], "nowhere"),
        (["report", "nowhere"], "nowhere"),
        (["extract", "nowhere", "--out", "store"], "nowhere"),
        (["bench", "ucf-cls", "--methods", "avca", "--out", "bench"], "no feature store"),
        (["compare", "nowhere", "elsewhere"], "no run at"),
        (["demo", "--seeds", "0"], "--seeds must be at least 1"),
        (["demo", "--processes", "0"], "--processes must be at least 1"),
        (["bench", "ucf-cls", "--methods", "avca", "--out", "o", "--seeds", "0"], "--seeds must"),
        (["bench", "s", "--methods", "a", "--out", "o", "--processes", "-1"], "1, not -1"),
        (["ablate", "nowhere", "--out", "o", "--processes", "0"], "--processes must"),
        (["tune", "nowhere", "--out", "o", "--trials", "0"], "--trials must"),
        (["tune", "nowhere", "--out", "o", "--trials", "1", "--processes", "0"], "--processes"),
        (["extract", "nowhere", "--out", "store", "--workers", "0"], "--workers must"),
        (["extract", "nowhere", "--out", "store", "--seed", "-3"], "--seed must be 0 or more"),
        (["classes", "optimize", "--names", "a", "b", "--seed", "-3"], "--seed must be 0 or more"),
    ],
)
def test_mistakes_are_told_in_one_line(arguments, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 1
    shown = capsys.readouterr()
    assert words in shown.err
    assert "Traceback" not in shown.err
    assert len(shown.err.strip().splitlines()) == 1
    assert shown.out == ""
    assert list(tmp_path.iterdir()) == [], "something was left behind"


def test_unknown_command_and_bad_option_are_usage_errors(capsys):
    assert main(["recognise"]) == 2
    assert main(["run", "ez_avgzl", "store", "--out", "run", "--no-such-option", "1"]) == 2
    assert main([]) == 2


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("ezav.cli.main", ("torch", "numba", "matplotlib")),
        ("ezav.cli.predict", ("torch",)),
        # Its worker starts before the process that answers has imported torch.
        ("ezav.recognizer.reading", ("torch", "pyarrow")),
        ("ezav.recognizer.recognizer", ("numba", "matplotlib", "pyarrow", "sklearn", "scipy")),
    ],
)
def test_what_is_needed_first_is_light(module, heavy):
    code = f"import sys, {module}; print([m for m in {heavy!r} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_run_keeps_seeds_that_are_done_and_compare_reads_them(tmp_path, capsys):
    worlds.store(tmp_path / "store")
    run = ["run", "ez_avgzl", str(tmp_path / "store"), "--out", str(tmp_path / "runs")]
    run += ["--training.epochs", "2", "--config.width", "16", "--seeds", "2"]
    assert main(run) == 0
    stamps = {p: p.stat().st_mtime_ns for p in (tmp_path / "runs").rglob("*.safetensors")}
    assert len({p.parent for p in stamps}) == 2
    assert main(run) == 0
    assert "kept" in capsys.readouterr().err
    assert {p: p.stat().st_mtime_ns for p in stamps} == stamps
    pair = [str(tmp_path / "runs" / f"seed-{seed}") for seed in (0, 1)]
    assert main(["compare", *pair, "--draws", "50"]) == 0
    assert "95 % interval" in capsys.readouterr().out
    # Another method, setting, text or store in the same folder is not what was asked for.
    assert main([*run, "--label", "mine"]) == 1
    assert "differs from this one in: label" in capsys.readouterr().err
    assert main(["run", "eszsl", *run[2:5], "--seeds", "2"]) == 1
    assert "in: method" in capsys.readouterr().err
    assert main([*run, "--config.layers", "0"]) == 1
    assert "in: config" in capsys.readouterr().err
    worlds.store(tmp_path / "other", classes=14)
    assert main([*run[:2], str(tmp_path / "other"), *run[3:]]) == 1
    assert {p: p.stat().st_mtime_ns for p in stamps} == stamps
    single = run[:-2]
    (tmp_path / "runs" / "note.txt").write_text("mine")
    assert main(single) == 1
    assert "exists already" in capsys.readouterr().err


def test_seeds_whose_alpha_was_chosen_are_kept(tmp_path, capsys):
    worlds.store(tmp_path / "store")
    run = ["run", "ez_avgzl", str(tmp_path / "store"), "--out", str(tmp_path / "runs")]
    run += ["--training.epochs", "1", "--config.width", "16", "--seeds", "2"]
    run += ["--alphas", "0", "0.2"]
    assert main(run) == 0
    capsys.readouterr()
    assert main(run) == 0
    assert capsys.readouterr().err.count("kept") == 2
    # One that was chosen among others is another run.
    assert main([*run[:-2], "0.3", "0.4"]) == 1
    assert "in: config" in capsys.readouterr().err
    assert main([*run, "0.3"]) == 1
    assert "in: the alphas that were tried" in capsys.readouterr().err


def test_folders_of_odd_names_and_the_one_where_one_is(tmp_path, monkeypatch, capsys):
    worlds.store(tmp_path / "store")
    (tmp_path / "here [b]").mkdir()
    monkeypatch.chdir(tmp_path / "here [b]")
    assert main(["run", "eszsl", "../store", "--out", "."]) == 0
    assert (tmp_path / "here [b]" / "result.json").is_file()
    monkeypatch.chdir(tmp_path)
    assert main(["run", "eszsl", "store", "--out", "RZ[bold]", "--label", "ours [/x]"]) == 0
    assert "run folder: RZ[bold]" in capsys.readouterr().out
    assert main(["compare", "RZ[bold]", "here [b]", "--draws", "9"]) == 0
    assert "ours [/x]" in capsys.readouterr().out
    assert main(["compare", "RZ[bold]", "here [b]", "--draws", "0"]) == 1
    assert main(["report", "RZ[bold]", "--out", "page [/y].html"]) == 0
    assert "report: page [/y].html" in capsys.readouterr().out
    bench = ["bench", "store", "--methods", "eszsl", "--seeds", "1", "--out", "B[/z]"]
    assert main(bench) == 0
    assert "B[/z]/results.md" in capsys.readouterr().out


def test_what_users_name_is_printed_as_it_is(capsys):
    from rich.table import Table

    from ezav.cli.common import output, progress

    name = "a:dog:b [red]c[/red] [/d]"
    table = Table(name, title=name)
    table.add_row(name)
    for console in (output, progress):
        console.print(name)
        console.print(table)
    shown = capsys.readouterr()
    assert shown.out.count(name) == shown.err.count(name) == 4


def test_names_in_a_live_line_are_printed_as_they_are(monkeypatch, capsys):
    from ezav.cli.runs_progress import runs_progress

    monkeypatch.setattr("ezav.cli.common.progress._force_terminal", True)
    monkeypatch.setenv("COLUMNS", "200")
    name = "a:dog:b [red]c[/red] [/d]"
    with runs_progress(name, 1) as tell:
        tell(f"news of {name}", False)
    assert capsys.readouterr().err.count(name) == 2


def test_a_command_to_copy_is_quoted(tmp_path, monkeypatch, capsys):
    worlds.store(tmp_path / "store")
    monkeypatch.chdir(tmp_path)
    assert main(["run", "eszsl", "store", "--out", "my run"]) == 0
    shown = capsys.readouterr().out
    assert "run folder: my run" in shown
    assert "ezav predict 'my run' CLIP" in shown
    assert "ezav report 'my run' --out" in shown


def test_what_a_stop_keeps_is_said_only_where_something_is_kept(monkeypatch, capsys):
    def stop(name, arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("ezav.cli.main.read_arguments", stop)
    told = {}
    for name in COMMANDS:
        assert main([name]) == 130
        told[name] = "what was finished is kept" in capsys.readouterr().err
    kept = {name for name in told if told[name]}
    assert {"extract", "run", "bench"} <= kept
    assert not kept & {"predict", "scan", "report", "export", "classes"}


def test_an_error_is_one_line_and_names_a_path_as_it_is():
    error = EzavError("no run at 'my  run':\n   neither\r\n\nnor", "  look \n there")
    assert str(error) == "no run at 'my  run': neither nor; look there"


def test_an_error_of_the_system_is_one_line_too(monkeypatch, capsys):
    path = "a long folder name/" * 9

    def fail(name, arguments):
        raise OSError(28, "No space left on device", path)

    monkeypatch.setattr("ezav.cli.main.read_arguments", fail)
    assert main(["extract"]) == 1
    assert capsys.readouterr().err == f"ezav extract: No space left on device ('{path}')\n"


def test_a_file_of_no_class_names_is_named(tmp_path):
    from ezav.cli.common import read_classes

    (tmp_path / "names.txt").write_text(" \n\n")
    with pytest.raises(EzavError, match=r"names\.txt' holds no class names"):
        read_classes(None, tmp_path / "names.txt")


def test_class_names_of_a_file_that_begins_with_a_byte_order_mark(tmp_path):
    from ezav.cli.common import read_classes

    (tmp_path / "names.txt").write_text("dog barking\nrain\n", encoding="utf-8-sig")
    assert read_classes(None, tmp_path / "names.txt") == ["dog barking", "rain"]


def test_a_part_without_clips_is_no_error(tmp_path, capsys):
    for name in ("rain", "wind", "sea", "fire", "dog", "cat"):
        (tmp_path / "videos" / name).mkdir(parents=True)
        for clip in range(4):
            (tmp_path / "videos" / name / f"{clip}.mp4").write_bytes(b"no video")
    extract = ["extract", str(tmp_path / "videos"), "--out", str(tmp_path / "store")]
    # 24 clips in a thousand parts: the first ones are most likely to have none.
    for part in range(1, 20):
        if main([*extract, "--shard", f"{part}/1000", "--workers", "1"]) == 0:
            break
    assert f"shard {part}/1000 has no clips: nothing to do" in capsys.readouterr().out
    assert not list(tmp_path.glob("store*/**/*.parquet"))
