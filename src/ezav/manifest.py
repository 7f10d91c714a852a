"""Digests of the files of a folder: what was changed after it was written is noticed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path, PurePosixPath

from ezav.errors import DamagedError
from ezav.safe_io import cannot_read, write_text
from ezav.small_files import parse_json, read_small

MANIFEST = "manifest.json"
SIGNATURE = "manifest.sig"
"""Over the manifest, where there is one (:mod:`ezav.signing`)."""
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


def files_in(folder: Path) -> Iterator[str]:
    """What lies in a folder and in those in it, but hidden files, manifest and signature.

    A link to a folder is named and not gone into: it is no file that could be read.

    Example:
        >>> list(files_in(Path("no/such/folder")))
        []
    """
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        links = [name for name in folders if os.path.islink(os.path.join(root, name))]
        for name in sorted([*files, *links]):
            path = (Path(root) / name).relative_to(folder).as_posix()
            if not name.startswith(".") and path not in (MANIFEST, SIGNATURE):
                yield path


def write_manifest(folder: Path, names: Collection[str] | None = None) -> None:
    """Write `manifest.json`: the digest of every other file that lies in a folder.

    A signature over an earlier one goes.

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
    found = files_in(folder) if names is None else [n for n in names if (folder / n).is_file()]
    files = {name: digest(folder / name) for name in sorted(found) if name != MANIFEST}
    text = json.dumps({"version": _VERSION, "sha256": files}, indent=2)
    write_text(folder / MANIFEST, text + "\n")
    (folder / SIGNATURE).unlink(missing_ok=True)


def read_manifest(folder: Path) -> dict[str, str] | None:
    """File -> SHA-256; None for a folder of before there were manifests.

    Raises:
        DamagedError: the manifest is not one.
    """
    path = folder / MANIFEST
    return parse_manifest(read_small(path), path) if path.is_file() else None


def parse_manifest(text: bytes, path: Path) -> dict[str, str]:
    """File -> SHA-256 of a manifest's text.

    Args:
        text: what is in it.
        path: where it lies, for messages.

    Raises:
        DamagedError: it is no manifest, or names a file beyond its folder.

    Example:
        >>> parse_manifest(b'{"version": 1, "sha256": {"../a": "00"}}', Path("manifest.json"))
        Traceback (most recent call last):
        ezav.errors.DamagedError: 'manifest.json' is no manifest of this version
    """
    try:
        data = parse_json(text)
        files = data["sha256"] if isinstance(data, dict) and data["version"] == _VERSION else None
    except (ValueError, KeyError) as error:
        raise DamagedError(f"'{path}' is damaged: {error}") from error
    if not isinstance(files, dict) or not all(
        isinstance(one, str) and not _beyond(name) for name, one in files.items()
    ):
        raise DamagedError(f"'{path}' is no manifest of this version")
    return files


def _beyond(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return not parts or name.startswith("/") or ".." in parts or "\0" in name


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
