"""Wheel and sdist hold what they need, and nothing else."""

from __future__ import annotations

import re
import tarfile
import zipfile
from email import message_from_bytes
from pathlib import Path

import ezav
from tests.release.building import ROOT, TOP, Built

SRC = ROOT / "src"
KINDS = {".py", ".typed", ".yaml", ".md", ".txt", ".html", ".css", ".js"}


def of_the_package() -> set[str]:
    """Files that are needed, relative to `src`, found without setuptools."""
    return {
        path.relative_to(SRC).as_posix()
        for path in (SRC / "ezav").rglob("*")
        if path.is_file() and not {"__pycache__", ".mypy_cache"} & set(path.parts)
    }


def test_the_package_holds_known_kinds_of_files() -> None:
    assert {Path(name).suffix for name in of_the_package()} == KINDS


def test_a_wheel_holds_the_package_and_its_licences(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as wheel:
        names = set(wheel.namelist())
    about = f"ezav-{built.version}.dist-info"
    inside = {name for name in names if not name.startswith(f"{about}/")}
    assert inside == of_the_package()
    assert {name.removeprefix(f"{about}/") for name in names - inside} == {
        *("METADATA", "WHEEL", "RECORD", "entry_points.txt", "top_level.txt"),
        *("licenses/LICENSE", "licenses/LICENSES/labels.txt"),
    }


def test_an_sdist_holds_the_package_and_what_builds_it(built: Built) -> None:
    with tarfile.open(built.sdist) as sdist:
        names = {one.name.partition("/")[2] for one in sdist.getmembers() if one.isfile()}
    names = {name for name in names if ".egg-info/" not in name}
    top = {
        path.relative_to(ROOT).as_posix()
        for name in TOP
        for path in ([ROOT / name] if (ROOT / name).is_file() else (ROOT / name).iterdir())
    }
    assert names == {f"src/{name}" for name in of_the_package()} | top | {"PKG-INFO", "setup.cfg"}


def test_the_metadata_say_version_licences_and_python(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as wheel:
        told = message_from_bytes(wheel.read(f"ezav-{built.version}.dist-info/METADATA"))
    assert told["Version"] == ezav.__version__ == built.version
    assert told["Requires-Python"] == ">=3.11"
    assert told["License-Expression"].startswith("MIT AND")
    assert "Programming Language :: Python :: 3.13" in told.get_all("Classifier", [])


def test_every_list_of_others_has_its_licence() -> None:
    labels = SRC / "ezav" / "encoders" / "labels"
    licences = (ROOT / "LICENSES" / "labels.txt").read_text(encoding="utf-8")
    lists = {path.name for path in labels.glob("*.txt")}
    assert set(re.findall(r"^(\S+\.txt)$", licences, re.MULTILINE)) == lists


def test_version_is_said_alike_everywhere() -> None:
    cited = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"\nversion: {ezav.__version__}\n" in cited
    assert re.findall(r"^## (\S+)", changes, re.MULTILINE)[0] == ezav.__version__
