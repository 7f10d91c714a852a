"""The worked example of docs/tutorials/own-method.md runs as it stands, under the protocol."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from ezav.cli.main import main
from ezav.errors import EzavError, RefusedError
from ezav.methods import registry
from ezav.methods.common.config_check import parse
from ezav.protocol import read_model
from tests import worlds

DOC = Path(__file__).parents[2] / "docs" / "tutorials" / "own-method.md"


def test_the_documented_method_runs_from_the_command_line(tmp_path, monkeypatch, capsys):
    (code,) = re.findall(r"```python\n(.*?)```", DOC.read_text(), re.DOTALL)
    assert len(code.splitlines()) <= 40
    (tmp_path / "my_methods.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    worlds.store(tmp_path / "store")
    name, run = "my_methods:LinearToText", tmp_path / "run"
    options = ["--config.temperature", "0.1", "--training.epochs", "40", "--json"]
    assert main(["run", name, str(tmp_path / "store"), "--out", str(run), *options]) == 0
    (result,) = json.loads(capsys.readouterr().out)["runs"]
    assert result["config"] == {"temperature": 0.1}
    assert result["metrics"]["ZSL"] > result["chance"]["ZSL"]
    with pytest.raises(RefusedError, match="'my_methods:LinearToText' is code that a file names"):
        read_model(run)  # a run folder alone never makes ezav import code, or call it
    monkeypatch.delitem(sys.modules, "my_methods")
    read_model(run, import_code=True)
    assert "my_methods" in sys.modules


def test_what_is_no_method_is_refused_in_words():
    with pytest.raises(EzavError, match="cannot import the method"):
        registry.get("no_such_module:Thing", import_code=True)
    with pytest.raises(EzavError, match="not a subclass"):
        registry.get("json:JSONDecoder", import_code=True)
    with pytest.raises(EzavError, match="did you mean 'ez_avgzl'"):
        registry.get("ez_avgzi")


@dataclass(frozen=True, kw_only=True)
class Head:
    width: int = 4


@dataclass(frozen=True, kw_only=True)
class OwnConfig:
    head: Head = Head()
    second: Head | None = None
    either: Head | dict[str, int] | None = None


@pytest.mark.parametrize("field", ["head", "second"])
def test_a_misspelt_name_inside_a_nested_config_is_refused(field):
    with pytest.raises(EzavError, match=f"config.{field} has no field 'widht'; it has: width"):
        parse(OwnConfig, {field: {"widht": 9}}, "config")
    assert getattr(parse(OwnConfig, {field: {"width": 9}}, "config"), field) == Head(width=9)


def test_a_field_that_need_not_be_a_config_holds_what_it_may():
    assert parse(OwnConfig, {"second": None, "either": {"any": 1}}, "config").either == {"any": 1}
