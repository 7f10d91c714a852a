"""The reference is whole: every option, every public name; and the pages hold one spelling."""

from __future__ import annotations

import re
from pathlib import Path

import griffe
import pytest
from docs.hooks import public_packages

from docs import commands, counts
from tests.docs.blocks import ROOT


@pytest.fixture(scope="module")
def options() -> list[tuple[str, commands.Option]]:
    return counts.options()


def test_every_option_is_explained_by_sentences(
    options: list[tuple[str, commands.Option]],
) -> None:
    assert len(options) > 600
    wrong = counts.unexplained(options)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "text", ["The folder for runs.", "How many seeds are run.", "Write runs here", "Write.", ""]
)
def test_no_phrase_counts_as_a_sentence(text: str) -> None:
    option = commands.Option(("--out",), "PATH", text, "", "")
    assert counts.unexplained([("ezav run", option)])


def test_the_pages_of_commands_name_every_option(
    options: list[tuple[str, commands.Option]],
) -> None:
    page = commands.command_line_page() + commands.method_settings_page()
    missing = [one.names[0] for _, one in options if f"`{one.names[0]}`" not in page]
    assert not missing


@pytest.fixture(scope="module")
def packages() -> griffe.GriffeLoader:
    return counts.loaded()


@pytest.mark.parametrize("package", public_packages())
def test_every_public_name_has_a_docstring(package: str, packages: griffe.GriffeLoader) -> None:
    names = dict(counts.public_names(package, packages))
    assert names
    without = [name for name, explained in names.items() if not explained]
    assert not without, f"{package}: {without}"


AMERICAN = set(
    re.findall(
        r"\w+",
        """recognize recognizes recognized behavior color colors colored neighbor neighbors favor
        center centered analyze optimize optimized optimizes normalize normalized labeled modeled
        license gray
        catalog practise""",
    )
)
"""Words that prose here spells in the British way (names in code and the paper's are American)."""
PROSE = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]


@pytest.mark.parametrize("page", PROSE, ids=[str(p.relative_to(ROOT)) for p in PROSE])
def test_prose_is_british(page: Path) -> None:
    text = re.sub(r"```.*?```|`[^`]*`|\]\([^)]*\)|<!--.*?-->", " ", page.read_text(), flags=re.S)
    found = sorted(set(re.findall(r"[a-z]+", text.lower())) & AMERICAN)
    assert not found
