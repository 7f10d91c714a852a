"""The index of a folder of recordings: what was read, kept beside them, and read once."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

from ezav.answers.answer import OnFile
from ezav.answers.journal import Entry, Journal, stamp_of
from ezav.answers.media import media_files
from ezav.closing import Closing
from ezav.errors import EzavError, NotFoundError, UnavailableError
from ezav.extraction.blame import encoders_work
from ezav.extraction.encoded import EncodedClip
from ezav.extraction.look import Look
from ezav.extraction.pool import cpus
from ezav.library.windows import Windows, read_pictures, read_windows, write_windows
from ezav.recognizer import Recognizer
from ezav.safe_io import own_folder, refuse_links

FOLDER = ".ezav-library"
"""The index, inside of the folder of recordings; hidden, so that it is no recording."""
_PART = 256
"""Windows in a file of the index."""
_LOOK = Look(longest=600.0, count=2, short_side=72)
"""What is kept of a window for contact sheets: some kilobytes."""
_MOST_OVERLAP = 100
MOST = 1 << 38
"""Numbers of files; with those of their windows they fit 64 bits (:mod:`ezav.library.vectors`)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LibrarySettings:
    """How recordings are cut and read.

    Raises:
        EzavError: a value that makes no sense.
    """

    window: float = 2.0
    """Look for moments of so many seconds."""
    hop: float = 1.0
    """Move on by so many seconds from one moment to the next."""
    workers: int | None = None
    """Read in so many processes; by default one for each CPU."""
    retry: bool = False
    """Read again what could not be read earlier."""

    def __post_init__(self) -> None:
        if not 0.1 <= self.window <= 600:
            raise EzavError(f"a window of {self.window} s", "give 0.1 to 600 seconds")
        if not self.window / _MOST_OVERLAP <= self.hop <= self.window:
            raise EzavError(
                f"a hop of {self.hop} s with a window of {self.window} s",
                f"give {self.window / _MOST_OVERLAP:g} to {self.window:g} seconds",
            )
        if self.workers is not None and self.workers < 1:
            raise EzavError(f"workers must be at least 1, not {self.workers}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Recording:
    """What the index holds of a file.

    Attributes:
        file: relative to the folder, with `/`.
        number: its number in the index; one that has changed gets another.
        parts: files of the index that hold its windows.
        windows: how many there are.
        error: why it could not be read, or not to its end; empty where it was.
    """

    file: str
    number: int
    parts: int = 0
    windows: int = 0
    error: str = ""

    @classmethod
    def of(cls, entry: Entry) -> Recording | None:
        """What a line of the journal says; None for a file that has gone, or a line of nonsense."""
        number = number_of(entry)
        try:
            row = entry.rows[0]
            parts, windows, error = int(row["parts"]), int(row["windows"]), str(row["error"])
        except (LookupError, TypeError, ValueError, OverflowError):
            return None
        if not number:
            return None
        return cls(file=entry.file, number=number, parts=parts, windows=windows, error=error)


def number_of(entry: Entry) -> int:
    """The number of a file that is or was in the index; 0 where its line is nonsense.

    Example:
        >>> number_of(Entry(file="a.mp4", stamp=(1, 2), rows=({"number": 7},)))
        7
    """
    row = entry.rows[0] if entry.rows else {}
    number = row.get("number")
    return number if type(number) is int and 0 < number < MOST else 0


@dataclass(frozen=True, slots=True)
class _Read:
    """A file that was read now; `clip` stands for its windows, for whoever asks what failed."""

    file: Path
    stamp: tuple[int, int]
    recording: Recording
    clip: EncodedClip


@dataclass
class Library(Closing):
    """A folder of recordings with its index, kept from other processes until :meth:`close`.

    Args:
        folder: of recordings.
        recognizer: whose encoders read them.
        settings: how.
        index: where the index is; by default a hidden folder inside of `folder`.

    Raises:
        NotFoundError: there is no such folder.
        EzavError: it holds no recordings.
        RefusedError: the index is of other encoders or other windows, or a link.
        UnavailableError: another process has it, or it cannot be written.
    """

    folder: Path
    recognizer: Recognizer
    settings: LibrarySettings = field(default_factory=LibrarySettings)
    index: Path | None = None

    def __post_init__(self) -> None:
        self.folder = Path(self.folder)
        if not self.folder.is_dir():
            raise NotFoundError(f"there is no folder '{self.folder}'", "name one of recordings")
        self.files = media_files([self.folder])
        self.at = self.folder / FOLDER if self.index is None else Path(self.index)
        try:
            self.at.parent.mkdir(parents=True, exist_ok=True)
            own_folder(self.at)
            own_folder(self.at / "windows")
        except OSError as error:
            raise UnavailableError(
                f"cannot write '{self.at}': {error.strerror}", "name another `index`"
            ) from error
        self._journal = Journal(
            self.at / "recordings.journal",
            made_of(self.recognizer, self.settings),
            what="recordings",
            instead="name another `index`",
            drop=False,
        )
        self._next = 1 + max(map(number_of, self._journal.entries.values()), default=0)

    @property
    def recordings(self) -> list[Recording]:
        """Those of the folder that the index knows, sorted by file."""
        known = self._journal.entries
        found = (Recording.of(known[name]) for name in map(self._name, self.files) if name in known)
        return [one for one in found if one is not None]

    def update(self, on_progress: OnFile | None = None) -> tuple[int, int]:
        """Read what is new or has changed, drop what has gone.

        Every file that was read is in the journal at once: a killed call goes on.

        Returns:
            How many files were read now, and how many were dropped.

        Raises:
            EzavError: an encoder does not work; the disk is full.
        """
        gone = self._drop()
        todo = [file for file in self.files if not self._known(file)]
        if todo:
            before = self.recordings
            known = [one for one in before if one.windows]
            failed = {one.file for one in before if one.error}
            again = {at for at, file in enumerate(todo) if self._name(file) in failed}
            read: dict[int, _Read] = {}
            clips = encoders_work(
                self._each(todo, read), again, self.recognizer.encoders.kinds if known else ()
            )
            for number, (at, _) in enumerate(clips, start=1):
                one = read.pop(at)
                self._note(one)
                if on_progress is not None:
                    on_progress(number, len(todo), not one.recording.windows)
        self._sweep()
        return len(todo), gone

    def windows(self, recording: Recording) -> Iterator[Windows]:
        """The parts of a recording, in order.

        Raises:
            DamagedError: one is not what was written.
        """
        for part in range(recording.parts):
            yield read_windows(self._part(recording.number, part))

    def pictures(self, recording: Recording, row: int) -> tuple[str, ...]:
        """Small pictures of one window (:func:`ezav.answers.sheet.pictures_of`)."""
        return read_pictures(self._part(recording.number, row // _PART), row % _PART)

    def close(self) -> None:
        """Let go of the index."""
        self._journal.close()

    def _name(self, file: Path) -> str:
        return file.relative_to(self.folder).as_posix()

    def _known(self, file: Path) -> bool:
        entry = self._journal.entries.get(self._name(file))
        found = None if entry is None or entry.stamp != stamp_of(file) else Recording.of(entry)
        return found is not None and not (self.settings.retry and found.error)

    def _drop(self) -> int:
        """Forget files that are not there any more; their number is not given again."""
        there = set(map(self._name, self.files))
        entries = self._journal.entries.values()
        gone = [one for one in entries if one.file not in there and Recording.of(one) is not None]
        rows = [{"number": number_of(one)} for one in gone]
        self._journal.append(
            [Entry(file=one.file, stamp=(0, 0), rows=(row,)) for one, row in zip(gone, rows)]
        )
        return len(gone)

    def _each(
        self, todo: Sequence[Path], read: dict[int, _Read]
    ) -> Iterator[tuple[int, EncodedClip]]:
        """Read files at once, each in a worker of its own; what became of each is put in `read`."""
        workers = min(len(todo), self.settings.workers or cpus())
        self.recognizer.reader.start(workers)
        stop = threading.Event()
        with ThreadPoolExecutor(workers) as threads:
            try:
                numbers = range(self._next, self._next + len(todo))
                self._next += len(todo)
                begun = {
                    threads.submit(self._read, file, number, stop): at
                    for at, (file, number) in enumerate(zip(todo, numbers))
                }
                for done in as_completed(begun):
                    read[begun[done]] = done.result()
                    yield begun[done], read[begun[done]].clip
            finally:
                stop.set()
                threads.shutdown(wait=True, cancel_futures=True)

    def _read(self, file: Path, number: int, stop: threading.Event) -> _Read:
        stamp, parts, windows, error = stamp_of(file), 0, 0, ""
        of_all = EncodedClip(path=file)
        some: list[EncodedClip] = []
        hop, length = self.settings.hop, self.settings.window
        for clip in self.recognizer.reader.windows(file, length, hop, _LOOK):
            if stop.is_set():
                break
            if clip.error:
                error = clip.reason if clip.lost else error or clip.error
                of_all = clip if not windows + len(some) else of_all
                continue
            of_all = clip
            some.append(clip)
            if len(some) == _PART:
                self._write(number, parts, some)
                parts, windows, some = parts + 1, windows + len(some), []
        if some:
            self._write(number, parts, some)
            parts, windows = parts + 1, windows + len(some)
        recording = Recording(
            file=self._name(file), number=number, parts=parts, windows=windows, error=error
        )
        return _Read(file, stamp, recording, of_all)

    def _write(self, number: int, part: int, clips: list[EncodedClip]) -> None:
        path = self._part(number, part)
        refuse_links(self.at, path)
        write_windows(path, clips, self.recognizer.features(clips))

    def _note(self, read: _Read) -> None:
        one = read.recording
        row = {"number": one.number, "parts": one.parts, "windows": one.windows, "error": one.error}
        self._journal.append([Entry(file=one.file, stamp=read.stamp, rows=(row,))])

    def _part(self, number: int, part: int) -> Path:
        return self.at / "windows" / f"{number}-{part}.safetensors"

    def _sweep(self) -> None:
        """Delete the windows of files that have gone, have changed, or were not read to the end."""
        numbers = {one.number for one in self.recordings}
        for path in (self.at / "windows").iterdir():
            if path.name.endswith(".part"):  # a kill left it half-written
                path.unlink(missing_ok=True)
            found = re.fullmatch(r"(\d+)-\d+\.safetensors", path.name)
            if found and int(found[1]) not in numbers:
                path.unlink(missing_ok=True)


def made_of(recognizer: Recognizer, settings: LibrarySettings) -> str:
    """What an index depends on, in words: its encoders and its windows."""
    said = []
    for kind in recognizer.encoders.kinds:
        info = next(one for one in recognizer.header.encoders if one.modality == kind)
        options = f",{info.options}" if info.options else ""
        digest = info.identity.rpartition(":")[2][:12]
        identity = f" ({digest})" if digest else ""
        said.append(f"{info.name}{options} {info.revision}{identity}".strip())
    return f"{' + '.join(said)}, {settings.window:g} s every {settings.hop:g} s"


__all__ = ["Library", "LibrarySettings", "OnFile", "Recording", "made_of"]
