"""Writing a feature store: durable clip by clip, resumable, published in one step."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence, Set
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import repeat
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import torch

from ezav.errors import EzavError
from ezav.features.begin import begin, lock
from ezav.features.feature_set import Ragged
from ezav.features.header import Header, SplitOrigin
from ezav.features.index import FILE, OK, read_contents
from ezav.features.journal import Journal
from ezav.features.publish import publish
from ezav.features.shards import (
    ClipRecord,
    checksums,
    clip_tokens,
    read_records,
    settle,
    storable,
    write_part,
)

if TYPE_CHECKING:
    from ezav.classes.embeddings import ClassEmbeddings


class StoreWriter:
    """Adds clips to a feature store and publishes them.

    `add` writes one clip durably to a journal; every `shard_clips` clips (or `shard_bytes`) the
    journal becomes a shard. `add_many` writes whole shards at once. Nothing is visible to
    readers before `finish`, and a finished store stays readable while more is added. A kill at
    any moment loses at most the clip in hand.

    Args:
        path: the store's folder; it is made, or its writing is taken up again.
        header: what the store is; must agree with the header already there.
        shard_clips, shard_bytes: when a journal becomes a shard.

    Raises:
        EzavError: the folder holds something else, a store with another header, or one that
            another process is writing.

    Example:
        >>> import tempfile, torch
        >>> from ezav.features import EncoderInfo, Header
        >>> encoders = tuple(
        ...     EncoderInfo(modality=m, name="ones", dimension=2) for m in ("audio", "visual")
        ... )
        >>> one = (torch.ones(1, 2), torch.zeros(1))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with StoreWriter(folder, Header(dataset="tiny", encoders=encoders)) as writer:
        ...         writer.add(clip="a", class_name="dog", audio=one, visual=None)
        ...     with StoreWriter(folder, Header(dataset="tiny", encoders=encoders)) as writer:
        ...         print(set(writer.done))
        {'a'}
    """

    def __init__(
        self,
        path: str | Path,
        header: Header,
        *,
        shard_clips: int = 512,
        shard_bytes: int = 1 << 28,
    ) -> None:
        self.path = Path(path)
        self.header = header
        self._dims = {"audio": header.dim("audio"), "visual": header.dim("visual")}
        self._limits = shard_clips, shard_bytes
        self._journal: Journal | None = None
        self._journal_clips = 0
        self._disk = ThreadPoolExecutor(1, "ezav-disk")
        self._settling: list[Future[None]] = []
        self._lock = lock(self.path)
        try:
            self._begin()
        except BaseException:
            os.close(self._lock)
            raise

    def __enter__(self) -> StoreWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._settled()
        finally:
            self.close()

    @property
    def done(self) -> Set[str]:
        """The clips already written, whatever their status; grows while clips are added."""
        return self._records.keys()

    @property
    def failed(self) -> dict[str, str]:
        """Clip -> reason, of those whose status is not ok; these may be added again."""
        records = self.records.items()
        return {clip: record.reason for clip, record in records if record.status != OK}

    @property
    def records(self) -> dict[str, ClipRecord]:
        """Clip -> what was recorded of it, published or not; of one added again the last counts."""
        return {clip: record for clip, (record, *_) in self._records.items()}

    def check_unchanged(self, clip: str, class_name: str, checksum: str) -> None:
        """Compare a clip to be written with what was written of it, if it could be read then.

        Args:
            clip, class_name: as for :meth:`add`.
            checksum: of its features, see :func:`ezav.features.shards.checksums`.

        Raises:
            EzavError: it was written as another class or with other features.
        """
        record = self._records[clip][0] if clip in self._records else None
        if record is None or record.status != OK:
            return
        check_same_class(clip, record.class_name, class_name, self.path)
        if record.checksum != checksum:
            raise EzavError(
                f"clip '{clip}' has other features now than in the store '{self.path}'",
                "write another store, or remove that one first",
            )

    def add(
        self,
        *,
        clip: str,
        class_name: str,
        audio: tuple[Any, Any] | None,
        visual: tuple[Any, Any] | None,
        duration: float | None = None,
        path: str = "",
        status: str = OK,
        reason: str = "",
    ) -> None:
        """Write one clip; it survives a kill as soon as this returns.

        Args:
            clip: its unique name.
            class_name: its class.
            audio, visual: values `[T, d]` and times `[T]` in seconds (tensors or arrays, float32
                or float16), or None where the clip lacks the modality.
            duration: seconds.
            path: where the media file is, for people.
            status: "ok", or a word for what went wrong ("unreadable").
            reason: why the status is not ok, or why a modality is missing.

        Raises:
            EzavError: the clip is there already, both modalities are missing though the status
                is ok, features are not finite or of another dimension, or the disk is full
                (then nothing of the clip is kept).
        """
        parts = {
            modality: storable(
                _one(tokens, self._dims[modality]), self._dims[modality], modality, [clip]
            )
            for modality, tokens in (("audio", audio), ("visual", visual))
        }
        (checksum,) = checksums(**parts)
        counts = int(parts["audio"].lengths), int(parts["visual"].lengths)
        facts = (clip, class_name, path, duration, status, reason, *counts, checksum)
        record = self._checked(ClipRecord(*facts))
        if self._journal is None:
            self._journal = Journal(self._shard_path(self._next, ".journal"))
        self._journal.append(
            record, clip_tokens(parts["audio"], 0), clip_tokens(parts["visual"], 0)
        )
        self._records[clip] = record, self._next, self._journal_clips
        self._journal_clips += 1
        clips, size = self._limits
        if self._journal_clips >= clips or self._journal.size >= size:
            self._compact()

    def add_many(
        self,
        clips: Sequence[str],
        class_names: Sequence[str],
        audio: Ragged,
        visual: Ragged,
        durations: Sequence[float | None] | None = None,
        paths: Sequence[str] | None = None,
        statuses: Sequence[str] | None = None,
        reasons: Sequence[str] | None = None,
    ) -> None:
        """Write N clips as one shard, for importers and merging; all of them or none.

        Give some thousand clips a call: each call makes one file, which appears once the disk
        has it; the call does not wait for that, :meth:`finish` and :meth:`close` do. A clip with
        no audio tokens lacks that modality; see :class:`Ragged`.

        Raises:
            EzavError: as :meth:`add`, also for the shard of an earlier call.
        """
        audio = storable(audio, self._dims["audio"], "audio", clips)
        visual = storable(visual, self._dims["visual"], "visual", clips)
        if not len(clips) == len(class_names) == len(audio) == len(visual):
            raise ValueError("clips, class_names, audio and visual differ in number")
        if len(set(clips)) < len(clips):
            twice = next(clip for clip in clips if list(clips).count(clip) > 1)
            raise EzavError(f"clip '{twice}' is added twice", "clip names must differ")
        facts = zip(
            clips,
            class_names,
            paths or repeat(""),
            durations or repeat(None),
            statuses or repeat(OK),
            reasons or repeat(""),
            audio.lengths.tolist(),
            visual.lengths.tolist(),
            checksums(audio, visual),
        )
        records = [self._checked(ClipRecord(*fact)) for fact in facts]
        self._compact()
        self._write(records, audio, visual)

    def _settled(self) -> None:
        """Wait for the shards that are on their way to the disk; raise if one did not get there."""
        waiting, self._settling = self._settling, []
        for shard in waiting:
            shard.result()

    def finish(
        self,
        splits: Mapping[str, str],
        class_embeddings: Sequence[ClassEmbeddings],
        *,
        split_origin: SplitOrigin | None = None,
        leave_out: Collection[str] = (),
        whole: bool = True,
    ) -> None:
        """Publish the store: shards, class embeddings, and last the index, in one step.

        Args:
            splits: clip -> split; every clip with status ok must have one. Those of other clips
                are kept in the index too.
            class_embeddings: one for each text encoder, the default first; each must have every
                class of the store.
            split_origin: how the splits were made; None keeps what the header says.
            leave_out: clips written earlier that the store shall no longer show.
            whole: False for one part of a data set (to be merged): the splits are then not
                checked against the protocol.

        Raises:
            EzavError: nothing could be read, clips without a split, splits that make no
                benchmark, classes without an embedding, or the disk is full.
        """
        self._compact()
        self._settled()
        hidden = set(leave_out)
        records = {clip: entry for clip, entry in self._records.items() if clip not in hidden}
        origin = self.header.splits if split_origin is None else split_origin
        header = self.header.model_copy(update={"splits": origin})
        # Numbers have gaps where a damaged shard was deleted; the index counts what is there.
        place = {number: row for row, number in enumerate(self._shards)}
        records = {clip: (kept, place[n], row) for clip, (kept, n, row) in records.items()}
        shards = [self._shard_path(number).name for number in self._shards]
        publish(self.path, header, records, shards, splits, class_embeddings, whole=whole)
        self.close()

    def close(self) -> None:
        """Let the store go; what was added stays and can be taken up again."""
        self._disk.shutdown()
        if self._journal is not None:
            self._journal.close()
            self._journal = None
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _begin(self) -> None:
        """Take up what earlier writers left: header, shards, a journal."""
        begin(self.path, self.header)
        shards = self.path / "shards"
        shards.mkdir(exist_ok=True)
        (self.path / "classes").mkdir(exist_ok=True)
        for part in [*shards.glob(".*.part"), *self.path.glob(".*.part")]:
            part.unlink()  # what a kill left half-written
        self._records: dict[str, tuple[ClipRecord, int, int]] = {}
        self._shards: list[int] = []
        self._next = 0
        for number in _numbers(shards, ".safetensors"):
            self._next = number
            self._keep(read_records(self._shard_path(number)))
            # Killed between the shard's appearance and the end of its journal.
            self._shard_path(number, ".journal").unlink(missing_ok=True)
        if waiting := [n for n in _numbers(shards, ".journal") if n >= self._next]:
            self._next = waiting[0]
            self._journal = Journal(self._shard_path(self._next, ".journal"))
            for record, *_ in self._journal.read():
                self._records[record.clip] = record, self._next, self._journal_clips
                self._journal_clips += 1
        else:
            # Of a damaged shard that was deleted the index still names clips and rows: none may
            # take its place, and be read instead, before there is a new index.
            self._next = max(self._next, 1 + _last_published(self.path))

    def _keep(self, records: Sequence[ClipRecord]) -> None:
        """Note a finished shard's clips; of a clip added again after a failure the last counts."""
        for row, record in enumerate(records):
            self._records[record.clip] = record, self._next, row
        self._shards.append(self._next)
        self._next += 1

    def _checked(self, record: ClipRecord) -> ClipRecord:
        clip, status = record.clip, record.status
        known = self._records.get(clip)
        if known is not None and known[0].status == OK:
            raise EzavError(f"clip '{clip}' is in the store already", "clip names must differ")
        if not clip or not record.class_name.strip():
            raise EzavError(f"clip '{clip}' of class '{record.class_name}': both need a name")
        if status == OK and not record.audio_tokens and not record.visual_tokens:
            raise EzavError(
                f"clip '{clip}' has neither audio nor visual features",
                "add it with another status and a reason",
            )
        if status != OK and not record.reason:
            raise EzavError(f"clip '{clip}' is '{status}' without a reason", "say why")
        return record

    def _compact(self) -> None:
        """Turn the journal into a shard."""
        if self._journal is None:
            return
        entries = self._journal.read()
        if entries:
            audio = Ragged.from_clips([sound for _, sound, _ in entries], self._dims["audio"])
            visual = Ragged.from_clips([view for _, _, view in entries], self._dims["visual"])
            self._write([record for record, *_ in entries], audio, visual)
            self._settled()  # before the journal goes
        self._journal.close()
        self._journal.path.unlink()
        self._journal, self._journal_clips = None, 0

    def _write(self, records: Sequence[ClipRecord], audio: Ragged, visual: Ragged) -> None:
        """Write a shard; it appears when the disk has it, after those before it."""
        if self._settling and self._settling[-1].done():
            self._settled()
        path = self._shard_path(self._next)
        before = self._settling[-1] if self._settling else None
        part = write_part(path, records, audio, visual)
        self._settling.append(self._disk.submit(_settle_after, before, part, path))
        self._keep(records)

    def _shard_path(self, number: int, suffix: str = ".safetensors") -> Path:
        return self.path / "shards" / f"{number:05d}{suffix}"


def check_same_class(clip: str, was: str, now: str, store: Path) -> None:
    """Refuse a clip of another class than the store's features of it bear.

    Raises:
        EzavError: the classes differ.
    """
    if was != now:
        raise EzavError(
            f"clip '{clip}' is of class '{was}' in the store '{store}' and of class '{now}' now",
            "write another store",
        )


def _numbers(shards: Path, suffix: str) -> list[int]:
    names = [path.stem for path in shards.iterdir() if path.suffix == suffix]
    return sorted(int(name) for name in names if name.isdigit())


def _last_published(store: Path) -> int:
    """The number of the last shard that the index names; -1 without an index that can be read."""
    try:
        names = read_contents(store).shards if (store / FILE).is_file() else ()
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


def _one(tokens: tuple[Any, Any] | None, dim: int) -> Ragged:
    """One clip's tokens as given, or none, as a modality of one clip."""
    if tokens is None or len(tokens[0]) == 0:
        return Ragged.from_clips([None], dim)
    return Ragged.from_clips([(torch.as_tensor(tokens[0]), torch.as_tensor(tokens[1]))])
