"""Writing a feature store: durable clip by clip, resumable, published in one step."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence, Set
from itertools import repeat
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import torch

from ezav.errors import EzavError
from ezav.features.begin import begin, lock
from ezav.features.clip_log import ClipLog
from ezav.features.feature_set import Ragged
from ezav.features.header import Header, SplitOrigin
from ezav.features.index import OK
from ezav.features.publish import publish
from ezav.features.shards import ClipRecord, checksums, storable

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
        self._lock = lock(self.path)
        try:
            begin(self.path, header)
            self._log = ClipLog(self.path, self._dims, shard_clips, shard_bytes)
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
                self._log.wait()
        finally:
            self.close()

    @property
    def done(self) -> Set[str]:
        """The clips already written, whatever their status; grows while clips are added."""
        return self._log.records.keys()

    @property
    def failed(self) -> dict[str, str]:
        """Clip -> reason, of those whose status is not ok; these may be added again."""
        records = self.records.items()
        return {clip: record.reason for clip, record in records if record.status != OK}

    @property
    def records(self) -> dict[str, ClipRecord]:
        """Clip -> what was recorded of it, published or not; of one added again the last counts."""
        return {clip: record for clip, (record, *_) in self._log.records.items()}

    def check_unchanged(self, clip: str, class_name: str, checksum: str) -> None:
        """Compare a clip to be written with what was written of it, if it could be read then.

        Args:
            clip, class_name: as for :meth:`add`.
            checksum: of its features, see :func:`ezav.features.shards.checksums`.

        Raises:
            EzavError: it was written as another class or with other features.
        """
        known = self._log.records.get(clip)
        if known is None or known[0].status != OK:
            return
        record = known[0]
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
        self._log.append(self._checked(ClipRecord(*facts)), **parts)

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
        self._log.extend(records, audio, visual)

    def finish(
        self,
        splits: Mapping[str, str],
        class_embeddings: Sequence[ClassEmbeddings],
        *,
        split_origin: SplitOrigin | None = None,
        leave_out: Collection[str] = (),
        sources: Mapping[str, str] | None = None,
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
            sources: clip -> what it was cut from, where that is known.
            whole: False for one part of a data set (to be merged): the splits are then not
                checked against the protocol.

        Raises:
            EzavError: nothing could be read, clips without a split, splits that make no
                benchmark or test a source that they train on, classes without an embedding, or the
                disk is full.
        """
        self._log.seal()
        self._log.wait()
        hidden = set(leave_out)
        records, shards = self._log.layout()
        records = {clip: entry for clip, entry in records.items() if clip not in hidden}
        origin = self.header.splits if split_origin is None else split_origin
        header = self.header.model_copy(update={"splits": origin})
        publish(
            self.path,
            header,
            records,
            shards,
            splits,
            class_embeddings,
            sources=sources,
            whole=whole,
        )
        self.close()

    def close(self) -> None:
        """Let the store go; what was added stays and can be taken up again."""
        self._log.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _checked(self, record: ClipRecord) -> ClipRecord:
        clip, status = record.clip, record.status
        known = self._log.records.get(clip)
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


def check_same_class(clip: str, was: str, now: str, store: Path) -> None:
    """Refuse a clip of another class than the store's features of it bear.

    Raises:
        EzavError: the classes differ.

    Example:
        >>> check_same_class("a", "dog", "cat", Path("store"))
        Traceback (most recent call last):
        ezav.errors.EzavError: clip 'a' is of class 'dog' in the store 'store' and ...
    """
    if was != now:
        raise EzavError(
            f"clip '{clip}' is of class '{was}' in the store '{store}' and of class '{now}' now",
            "write another store",
        )


def _one(tokens: tuple[Any, Any] | None, dim: int) -> Ragged:
    """One clip's tokens as given, or none, as a modality of one clip."""
    if tokens is None or len(tokens[0]) == 0:
        return Ragged.from_clips([None], dim)
    return Ragged.from_clips([(torch.as_tensor(tokens[0]), torch.as_tensor(tokens[1]))])
