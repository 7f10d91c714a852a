"""The reference is whole: every option, every public name; and the pages hold one spelling."""

from __future__ import annotations

import re
from pathlib import Path

import griffe
import pytest
from docs.hooks import public_packages

from docs import commands
from ezav.methods import registry
from tests.docs.blocks import ROOT

OPTIONS = [
    (words, one) for words, _, parser in commands.parsers() for one in commands.options_of(parser)
] + [(name, one) for name in registry.names() for one in commands.method_options(name)]
SENTENCE = re.compile(r"[A-Z0-9\"'<`].*[.)]\Z", re.DOTALL)


def test_every_option_is_explained_by_sentences() -> None:
    assert len(OPTIONS) > 600
    wrong = [f"{words} {one.names[0]}: {one.help!r}" for words, one in OPTIONS if not one.help]
    wrong += [
        f"{words} {one.names[0]}: {one.help!r}"
        for words, one in OPTIONS
        if not SENTENCE.match(one.help) or len(one.help.split()) < 3
    ]
    assert not wrong, "\n".join(wrong)


def test_the_pages_of_commands_name_every_option() -> None:
    page = commands.command_line_page() + commands.method_settings_page()
    missing = [one.names[0] for _, one in OPTIONS if f"`{one.names[0]}`" not in page]
    assert not missing


@pytest.fixture(scope="module")
def packages() -> griffe.GriffeLoader:
    loader = griffe.GriffeLoader(search_paths=[ROOT / "src"])
    loader.load("ezav")
    loader.resolve_aliases(implicit=True)
    return loader


@pytest.mark.parametrize("package", public_packages())
def test_every_public_name_has_a_docstring(package: str, packages: griffe.GriffeLoader) -> None:
    module = packages.modules_collection[package]
    assert module.exports
    without = []
    for name in sorted(str(one) for one in module.exports):
        found = module.all_members[name]
        if found.is_module:
            continue
        if found.docstring is None:
            without.append(name)
        if found.is_class:
            without += [
                f"{name}.{method}"
                for method, one in found.members.items()
                if one.is_function and not method.startswith("_") and _bare(found, method)
            ]
    assert not without, f"{package}: {without}"


def _bare(owner: griffe.Object | griffe.Alias, method: str) -> bool:
    """Neither the method nor one that it replaces says what it does."""
    kin = [owner, *owner.mro()]
    return all(one.members[method].docstring is None for one in kin if method in one.members)


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
