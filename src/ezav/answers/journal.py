"""What has been answered, beside the table: a killed call goes on, a second one does nothing."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ezav.closing import Closing
from ezav.errors import DamagedError, RefusedError, UnavailableError
from ezav.naming import shown
from ezav.safe_io import open_for_writing, write_whole
from ezav.small_files import parse_json
from ezav.system import lock_file


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One file, answered.

    Attributes:
        file: relative to the journal's folder, with `/`.
        stamp: size and time of change of the file when it was read; a file that differs is read
            again.
        rows: the columns of its answers but `file` and `correct`, one a list of names.
        pictures: of the clip, as data URIs; None where they were not asked for.
    """

    file: str
    stamp: tuple[int, int]
    rows: tuple[dict[str, Any], ...]
    pictures: tuple[str, ...] | None = None

    @property
    def unread(self) -> bool:
        """It could not be read."""
        return any(row["error"] for row in self.rows)


def stamp_of(path: Path) -> tuple[int, int]:
    """Size in bytes and time of change in nanoseconds; zeros where there is no such file.

    Example:
        >>> stamp_of(Path("no/such/file"))
        (0, 0)
    """
    try:
        found = path.stat()
    except (OSError, ValueError):
        return 0, 0
    return found.st_size, found.st_mtime_ns


@dataclass
class Journal(Closing):
    """Entries appended line by line; a line cut short by a kill is dropped.

    Args:
        path: the file; it is kept from other processes until :meth:`close`.
        made_of: what the answers depend on: entries of other names, or of another recogniser, are
            dropped.
        what: it is a journal of.
        instead: what to do where it cannot be used.
        drop: entries of something else are dropped; False: they are refused.

    Raises:
        DamagedError: another file is there.
        RefusedError: it is of something else, and not to be dropped.
        UnavailableError: it cannot be written, or another process is writing it.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with Journal(Path(folder, "a.journal"), "one list") as journal:
        ...         journal.append([Entry(file="a.mp4", stamp=(1, 2), rows=())])
        ...     with Journal(Path(folder, "a.journal"), "one list") as journal:
        ...         print(list(journal.entries), journal.begun_anew)
        ...     with Journal(Path(folder, "a.journal"), "another") as journal:
        ...         print(list(journal.entries), journal.begun_anew)
        ['a.mp4'] False
        [] True
    """

    path: Path
    made_of: str
    what: str = "answers"
    instead: str = "name another `out`"
    drop: bool = True
    entries: dict[str, Entry] = field(default_factory=dict, init=False)
    written: dict[str, str] = field(default_factory=dict, init=False)
    """Table -> a digest of what was last written there."""
    begun_anew: bool = field(default=False, init=False)
    """There were answers of something else."""

    def __post_init__(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._handle = open_for_writing(self.path)
        except OSError as error:
            raise UnavailableError(f"cannot write '{self.path}': {error.strerror}") from error
        try:
            lock_file(self._handle)
            self._read()
        except BlockingIOError:
            os.close(self._handle)
            raise UnavailableError(
                f"another process is writing '{self.path}'", f"wait for it, or {self.instead}"
            ) from None
        except BaseException:
            os.close(self._handle)
            raise

    @property
    def _format(self) -> str:
        return f"ezav {self.what} 1"

    def _read(self) -> None:
        data = self.path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        lines = whole.splitlines()
        head = self._parsed(lines[0]) if lines else None
        if data and (not isinstance(head, dict) or head.get("format") != self._format):
            if whole:
                raise DamagedError(
                    f"'{self.path}' is no journal of {self.what}",
                    f"move it away, or {self.instead}",
                )
            head = None  # cut short in its first line
        if head is not None and head.get("made_of") == self.made_of:
            for line in lines[1:]:
                self._take(self._parsed(line))
            self._cut(len(whole))
            return
        self.begun_anew = head is not None
        if head is not None and not self.drop:
            theirs = shown(str(head.get("made_of")))
            raise RefusedError(f"'{self.path}' is of {theirs}, not of {self.made_of}", self.instead)
        self._cut(0)
        self._write([{"format": self._format, "made_of": self.made_of}])

    def _parsed(self, line: bytes) -> Any:
        try:
            return parse_json(line)
        except ValueError:
            return None

    def _take(self, one: Any) -> None:
        try:
            if "written" in one:
                self.written[str(one["written"])] = str(one["digest"])
                return
            pictures = one["pictures"]
            entry = Entry(
                file=str(one["file"]),
                stamp=(int(one["stamp"][0]), int(one["stamp"][1])),
                rows=tuple(dict(row) for row in one["rows"]),
                pictures=None if pictures is None else tuple(map(str, pictures)),
            )
        except (TypeError, LookupError, ValueError, OverflowError):
            return  # a damaged line: its file is read again
        self.entries[entry.file] = entry

    def _cut(self, size: int) -> None:
        os.ftruncate(self._handle, size)
        os.lseek(self._handle, size, os.SEEK_SET)

    def append(self, entries: list[Entry]) -> None:
        """Write entries; with the system when this returns.

        Raises:
            UnavailableError: the disk is full; the journal is as it was before.
        """
        self._write(
            [
                {
                    "file": one.file,
                    "stamp": list(one.stamp),
                    "rows": list(one.rows),
                    "pictures": None if one.pictures is None else list(one.pictures),
                }
                for one in entries
            ]
        )
        self.entries.update({one.file: one for one in entries})

    def note_written(self, table: str, digest: str) -> None:
        """A table holds what the digest is of; raises as :meth:`append`."""
        self._write([{"written": table, "digest": digest}])
        self.written[table] = digest

    def _write(self, lines: list[dict[str, Any]]) -> None:
        text = "".join(json.dumps(line) + "\n" for line in lines)
        try:
            write_whole(self._handle, text.encode("ascii"))
        except OSError as error:
            raise UnavailableError(
                f"cannot write '{self.path}': {error.strerror}",
                "what was answered is kept; free some space and give the same command again",
            ) from error

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._handle)
