"""Which files are meant by files, folders and manifests."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from ezav.csv_rows import csv_rows
from ezav.errors import EzavError, NotFoundError
from ezav.extraction.listing import inside, recordings

_TABLES = {".csv", ".tsv"}


def media_files(
    paths: Iterable[str | os.PathLike[str]], *, allow_outside: bool = False
) -> list[Path]:
    """The files themselves, the recordings inside of folders, and those that manifests list.

    In a folder every file counts, however deep, that is not hidden and not of a kind that lies
    beside recordings. A manifest is a CSV file with a column `path`, relative to it.

    Args:
        paths: files, folders, manifests (`.csv`, `.tsv`).
        allow_outside: accept manifest paths that are absolute or lead out of its folder.

    Returns:
        Paths as they were given, each file once, in order.

    Raises:
        EzavError: a folder or a manifest holds none, a manifest's path leads out of its folder.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Path(folder, "deep").mkdir()
        ...     for file in ("deep/a.mp4", "b.wav", "notes.txt"):
        ...         Path(folder, file).touch()
        ...     [one.name for one in media_files([folder])]
        ['b.wav', 'a.mp4']
    """
    found: dict[str, Path] = {}
    for given in paths:
        path = Path(given)
        if path.is_dir():
            some = recordings(path)
            if not some:
                raise EzavError(f"the folder '{path}' holds no recordings", "give another")
        elif path.suffix.lower() in _TABLES:
            some = _listed(path, allow_outside)
        else:
            some = [path]
        for one in some:
            found.setdefault(os.path.abspath(one), one)
    return list(found.values())


def _listed(manifest: Path, allow_outside: bool) -> list[Path]:
    if not manifest.is_file():
        raise NotFoundError(f"there is no manifest '{manifest}'", "give a CSV file with `path`")
    found = [
        manifest.parent / inside(row["path"], f"line {line} of '{manifest}'", allow_outside)
        for line, row in csv_rows(manifest, ("path",), 1)
    ]
    if not found:
        raise EzavError(f"the manifest '{manifest}' lists no clips")
    return found
