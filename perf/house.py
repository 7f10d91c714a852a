"""How a checkout is built: long functions, Any, strict types, executed examples, upward imports.

    python perf/house.py [CHECKOUT] [--names]

Counts, with `--names` also what is behind them. Public functions are those without an underscore in
the packages that docs/reference/python.md calls public (all packages, where there is no such page).
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parents[1]
sys.path.insert(0, str(HERE))

from tests.test_rooms import DOORS, arrows, climbing, modules, room_of, rooms  # noqa: E402

LONG, MANY = 60, 15
Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, Function]]:
    """Every function with its qualified name, those in classes and in functions too."""
    for node in ast.iter_child_nodes(tree):
        name = f"{prefix}{getattr(node, 'name', '')}"
        if isinstance(node, Function):
            yield name, node
        inside = isinstance(node, Function | ast.ClassDef)
        yield from functions(node, f"{name}." if inside else prefix)


def parameters(function: Function) -> int:
    """How many parameters it names, `self` too."""
    a = function.args
    return len([*a.posonlyargs, *a.args, *a.kwonlyargs])


def is_stub(function: Function) -> bool:
    """It only says a type: one of the `@overload`s of another function."""
    return any(isinstance(d, ast.Name) and d.id == "overload" for d in function.decorator_list)


def has_example(function: Function) -> bool:
    """Its docstring has a line that doctest runs."""
    text = ast.get_docstring(function) or ""
    return any("+SKIP" not in line for line in re.findall(r"^\s*>>> .*$", text, re.MULTILINE))


def public_packages(checkout: Path) -> list[str] | None:
    """The packages of the page's table; None without the page."""
    page = checkout / "docs" / "reference" / "python.md"
    if not page.is_file():
        return None
    return re.findall(r"^\| `(ezav[\w.]*)` \|", page.read_text(encoding="utf-8"), re.MULTILINE)


def is_public(module: str, packages: list[str] | None) -> bool:
    """In a public package, no part of its name underscored."""
    if any(part.startswith("_") for part in module.split(".")):
        return False
    if packages is None:
        return True
    inside = (module == one or module.startswith(f"{one}.") for one in packages if one != "ezav")
    return module == "ezav" or any(inside)


def strict_errors(checkout: Path) -> list[str]:
    """What `mypy --strict` says of `src`."""
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-incremental", "src"],
        cwd=checkout,
        env=os.environ | {"MYPYPATH": str(checkout / "src")},
        capture_output=True,
        text=True,
    )
    return [line for line in done.stdout.splitlines() if ": error:" in line]


def upward(checkout: Path) -> list[str]:
    """Imports of a room below, by the checkout's own table; what it lacks lies on the ground."""
    found = arrows(checkout / "src" / "ezav")
    ground = {room_of(end) for arrow in found for end in arrow} - DOORS
    floors = dict.fromkeys(ground, -1) | rooms(checkout)
    between = {(a, b) for a, b in found if floors.get(room_of(b), -1) >= 0 or room_of(b) in DOORS}
    return [f"{a} -> {b}" for a, b in sorted(climbing(between, floors))]


def measure(checkout: Path) -> dict[str, list[str] | int]:
    """Row -> what was found, or how many."""
    packages = public_packages(checkout)
    known = modules(checkout / "src" / "ezav")
    long, many, shown, bare, mentions, lines = [], [], [], [], 0, 0
    for module, path in known.items():
        text = path.read_text(encoding="utf-8")
        lines += text.count("\n")
        used = re.sub(r"^\s*from typing import .*$", "", text, flags=re.MULTILINE)
        mentions += len(re.findall(r"\bAny\b", used))
        tree = ast.parse(text)
        for name, function in functions(tree):
            length = (function.end_lineno or 0) - function.lineno + 1
            if length > LONG:
                long.append(f"{length:3} {module}.{name}")
            if parameters(function) >= MANY:
                many.append(f"{parameters(function)} {module}.{name}")
        if is_public(module, packages):
            own = [n for n in tree.body if isinstance(n, Function) and n.name[0] != "_"]
            for function in (n for n in own if not is_stub(n)):
                (shown if has_example(function) else bare).append(f"{module}.{function.name}")
    private = [m for m in known if any(part.startswith("_") for part in m.split(".")[1:-1])]
    private += [m for m in known if re.match(r"_[a-z]", m.split(".")[-1])]
    return {
        f"functions over {LONG} lines": sorted(long, reverse=True),
        f"functions with {MANY} parameters or more": sorted(many, reverse=True),
        "mentions of Any": mentions,
        "errors of mypy --strict": strict_errors(checkout),
        "modules": len(known),
        "of them private": sorted(set(private)),
        "modules in public packages": len([m for m in known if is_public(m, packages)]),
        "public functions": len(shown) + len(bare),
        "of them with an executed example": len(shown),
        "of them without": bare,
        "upward imports": upward(checkout),
        "lines of src": lines,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkout", nargs="?", type=Path, default=HERE)
    parser.add_argument("--names", action="store_true", help="list what was counted")
    options = parser.parse_args()
    for row, found in measure(options.checkout.resolve()).items():
        print(f"{found if isinstance(found, int) else len(found):7,}  {row}")
        if options.names and not isinstance(found, int):
            print("".join(f"           {line}\n" for line in found), end="")


if __name__ == "__main__":
    main()
