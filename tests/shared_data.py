"""Where the data of tests lies: most of it beside them, large media and vectors elsewhere.

`tests/fixtures/` holds every output of the authors' code, the published class lists and the word
vectors. The rest, 16 MB of odd and of real media files and of CLIP and CLAP vectors, is looked for
under `EZAV_SHARED`, or in the folder `shared` beside the repository.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

FIXTURES = Path(__file__).parent / "fixtures"
AUTHORS = FIXTURES / "authors"
"""Outputs of the authors' own code; its README says how they were made."""

_ROOT = Path(os.environ.get("EZAV_SHARED", Path(__file__).resolve().parents[2] / "shared"))


def shared(*parts: str) -> Path:
    """The path of a shared file or folder; skips the calling test where it is absent."""
    path = _ROOT.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"real data absent: {'/'.join(parts)} (set EZAV_SHARED to its folder)")
    return path


def class_lists(dataset: str) -> Path:
    """The published `class-split` folder of "ucf", "vggsound" or "activitynet"."""
    folders = {"ucf": "UCF", "vggsound": "VGGSound", "activitynet": "ActivityNet"}
    return FIXTURES / "official" / folders[dataset] / "class-split"


def published_text(kind: str, name: str) -> Path:
    """A published file of text vectors: those of `word2vec` are here, CLIP's and CLAP's shared."""
    here = FIXTURES / "text" / kind / name
    return here if here.exists() else shared("data", "text", kind, name)
