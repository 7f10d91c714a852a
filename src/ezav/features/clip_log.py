"""The clips of a store while it is written: numbered shards, and a journal of the latest ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from ezav.errors import EzavError
from ezav.features.feature_set import Ragged
from ezav.features.index import INDEX_FILE, read_contents
from ezav.features.journal import Journal
from ezav.features.shards import ClipRecord, clip_tokens, read_records, settle, write_part
from ezav.safe_io import own_folder


class ClipLog:
    """Clips on the disk, in the order in which they were written.

    `append` makes one clip durable in a journal, which becomes a shard when it is long enough;
    `extend` writes a whole shard, which appears in the background, after those before it. What
    an earlier log left in the folder is taken up again.

    Args:
        store: the store's folder; shards lie in `shards` there.
        dims: of audio and of visual features.
        shard_clips, shard_bytes: when a journal becomes a shard.

    Attributes:
        records: clip -> (record, number of its shard, row); of a clip written again after a
            failure the last counts.

    Raises:
        EzavError: a shard that cannot be read, or a disk that is full; also from the methods.
    """

    def __init__(
        self, store: Path, dims: Mapping[str, int], shard_clips: int, shard_bytes: int
    ) -> None:
        self.records: dict[str, tuple[ClipRecord, int, int]] = {}
        self._folder = store / "shards"
        self._dims = dims
        self._limits = shard_clips, shard_bytes
        self._shards: list[int] = []
        self._next = 0
        self._journal: Journal | None = None
        self._journal_clips = 0
        self._disk = ThreadPoolExecutor(1, "ezav-disk")
        self._settling: list[Future[None]] = []
        self._take_up(store)

    def _take_up(self, store: Path) -> None:
        own_folder(self._folder)
        for part in self._folder.glob(".*.part"):
            part.unlink()  # what a kill left half-written
        for number in self._numbers(".safetensors"):
            self._next = number
            self._keep(read_records(self._path(number)))
            # Killed between the shard's appearance and the end of its journal.
            self._path(number, ".journal").unlink(missing_ok=True)
        if waiting := [n for n in self._numbers(".journal") if n >= self._next]:
            self._next = waiting[0]
            self._journal = Journal(self._path(self._next, ".journal"))
            for record, *_ in self._journal.read():
                self._note(record)
        else:
            # Of a damaged shard that was deleted the index still names clips and rows: none may
            # take its place, and be read instead, before there is a new index.
            self._next = max(self._next, 1 + _last_published(store))

    def append(self, record: ClipRecord, audio: Ragged, visual: Ragged) -> None:
        """Write one clip (modalities of one clip each); on the disk when this returns."""
        if self._journal is None:
            self._journal = Journal(self._path(self._next, ".journal"))
        self._journal.append(record, clip_tokens(audio, 0), clip_tokens(visual, 0))
        self._note(record)
        clips, size = self._limits
        if self._journal_clips >= clips or self._journal.size >= size:
            self.seal()

    def extend(self, records: Sequence[ClipRecord], audio: Ragged, visual: Ragged) -> None:
        """Write clips as one shard; :meth:`wait` says whether the disk has it."""
        self.seal()
        self._write(records, audio, visual)

    def seal(self) -> None:
        """Turn the journal into a shard."""
        if self._journal is None:
            return
        entries = self._journal.read()
        if entries:
            audio = Ragged.from_clips([sound for _, sound, _ in entries], self._dims["audio"])
            visual = Ragged.from_clips([view for _, _, view in entries], self._dims["visual"])
            self._write([record for record, *_ in entries], audio, visual)
            self.wait()  # before the journal goes
        self._journal.close()
        self._journal.path.unlink()
        self._journal, self._journal_clips = None, 0

    def wait(self) -> None:
        """Wait for the shards that are on their way to the disk; raise if one did not get there."""
        waiting, self._settling = self._settling, []
        for shard in waiting:
            shard.result()

    def layout(self) -> tuple[dict[str, tuple[ClipRecord, int, int]], list[str]]:
        """Clip -> (record, place of its shard, row), and the shards' file names in that order."""
        # Numbers have gaps where a damaged shard was deleted; the index counts what is there.
        place = {number: row for row, number in enumerate(self._shards)}
        records = {clip: (kept, place[n], row) for clip, (kept, n, row) in self.records.items()}
        return records, [self._path(number).name for number in self._shards]

    def close(self) -> None:
        """Let go of the files, with all shards on the disk; the log can be taken up again."""
        self._disk.shutdown()
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def _note(self, record: ClipRecord) -> None:
        """Note a clip of the journal."""
        self.records[record.clip] = record, self._next, self._journal_clips
        self._journal_clips += 1

    def _keep(self, records: Sequence[ClipRecord]) -> None:
        """Note a finished shard's clips."""
        for row, record in enumerate(records):
            self.records[record.clip] = record, self._next, row
        self._shards.append(self._next)
        self._next += 1

    def _write(self, records: Sequence[ClipRecord], audio: Ragged, visual: Ragged) -> None:
        """Write a shard; it appears when the disk has it, after those before it."""
        if self._settling and self._settling[-1].done():
            self.wait()
        path = self._path(self._next)
        before = self._settling[-1] if self._settling else None
        part = write_part(path, records, audio, visual)
        self._settling.append(self._disk.submit(_settle_after, before, part, path))
        self._keep(records)

    def _path(self, number: int, suffix: str = ".safetensors") -> Path:
        return self._folder / f"{number:05d}{suffix}"

    def _numbers(self, suffix: str) -> list[int]:
        names = [path.stem for path in self._folder.iterdir() if path.suffix == suffix]
        return sorted(int(name) for name in names if name.isdigit())


def _last_published(store: Path) -> int:
    """The number of the last shard that the index names; -1 without an index that can be read."""
    try:
        names = read_contents(store).shards if (store / INDEX_FILE).is_file() else ()
    except EzavError:
        return -1
    stems = [Path(name).stem for name in names]
    return max((int(stem) for stem in stems if stem.isdigit()), default=-1)


def _settle_after(before: Future[None] | None, part: Path, path: Path) -> None:
    """Let a shard appear unless the one before it was lost: then the writing is to stop there."""
    if before is not None and before.exception() is not None:
        part.unlink(missing_ok=True)
        return
    settle(part, path)
