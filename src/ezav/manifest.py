"""Digests of the files of a folder: what was changed after it was written is noticed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path

from ezav.errors import DamagedError
from ezav.safe_io import cannot_read, parse_json, read_small, write_text

MANIFEST = "manifest.json"
_VERSION = 1


def digest(path: str | Path) -> str:
    """The SHA-256 of a file, in hexadecimal.

    Raises:
        EzavError: it cannot be read.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(f"{folder}/a").write_bytes(b"")
        ...     digest(f"{folder}/a")[:8]
        'e3b0c442'
    """
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise cannot_read(path, error) from error


def write_manifest(folder: Path, names: Collection[str] | None = None) -> None:
    """Write `manifest.json`: the digest of every other file that lies in a folder.

    Args:
        folder: where the files lie.
        names: of the files, where others may lie there too.

    Raises:
        EzavError: a file cannot be read, or the manifest not be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as name:
        ...     folder = Path(name)
        ...     _ = (folder / "a").write_text("text")
        ...     write_manifest(folder)
        ...     _ = (folder / "a").write_text("other")
        ...     differences(folder, read_manifest(folder))
        ["'a' is not what was written"]
    """
    files = {
        path.name: digest(path)
        for path in sorted(folder.iterdir())
        if path.is_file()
        and path.name != MANIFEST
        and (not path.name.startswith(".") if names is None else path.name in names)
    }
    text = json.dumps({"version": _VERSION, "sha256": files}, indent=2)
    write_text(folder / MANIFEST, text + "\n")


def read_manifest(folder: Path) -> dict[str, str] | None:
    """File -> SHA-256; None for a folder of before there were manifests.

    Raises:
        DamagedError: the manifest is not one.
    """
    path = folder / MANIFEST
    if not path.is_file():
        return None
    try:
        data = parse_json(read_small(path))
        files = data["sha256"] if isinstance(data, dict) and data["version"] == _VERSION else None
    except (ValueError, KeyError) as error:
        raise DamagedError(f"'{path}' is damaged: {error}") from error
    if not isinstance(files, dict) or not all(isinstance(one, str) for one in files.values()):
        raise DamagedError(f"'{path}' is no manifest of this version")
    return files


def differences(
    folder: Path, files: Mapping[str, str], only: Collection[str] | None = None
) -> list[str]:
    """What is not as a manifest says, a line a file; a file that is absent is none of it.

    Args:
        folder: where the files lie.
        files: file -> SHA-256.
        only: the files to look at; by default all. One of these that lies there but that the
            manifest does not name is a difference.

    Example:
        >>> differences(Path("no/such/folder"), {"a": "00"})
        []
    """
    found = []
    for name in sorted(files if only is None else only):
        path = folder / name
        if not path.is_file():
            continue
        if name not in files:
            found.append(f"'{name}' is not in the manifest")
        elif digest(path) != files[name]:
            found.append(f"'{name}' is not what was written")
    return found


def check(folder: Path, only: Collection[str]) -> None:
    """Refuse a folder in which one of some files is not what its manifest says.

    A folder without a manifest passes: versions of before wrote none.

    Raises:
        DamagedError: the first file that differs.

    Example:
        >>> check(Path("no/such/folder"), ("a",))
    """
    files = read_manifest(folder)
    if files is None:
        return
    if wrong := differences(folder, files, only):
        raise DamagedError(
            f"'{folder}' was changed after it was written: {wrong[0]}",
            f"get it again; if the change is yours and meant, remove its {MANIFEST}",
        )
