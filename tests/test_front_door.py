"""The public names: what type checkers see of them, and that they cost nothing until touched."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
from mypy import api

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference" / "python.md"
PUBLIC = tuple(
    re.findall(r"^\| `(ezav[a-z_.]*)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
)
LAZY = tuple(
    ".".join(path.relative_to(ROOT / "src").parent.parts)
    for path in sorted((ROOT / "src" / "ezav").rglob("__init__.py"))
    if "attach(" in path.read_text(encoding="utf-8")
)


def names_of(package: str) -> list[str]:
    return list(importlib.import_module(package).__all__)


WRONG = (
    "ezav.Recognizer.lod",
    "ezav.Recogniser",
    "ezav.FeatureStore.open('store').splitz",
    *(f"{package}.no_such_name" for package in PUBLIC[1:]),
)
CALLS = {
    "ezav.Recognizer.load('run')": "ezav.recognizer.recognizer.Recognizer",
    "ezav.Recognizer.load('run').predict('clip.mp4')[0].best": "prediction.Candidate",
    "ezav.FeatureStore.open('store').select('train')": "ezav.features.feature_set.FeatureSet",
    "ezav.encoders.load('text', 'minilm', import_code=False)": "ezav.encoders.base.TextEncoder",
    "ezav.methods.get('ez_avgzl')": "type[ezav.methods.base.Method]",
    "ezav.protocol.read_result('run').metrics.HM": "float",
}


def test_mypy_knows_every_public_name_and_what_calls_give(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MYPYPATH", str(ROOT / "src"))
    names = [f"{package}.{name}" for package in PUBLIC for name in names_of(package)]
    revealed = [*names, *CALLS]
    program = tmp_path / "program.py"
    lines = [*(f"import {p}" for p in PUBLIC), *(f"reveal_type({e})" for e in revealed), *WRONG]
    program.write_text("\n".join(lines))
    options = ["--no-error-summary", "--hide-error-context"]
    # The cache of `make types`: mypy reads again what has changed since, and nothing else.
    cache = ROOT / ".mypy_cache"
    settings = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(cache)]
    said, trouble, _ = api.run([*settings, *options, str(program)])
    assert not trouble
    notes = [line for line in said.splitlines() if ": note: Revealed type is " in line]
    assert len(notes) == len(revealed)
    types = dict(zip(revealed, (line.split('"', 1)[1].rsplit('"', 1)[0] for line in notes)))
    assert not [name for name in revealed if re.fullmatch(r"(def .*-> )?Any", types[name])]
    for call, type_ in CALLS.items():
        assert types[call].endswith(type_), (call, types[call])
    errors = [line for line in said.splitlines() if ": error: " in line]
    assert len(errors) == len(WRONG)
    assert all("has no attribute" in line for line in errors)


@pytest.mark.parametrize("package", LAZY)
def test_each_lazy_name_is_said_alike_to_python_and_to_type_checkers(package: str) -> None:
    module = importlib.import_module(package)
    tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
    (branch,) = [node for node in tree.body if isinstance(node, ast.If)]
    typed = {
        alias.name: node.module if node.module != package else f"{package}.{alias.name}"
        for node in branch.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    (call,) = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    assert ast.literal_eval(call.args[1]) == typed
    assert set(module.__all__) - {"__version__"} == set(typed)
    assert dir(module) == sorted(typed)
    for name, home in typed.items():
        found = importlib.import_module(str(home))
        assert getattr(module, name) is (
            found if home == f"{package}.{name}" else getattr(found, name)
        )


@pytest.mark.parametrize("package", LAZY)
def test_a_face_is_light(package: str) -> None:
    heavy = {"torch", "numpy", "transformers", "matplotlib", "pydantic", "av", "starlette"}
    code = f"import sys, {package}; print(*({heavy!r} & set(sys.modules)))"
    made = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert made.stdout.split() == []


def test_the_page_names_every_package_that_is_for_users() -> None:
    assert PUBLIC[0] == "ezav"
    assert set(LAZY) <= set(PUBLIC)
    for package in PUBLIC:
        assert names_of(package) == sorted(names_of(package))
        assert not [
            name for name in names_of(package) if name.startswith("_") and name != "__version__"
        ]
