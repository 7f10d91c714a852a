"""Every fenced command and Python block of the pages that people follow does what they show."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.blocks import ROOT, blocks_of
from tests.docs.world import FIRST, clean_imports, follow, furnish, pages

KNOWN = {"sh", "python", "text", "yaml", "csv", "nginx", "bibtex", ""}


def test_the_first_tutorial(first: tuple[Path, list[str]]) -> None:
    assert not first[1], "\n".join(first[1])


@pytest.mark.parametrize("page", [page for page in pages() if page != FIRST])
def test_a_page(page: str, first: tuple[Path, list[str]], tmp_path: Path) -> None:
    blocks = blocks_of((ROOT / page).read_text(encoding="utf-8"))
    if any(block.language in {"sh", "python"} and not block.not_run for block in blocks):
        furnish(tmp_path, first[0])
    with clean_imports(tmp_path):
        wrong = follow(page, tmp_path)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("page", pages())
def test_blocks_say_what_they_are(page: str) -> None:
    for block in blocks_of((ROOT / page).read_text(encoding="utf-8")):
        assert block.language in KNOWN, f"{page}:{block.line}: ```{block.language}"
        for why in filter(None, (block.not_run, block.not_compared)):
            assert len(why.split()) >= 3, f"{page}:{block.line}: why?"
