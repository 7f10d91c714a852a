"""A command that fails: one line for people on stderr, JSON for programs on stdout."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ezav.cli.common import Command
from ezav.cli.main import COMMANDS, main
from ezav.errors import (
    DamagedError,
    EzavError,
    NotFoundError,
    RefusedError,
    UnavailableError,
)


@dataclass(kw_only=True)
class _Settings:
    modalities: str = "both"


@dataclass(kw_only=True)
class _Failing(Command):
    """Fails as the test wants it."""

    retry: bool = False
    config: _Settings = field(default_factory=_Settings)

    def run(self) -> object:
        raise _Failing.error

    error = EzavError("nothing was set")


@pytest.fixture
def failing(monkeypatch):
    """`ezav features` fails with the error that it is given."""

    def fail(error):
        command = _Failing(json=True)
        monkeypatch.setattr(_Failing, "error", error)
        monkeypatch.setattr("ezav.cli.main.read_arguments", lambda name, arguments: command)

    return fail


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (EzavError("m", "h"), "invalid"),
        (NotFoundError("m", "h"), "not_found"),
        (DamagedError("m", "h"), "damaged"),
        (UnavailableError("m", "h"), "unavailable"),
        (RefusedError("m", "h"), "refused"),
    ],
)
def test_an_error_is_a_line_and_an_object(error, cause, failing, capsys):
    failing(error)
    assert main(["features", "--json"]) == 1
    shown = capsys.readouterr()
    assert shown.err == "ezav features: m; h\n"
    told = {"cause": cause, "message": "m", "hint": "h"}
    assert json.loads(shown.out) == {"error": told, "status": 1}


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (FileNotFoundError(2, "No such file or directory", "a"), "not_found"),
        (IsADirectoryError(21, "Is a directory", "a"), "invalid"),
        (OSError(28, "No space left on device", "a"), "unavailable"),
        (PermissionError(13, "Permission denied", "a"), "unavailable"),
    ],
)
def test_an_error_of_the_system_has_a_cause(error, cause, failing, capsys):
    failing(error)
    assert main(["features", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)["error"]
    assert found == {"cause": cause, "message": f"{error.strerror} ('a')", "hint": None}


def test_without_json_nothing_is_on_stdout(failing, capsys):
    failing(NotFoundError("m"))
    assert main(["features"]) == 1
    assert capsys.readouterr().out == ""


def test_arguments_of_the_library_become_the_flags_of_the_command(failing, capsys):
    failing(EzavError("one at a time", '`retry=True`, or `config.modalities="audio"`; `half=True`'))
    assert main(["features", "--json"]) == 1
    shown = capsys.readouterr()
    hint = "--retry, or --config.modalities audio; `half=True`"  # it has no --half
    assert shown.err == f"ezav features: one at a time; {hint}\n"
    assert json.loads(shown.out)["error"]["hint"] == hint


@pytest.mark.parametrize(
    "arguments",
    [
        ["features", "verify", "--no-such-option", "--json"],
        ["classes", "optimize", "--names", "a", "--alpha", "a third", "--json"],
        ["methods", "--json", "surplus"],
        ["classes", "optimize", "--semantic", "neither", "--json"],
        ["export", "run", "--json"],
        ["features", "--json"],
        ["predct", "--json"],
    ],
)
def test_a_mistake_in_the_arguments_is_one_line_too(arguments, capsys):
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert len(shown.err.splitlines()) == 1
    assert "│" not in shown.err
    found = json.loads(shown.out)
    assert found["status"] == 2
    assert found["error"]["cause"] == "usage"
    line = f"{found['error']['message']}; {found['error']['hint']}\n"
    assert shown.err.endswith(line)
    assert shown.err.removesuffix(line) in {"ezav: ", f"ezav {arguments[0]}: "}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["classes", "optimize", "--names", "a", "--alpha", "third"], "--alpha: 'third' is no num"),
        (["features", "merge", "--oot", "x"], "--out"),
        (["export", "run"], "--out PATH"),
        (["encoders", "table", "--kind", "smell"], "invalid choice 'smell' for argument '--kind'"),
    ],
)
@pytest.mark.parametrize("columns", ["40", "80", "400"])
def test_the_line_names_the_option(arguments, words, columns, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", columns)
    assert main(arguments) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("typed", "meant"), [("predct", "predict"), ("extrct", "extract"), ("recogniser", None)]
)
def test_the_nearest_command_is_suggested(typed, meant, capsys):
    assert main([typed]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"ezav: no command '{typed}'; ")
    assert ("did you mean" in told) == (meant is not None)
    assert meant is None or f"'{meant}'?" in told


def test_an_interrupt_is_an_object_too(failing, capsys):
    failing(KeyboardInterrupt())
    assert main(["features", "--json"]) == 130
    found = json.loads(capsys.readouterr().out)
    assert found["status"] == 130
    assert found["error"]["cause"] == "interrupted"


def test_a_fault_of_ezav_shows_where_and_tells_programs(failing, capsys):
    failing(ZeroDivisionError("division by zero"))
    with pytest.raises(ZeroDivisionError):
        main(["features", "--json"])
    told = json.loads(capsys.readouterr().out)["error"]
    assert told["cause"] == "unexpected"
    assert told["message"] == "ZeroDivisionError: division by zero"


COMPLETE = {
    "ablate": ["s", "--out", "o"],
    "bench": ["s", "--methods", "eszsl", "--out", "o"],
    "check": ["s"],
    "classes": ["optimize", "s"],
    "compare": ["a", "b"],
    "demo": [],
    "encoders": ["overlap", "clip", "--classes", "c"],
    "export": ["r", "--out", "o"],
    "extract": ["v", "--out", "o"],
    "features": ["merge", "a", "b", "--out", "o"],
    "find": ["r", "v", "a dog"],
    "import": ["avca", "r", "--dataset", "ucf", "--out", "o"],
    "inspect": ["r"],
    "methods": [],
    "predict": ["r", "c"],
    "report": ["r"],
    "run": ["ez_avgzl", "s", "--out", "o"],
    "scan": ["r", "v"],
    "serve": ["r"],
    "sign": ["r"],
    "simulate": ["ucf-main", "--out", "o"],
    "teach": ["r"],
    "tune": ["s", "--out", "o", "--trials", "3"],
    "verify": ["r"],
}


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_the_flags_of_a_command_are_those_of_its_help(name, capsys):
    from ezav.cli.arguments import read_arguments
    from ezav.cli.flags import flags_of

    command = read_arguments(name, COMPLETE[name])
    assert command is not None
    sub = COMPLETE[name][:1] if name in {"classes", "encoders", "features", "import"} else []
    method = COMPLETE[name][:2] if name == "run" else []
    assert read_arguments(name, [*sub, *method, "--help"]) is None
    shown = capsys.readouterr().out
    listed = set(re.findall(r"^(?:│ |  )(--[a-z][\w.-]*)", shown, re.MULTILINE))
    assert listed == {flag for flag in flags_of(command).values() if flag.startswith("--")}


@pytest.mark.parametrize(
    ("said", "flag"),
    [
        ("`out`", "--out"),
        ("`run`", "RUN"),
        ("`classes=('a dog', 'rain')`", "--classes 'a dog' rain"),
        ("`store=STORE`", "--store STORE"),
        ("`class_file`", "--class-file"),
        ("`json=False`", "--no-json"),
        ("`clips`, `package.module:Class`", "--clips, `package.module:Class`"),
        ("`retry=True`", "`retry=True`"),
    ],
)
def test_arguments_in_the_words_of_export(said, flag):
    from ezav.cli.arguments import read_arguments
    from ezav.cli.flags import flags_of, in_flags

    assert in_flags(said, flags_of(read_arguments("export", COMPLETE["export"]))) == flag


def test_what_is_switched_on_by_default_is_switched_off_by_its_flag():
    from ezav.cli.arguments import read_arguments
    from ezav.cli.flags import flags_of, in_flags

    flags = flags_of(read_arguments("run", COMPLETE["run"]))
    said = "`config.learned_query=False`, `config.classes.alpha=0.5`, `training.batches_per_epoch`"
    wanted = "--config.no-learned-query, --config.classes.alpha 0.5, --training.batches-per-epoch"
    assert in_flags(said, flags) == wanted


def test_a_result_says_its_status(monkeypatch, capsys):
    @dataclass(frozen=True)
    class Found:
        out: Path
        status: int

    @dataclass(kw_only=True)
    class Works(Command):
        def run(self):
            return Found(Path("a"), 1)

    monkeypatch.setattr("ezav.cli.main.read_arguments", lambda name, rest: Works(json=True))
    assert main(["features"]) == 1
    assert json.loads(capsys.readouterr().out) == {"out": "a", "status": 1}


def test_a_reader_that_stops_reading_is_no_mistake():
    import subprocess
    import sys

    code = "import sys; from ezav.cli.main import main; sys.exit(main(['methods', '--json']))"
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([sys.executable, "-c", code], stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert done.stderr == b""
