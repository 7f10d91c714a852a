"""One reader of the first tutorial, whose clips, store and run the other pages use."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.world import FIRST, clean_imports, follow


@pytest.fixture(scope="session")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The folder in which the first tutorial was followed, and where its outputs differ."""
    folder = tmp_path_factory.mktemp("first")
    with clean_imports(folder):
        return folder, follow(FIRST, folder)
