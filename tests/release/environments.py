"""A fresh environment that has the wheel, and of other packages only those that it asks for.

The packages themselves are linked from the environment of the tests: what a distribution lists as
its files, for all that the wheel with some extras requires, and what those require. So a
requirement that is not declared is not there, as on a user's machine, without a download.
"""

from __future__ import annotations

import os
import subprocess
import venv
from email import message_from_bytes
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from zipfile import ZipFile

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.release.building import Built

WEIGHTS = ("aisfx",)
"""Brought by requirements-weights.txt, which `pip` installs beside the wheel."""


class Missing(Exception):
    """The environment of the tests lacks a package."""


def requirements(built: Built) -> list[Requirement]:
    """Of the wheel, as its metadata say."""
    with ZipFile(built.wheel) as wheel:
        told = message_from_bytes(wheel.read(f"ezav-{built.version}.dist-info/METADATA"))
    return [Requirement(one) for one in told.get_all("Requires-Dist", [])]


def extras_of(built: Built) -> set[str]:
    """All extras that the wheel offers."""
    with ZipFile(built.wheel) as wheel:
        told = message_from_bytes(wheel.read(f"ezav-{built.version}.dist-info/METADATA"))
    return set(told.get_all("Provides-Extra", []))


def _needed(wanted: list[Requirement], extra: str) -> dict[str, Distribution]:
    found: dict[str, Distribution] = {}
    asked: set[tuple[str, str]] = set()
    todo = [(one, extra) for one in wanted]
    while todo:
        one, of = todo.pop()
        if one.marker is not None and not one.marker.evaluate({"extra": of}):
            continue
        name = canonicalize_name(one.name)
        try:
            here = found.setdefault(name, distribution(name))
        except PackageNotFoundError:
            raise Missing(name) from None
        for more in ("", *sorted(one.extras)):
            if (name, more) not in asked:
                asked.add((name, more))
                todo += [(Requirement(text), more) for text in here.requires or []]
    return found


def fresh(built: Built, folder: Path, extra: str = "") -> Path:
    """Make the environment; returns its folder of programs.

    Raises:
        Missing: a package of the extra is not in the environment of the tests.
    """
    needed = _needed(requirements(built), extra)
    needed |= {name: distribution(name) for name in (*WEIGHTS, "pip")}
    venv.create(folder, with_pip=False)
    (site,) = folder.glob("lib/python*/site-packages")
    for one in needed.values():
        for top in {file.parts[0] for file in one.files or () if ".." not in file.parts}:
            link = site / top
            if not link.exists() and top != "__pycache__":
                link.symlink_to(Path(str(one.locate_file(top))).resolve())
    python = folder / "bin" / "python"
    command = [python, "-m", "pip", "install", "-q", "--no-deps", "--no-index", str(built.wheel)]
    subprocess.run(command, check=True, capture_output=True, env=_environment())
    return python.parent


def _environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}


def say(programs: Path, *arguments: str | Path, cwd: Path) -> tuple[int, str]:
    """Status and all output of `ezav ...` or `python ...` there."""
    done = subprocess.run(
        [programs / arguments[0], *arguments[1:]],
        cwd=cwd,
        env={**_environment(), "EZAV_CACHE": str(cwd / "cache"), "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.returncode, done.stdout
