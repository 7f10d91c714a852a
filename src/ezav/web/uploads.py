"""Visitors' files, each for as long as it is read."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

_ENDING = re.compile(r"\.[A-Za-z0-9]{1,8}\Z")


@asynccontextmanager
async def arrived(pieces: AsyncIterator[bytes], folder: Path, called: str) -> AsyncIterator[Path]:
    """The body of a request as a file of ours, for as long as the block runs.

    Args:
        called: by the visitor. No path here: only a plain ending of it is kept.
    """
    ending = _ENDING.search(called)
    suffix = ending.group() if ending else ""
    handle, name = tempfile.mkstemp(dir=folder, prefix="upload-", suffix=suffix)
    try:
        with os.fdopen(handle, "wb") as file:
            async for piece in pieces:
                file.write(piece)
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)
