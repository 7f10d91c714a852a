"""The rooms of docs/architecture.md hold: nothing imports a room below its own, and no circles.

Read with `ast`, so imports inside functions and under TYPE_CHECKING count like all others.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "ezav"

DOORS = {"__init__", "__main__"}
"""The package's own doors show what the rooms hold; the house asks them for the version only."""


def rooms(root: Path = ROOT) -> dict[str, int]:
    """Room -> its floor, 0 at the top, from the table of the architecture page."""
    page = (root / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`[^|]*`) \|", page, flags=re.MULTILINE)
    floors = {}
    for floor, cell in enumerate(rows):
        for name in re.findall(r"`([\w.]+)/?`", cell):
            floors[name.removesuffix(".py")] = floor
    return floors


def modules(package: Path = PACKAGE) -> dict[str, Path]:
    """Dotted name -> file, of every module of the package."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(name: str, path: Path, known: set[str]) -> Iterator[str]:
    """The modules of the house that a file imports; a name of a package is not told apart."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    asked = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "ezav"
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
            if asked <= {"__version__"}:
                names = [one for one in names if one != "ezav"]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = name if path.name == "__init__.py" else name.rpartition(".")[0]
                up = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*up, *([node.module] if node.module else [])])
            names = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        for one in names:
            while one and one not in known:
                one = one.rpartition(".")[0]
            if one:
                yield one


def room_of(module: str) -> str:
    """The folder, or the file on the ground, that a module of `ezav` lies in."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


@cache
def arrows(package: Path = PACKAGE) -> set[tuple[str, str]]:
    """(module, module it imports) between different rooms."""
    known = modules(package)
    return {
        (name, other)
        for name, path in known.items()
        for other in imports(name, path, set(known))
        if room_of(name) not in DOORS and room_of(name) != room_of(other)
    }


def climbing(found: set[tuple[str, str]], floors: dict[str, int]) -> set[tuple[str, str]]:
    """Those that import a room of their own floor or of a floor below it in the table."""
    return {
        (name, other)
        for name, other in found
        if room_of(other) in DOORS or floors[room_of(other)] >= floors[room_of(name)]
    }


def test_every_room_is_in_the_table_and_every_row_is_a_room() -> None:
    here = {room_of(name) for name in modules()} - DOORS
    assert here == set(rooms())


def test_no_room_imports_a_room_below_it() -> None:
    assert climbing(arrows(), rooms()) == set()


def test_rooms_make_no_circle() -> None:
    graph: dict[str, set[str]] = {}
    for name, other in arrows():
        graph.setdefault(room_of(name), set()).add(room_of(other))
    tuple(TopologicalSorter(graph).static_order())  # raises CycleError


@pytest.mark.parametrize(
    "line",
    [
        "from ezav.high.b import x",
        "import ezav.high.b",
        "from ezav.high import b",
        "from ..high import b",
        "from ..high.b import x as y",
        "def f():\n    from ezav.high import b",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ezav.high.b import x",
    ],
)
def test_an_upward_import_is_seen_in_every_form(tmp_path: Path, line: str) -> None:
    for room in ("high", "low"):
        (tmp_path / "ezav" / room).mkdir(parents=True)
        (tmp_path / "ezav" / room / "__init__.py").touch()
    (tmp_path / "ezav" / "__init__.py").touch()
    (tmp_path / "ezav" / "high" / "b.py").write_text("x = 1\n")
    (tmp_path / "ezav" / "low" / "a.py").write_text(line + "\n")
    found = arrows(tmp_path / "ezav")
    assert found == {("ezav.low.a", "ezav.high.b")}
    assert climbing(found, {"low": 0, "high": 1}) == found
    assert climbing(found, {"high": 0, "low": 1}) == set()
