"""What readers of the guides have at hand: what the first tutorial leaves behind."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT, Reader, blocks_of, difference

FIRST = "docs/tutorials/first-recogniser.md"
SHOWN = ("text", "")


def pages() -> list[str]:
    """README, tutorials and guides, relative to the repository."""
    found = [ROOT / "README.md"]
    for part in ("tutorials", "guides", "concepts"):
        found += sorted((ROOT / "docs" / part).glob("*.md"))
    return [str(path.relative_to(ROOT)) for path in found]


def follow(page: str, folder: Path) -> list[str]:
    """Paste all blocks of a page in a folder; returns where the outputs differ."""
    reader, wrong, last = Reader(folder), [], ""
    for block in blocks_of((ROOT / page).read_text(encoding="utf-8")):
        shown = block.language in SHOWN and last and not block.not_compared
        if shown and (said := difference(block.text, reader.said)):
            wrong.append(f"{page}:{block.line}: {said}")
        last = "" if block.not_run or block.file else block.language
        last = last if last in {"sh", "python"} else ""
        if not block.not_run:
            reader.paste(block)
    return wrong


@contextmanager
def clean_imports(folder: Path) -> Iterator[None]:
    """Modules that a page wrote are found, and forgotten afterwards."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        patch.setenv("PYTHONPATH", f"{folder}:{ROOT / 'src'}")
        before = set(sys.modules)
        yield
        for name in set(sys.modules) - before:
            file = getattr(sys.modules[name], "__file__", None) or ""
            if file.startswith(str(folder)):
                del sys.modules[name]


KEPT = ("blue circle", "blue square sl", "green circle", "purple tri", "red diam", "yellow ci")
"""How the classes begin of which the pages name a clip, or which are left to train on."""


def furnish(folder: Path, world: Path) -> None:
    """Copy store, run and three clips of six classes into a reader's folder."""
    for name in ("store", "run"):
        shutil.copytree(world / name, folder / name)
    more = shutil.ignore_patterns("00[3-9].mp4")
    for clips in sorted((world / "clips").iterdir()):
        if clips.name.startswith(KEPT):
            shutil.copytree(clips, folder / "clips" / clips.name, ignore=more)
    for name, clip in zip(("rooster", "guitar", "helicopter"), sorted(folder.glob("clips/*/*"))):
        shutil.copy(clip, folder / f"{name}.mp4")
    (folder / "VIDEOS").symlink_to("clips")
