"""Which clips there are: class folders, or a CSV manifest."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ezav.csv_rows import csv_rows
from ezav.errors import EzavError, NotFoundError
from ezav.features.sources import joined
from ezav.features.splits import SPLITS
from ezav.naming import clean, refuse_twins

# Files that lie beside recordings and are none, by their extension; also those of a store or a run
# that was written among the videos, which would become a class.
SIDECARS = """
    7z ass bib bmp bz2 cfg csv db doc docx gz h5 hdf5 htm html info ini journal jpeg jpg json jsonl
    lnk log md nfo npy npz parquet part pdf pkl png pt pth py rar safetensors sha256 srt ssa sub tar
    tif tiff tmp tsv txt url vtt webp xls xlsx xml yaml yml zip
"""
_COLUMNS = ("path", "class", "split")
_NEEDED = 2
"""Of these columns, the first so many."""


@dataclass(frozen=True, slots=True)
class Item:
    """A clip to be extracted.

    Attributes:
        clip: its name in the store, the path relative to the folder or manifest, with `/`.
        path: where the file is.
        class_name: its class.
        split: as the manifest says, or None.
        source: what it was cut from, as the manifest's columns for groups say; else empty.
    """

    clip: str
    path: Path
    class_name: str
    split: str | None = None
    source: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """All clips, sorted by name.

    Attributes:
        items: the clips.
        name: what the collection is called: the folder, or the manifest's folder.
        passed_over: extension -> number of files that are no recordings by their names.
        empty: class folders without a recording; they make no class.
    """

    items: tuple[Item, ...]
    name: str
    passed_over: dict[str, int]
    empty: tuple[str, ...] = ()

    @property
    def sources(self) -> dict[str, str]:
        """Clip -> what it was cut from, of the clips of which that is known."""
        return {item.clip: item.source for item in self.items if item.source}

    @property
    def classes(self) -> tuple[str, ...]:
        """All class names, sorted."""
        return tuple(sorted({item.class_name for item in self.items}))


def list_videos(
    videos: str | os.PathLike[str], *, allow_outside: bool = False, groups: Sequence[str] = ()
) -> Listing:
    """The clips of `videos`: a folder `<class name>/*`, or a CSV file `path,class[,split]`.

    In a folder every file counts that is not hidden and not of a kind that lies beside recordings
    (`.txt`, `.jpg`, …); folders within a class folder are looked through too. Paths of a manifest
    are relative to it.

    Args:
        videos: the folder or the CSV file.
        allow_outside: accept manifest paths that are absolute or lead out of its folder.
        groups: the manifest's columns whose values together name what a clip was cut from.

    Raises:
        EzavError: nothing there, no class folders, an empty class name, a clip listed twice, two
            names of what must be one class, an unknown split, a split for some clips only.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for file in ("dog/a.mp4", "dog/notes.txt", "cat/deep/b.mkv"):
        ...         Path(folder, file).parent.mkdir(parents=True, exist_ok=True)
        ...         Path(folder, file).touch()
        ...     found = list_videos(folder)
        >>> [(one.clip, one.class_name) for one in found.items], found.passed_over
        ([('cat/deep/b.mkv', 'cat'), ('dog/a.mp4', 'dog')], {'.txt': 1})
    """
    path = Path(videos)
    if path.is_dir() and groups:
        raise EzavError(
            f"'{path}' is a folder: it has no column '{groups[0]}' that would group clips",
            "give a CSV file path,class and that column",
        )
    if path.is_dir():
        listing = _from_folder(path)
    elif path.is_file():
        if _like_recording(path):
            raise EzavError(
                f"'{path}' is one recording, not a collection of labelled ones",
                "give a folder with one folder a class; 'ezav predict' names what is in one clip",
            )
        listing = _from_manifest(path, allow_outside, groups)
    else:
        raise NotFoundError(
            f"there is no folder or manifest '{path}'",
            "give a folder with one folder a class, or a CSV file path,class[,split]",
        )
    refuse_twins(listing.classes)
    return listing


def recordings(folder: str | os.PathLike[str]) -> list[Path]:
    """The files of a folder and of those in it, but hidden ones and kinds that lie beside videos.

    Sorted by path; what they hold shows when they are read.
    """
    sidecars = set(SIDECARS.split())
    return [file for file in _files(Path(folder)) if file.suffix.lower()[1:] not in sidecars]


def _from_folder(root: Path) -> Listing:
    folders = [entry for entry in sorted(root.iterdir()) if entry.is_dir() and not _hidden(entry)]
    if not folders:
        raise EzavError(
            f"'{root}' has no class folders", "put the clips into <class name>/, one folder a class"
        )
    items: list[Item] = []
    sidecars = set(SIDECARS.split())
    passed_over: Counter[str] = Counter()
    empty: list[str] = []
    for folder in folders:
        before = len(items)
        if (shown := in_utf8(folder.name)) != folder.name:
            raise EzavError(f"the name of the class folder '{shown}' is not in UTF-8", "rename it")
        class_name = _class_name(folder.name, f"the folder '{folder}'")
        for file in _files(folder):
            extension = file.suffix.lower()
            if extension[1:] in sidecars:
                passed_over[extension] += 1
            else:
                items.append(Item(in_utf8(file.relative_to(root).as_posix()), file, class_name))
        if len(items) == before:
            empty.append(class_name)
    if not items:
        raise EzavError(f"the class folders of '{root}' hold no clips", "put recordings into them")
    items.sort(key=lambda item: item.clip)
    return Listing(tuple(items), in_utf8(root.resolve().name), dict(passed_over), tuple(empty))


def _files(folder: Path) -> Iterable[Path]:
    for entry in sorted(folder.iterdir()):
        if _hidden(entry):
            continue
        # A folder that is called like a recording is listed, so that it is reported as one.
        if entry.is_dir() and not entry.is_symlink() and not _like_recording(entry):
            yield from _files(entry)
        else:
            yield entry


def in_utf8(name: str) -> str:
    """A file's name as text; bytes that are no UTF-8 are written out as `\\xff`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _hidden(path: Path) -> bool:
    return path.name.startswith(".") or path.name in {"Thumbs.db", "desktop.ini", "__MACOSX"}


def _like_recording(path: Path) -> bool:
    return path.suffix.lower() in {".mp4", ".mkv", ".webm", ".avi", ".mov", ".wav", ".mp3", ".m4a"}


def _from_manifest(manifest: Path, allow_outside: bool, groups: Sequence[str]) -> Listing:
    items: list[Item] = []
    named = [clean(name).lower() for name in groups]
    needed = tuple(dict.fromkeys((*_COLUMNS[:_NEEDED], *named)))
    columns = tuple(dict.fromkeys((*needed, *_COLUMNS)))
    for line, row in csv_rows(manifest, columns, len(needed)):
        where = f"line {line} of '{manifest}'"
        clip = inside(row["path"], where, allow_outside)
        split = row.get("split", "").strip() or None
        if split is not None and split not in SPLITS:
            raise EzavError(
                f"{where} has the unknown split '{split}'", f"the splits are {', '.join(SPLITS)}"
            )
        class_name, source = _class_name(row["class"], where), joined([row[n] for n in named])
        items.append(Item(clip, manifest.parent / clip, class_name, split, source))
    if not items:
        raise EzavError(f"the manifest '{manifest}' lists no clips")
    counts = Counter(item.clip for item in items)
    if twice := [clip for clip, count in counts.items() if count > 1]:
        raise EzavError(f"'{manifest}' lists '{twice[0]}' {counts[twice[0]]} times", "list it once")
    without = [item.clip for item in items if item.split is None]
    if without and len(without) < len(items):
        raise EzavError(
            f"'{manifest}' gives '{without[0]}' no split ({len(without)} of {len(items)} clips)",
            "give every clip a split, or none and let them be drawn",
        )
    items.sort(key=lambda item: item.clip)
    return Listing(tuple(items), in_utf8(manifest.resolve().parent.name), {})


def inside(text: str, where: str, allow_outside: bool) -> str:
    """A manifest's path with `/`, normalised.

    Raises:
        EzavError: it is empty, no path, or leads out of the manifest's folder.

    Example:
        >>> inside(" dog//a.mp4", "line 2", allow_outside=False)
        'dog/a.mp4'
    """
    text = text.strip("\ufeff \t\r\n")
    if not text:
        raise EzavError(f"{where} has an empty path")
    if "\0" in text:
        raise EzavError(f"{where} has a path that no file can have, with a zero byte in it")
    path = PurePosixPath(os.path.normpath(text))
    if (path.is_absolute() or path.parts[:1] == ("..",)) and not allow_outside:
        raise EzavError(
            f"{where} leads out of the manifest's folder: '{text}'",
            "move the manifest above the clips, or allow it with `allow_outside=True`",
        )
    return str(path)


def _class_name(text: str, where: str) -> str:
    name = clean(text)
    if not name:
        raise EzavError(f"{where} has an empty class name", "name the class")
    return name
