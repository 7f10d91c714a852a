"""Taking hold of a store's folder for writing: one writer, one description."""

from __future__ import annotations

import os
from pathlib import Path

from ezav.errors import EzavError, RefusedError, UnavailableError
from ezav.features.header import EncoderInfo, Header, parse_header
from ezav.features.index import INDEX_FILE, check_header
from ezav.safe_io import open_for_writing, own_folder, write_text
from ezav.system import lock_file

HEADER_FILE = "header.json"
LOCK_FILE = ".writing.lock"
_DESCRIPTION = ("dataset", "setting", "simulated", "text_alignment", "encoders")
"""What must not change between two calls that write the same store."""


def lock(path: Path) -> int:
    """Make the folder and keep other writers out; the system lets go when the process ends."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        _refuse_foreign(path)  # before anything of ours is put there
        handle = open_for_writing(path / LOCK_FILE)
    except OSError as error:
        raise UnavailableError(f"cannot write the store '{path}': {error.strerror}") from error
    try:
        lock_file(handle)
    except BlockingIOError:
        os.close(handle)
        raise UnavailableError(
            f"another process is writing the store '{path}'",
            "wait for it, or write parts into stores of their own and merge them",
        ) from None
    return handle


def begin(path: Path, given: Header) -> None:
    """Write the header of a new store, or compare it with the one that is there.

    A store to which no clip was added yet is begun anew, with whatever header. What a kill left
    half-written beside it goes.

    Raises:
        EzavError: the folder holds a store with another description, or its header was changed.
    """
    header = path / HEADER_FILE
    if header.exists() and holds_clips(path):
        if (path / INDEX_FILE).is_file():
            check_header(path)
        check_same(parse_header(header.read_bytes(), header), given, path)
    else:
        write_text(header, given.model_dump_json(indent=2) + "\n")
    own_folder(path / "classes")
    for part in path.glob(".*.part"):
        part.unlink()


def holds_clips(path: Path) -> bool:
    """Whether anything was ever added to the store.

    Example:
        >>> holds_clips(store.path), holds_clips(store.path / "classes")
        (True, False)
    """
    written = (path / "shards").glob("[!.]*")  # what begins with a dot a kill left half-written
    return (path / INDEX_FILE).exists() or any(file.stat().st_size for file in written)


def _refuse_foreign(path: Path) -> None:
    names = {found.name for found in path.iterdir()}
    ours = (LOCK_FILE, f".{HEADER_FILE}.")  # a kill may leave an unfinished header
    foreign = {name for name in names if not name.startswith(ours)}
    if foreign and HEADER_FILE not in names:
        raise RefusedError(
            f"'{path}' is not empty and is no feature store", "give an empty or a new folder"
        )


def check_same(found: Header, given: Header, path: Path) -> None:
    """Raise unless two headers describe the same features; `path` is where `found` is.

    Example:
        >>> check_same(Header(dataset="UCF"), Header(dataset="VGGSound"), Path("store"))
        Traceback (most recent call last):
        ezav.errors.EzavError: the store 'store' has another dataset: 'UCF' there, ...
    """
    for field in _DESCRIPTION:
        before, now = getattr(found, field), getattr(given, field)
        if field == "encoders":  # class embeddings may be added later
            before, now = ([e for e in info if e.modality != "text"] for info in (before, now))
            before, now = _comparable(before, now), _comparable(now, before)
        if before != now:
            raise EzavError(
                f"the store '{path}' has another {field.rstrip('s')}: "
                f"{_brief(before)} there, {_brief(now)} now",
                "use the same settings, or another folder",
            )


def _comparable(mine: list[EncoderInfo], others: list[EncoderInfo]) -> list[EncoderInfo]:
    """Without identities where the other has none: stores of before are compared by revision."""
    told = {one.modality for one in others if one.identity}
    return [
        one if one.modality in told else one.model_copy(update={"identity": ""}) for one in mine
    ]


def _brief(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(
            " ".join(
                filter(None, (e.name, e.revision, e.options, f"({e.dimension}-d)", e.identity[:23]))
            )
            for e in value
        )
    return f"'{value}'"
