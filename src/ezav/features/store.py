"""Reading a feature store: opened in milliseconds, features memory-mapped until selected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cached_property, reduce
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from ezav import signing
from ezav.errors import DamagedError, NotFoundError
from ezav.features.begin import HEADER_FILE
from ezav.features.feature_set import FeatureSet, Ragged
from ezav.features.header import MODALITIES, ClassFile, Contents, Header, SplitOrigin
from ezav.features.index import (
    INDEX_FILE,
    OK,
    fingerprint,
    read_contents,
    read_digests,
    read_index,
)
from ezav.features.shard_folder import AGAIN, ShardFolder
from ezav.features.sources import check_sources
from ezav.features.splits import CLOSED, SPLITS, check_splits
from ezav.manifest import digest

if TYPE_CHECKING:
    from ezav.classes.embeddings import ClassEmbeddings


class FeatureStore:
    """A finished feature store on disk.

    Attributes:
        path: its folder.
        contents: what it holds, as its index says.

    Example:
        >>> import tempfile, torch
        >>> from ezav.features import EncoderInfo, Header, StoreWriter
        >>> from ezav.classes import ClassEmbeddings
        >>> encoders = tuple(
        ...     EncoderInfo(modality=m, name="ones", dimension=2) for m in ("audio", "visual")
        ... )
        >>> one = (torch.ones(1, 2), torch.zeros(1))
        >>> text = ClassEmbeddings(("dog",), torch.ones(1, 4))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     writer = StoreWriter(folder, Header(dataset="tiny", encoders=encoders))
        ...     writer.add(clip="a", class_name="dog", audio=one, visual=one)
        ...     writer.finish({"a": "train"}, [text], whole=False)
        ...     FeatureStore.open(folder).select("train").audio.values
        tensor([[1., 1.]])
    """

    def __init__(self, path: Path, contents: Contents) -> None:
        self.path = path
        self.contents = contents
        self._texts: dict[str, ClassEmbeddings] = {}
        self._shards = ShardFolder(path, contents, self._whole_index)

    @classmethod
    def open(cls, path: str | Path, *, require_signature: str | Path | None = None) -> FeatureStore:
        """Open a store.

        Args:
            path: its folder.
            require_signature: a public key (a PEM file), with which all of the store must be
                signed (:mod:`ezav.signing`); every byte of it is read then.

        Raises:
            EzavError: no such folder, no store, not finished, or of another format version.
            RefusedError: it is not signed with the key.
        """
        path = Path(path)
        if not path.is_dir():
            raise NotFoundError(f"there is no feature store at '{path}'", "make one: ezav extract")
        if not (path / INDEX_FILE).is_file():
            if (path / HEADER_FILE).is_file():
                raise NotFoundError(
                    f"the feature store '{path}' was begun but not finished",
                    "run the command that makes it again: it goes on where it stopped",
                )
            raise NotFoundError(f"'{path}' is not a feature store", "make one: ezav extract")
        if require_signature is not None:
            signing.require_signature(path, require_signature)
        return cls(path, read_contents(path))

    def read_as(self, texts: Iterable[ClassEmbeddings]) -> FeatureStore:
        """The same store, unchanged on disk, with these in the place of its class embeddings.

        Those of another encoder stay as they are. The fingerprint too is that of the store.

        Raises:
            NotFoundError: one of them lacks a class of the store.

        Example:
            >>> [text] = [store.class_embeddings()]
            >>> other = store.read_as([text.with_vectors(-text.vectors)])
            >>> bool((other.class_embeddings().vectors == -text.vectors).all())
            True
        """
        made = FeatureStore(self.path, self.contents)
        new = {text.encoder: text.select(self.classes) for text in texts}
        made._texts = {**self._texts, **new}
        return made

    @property
    def texts(self) -> tuple[ClassEmbeddings, ...]:
        """The class embeddings that :meth:`read_as` put in the place of the store's."""
        return tuple(self._texts.values())

    @property
    def header(self) -> Header:
        """Data set, setting, encoders, how the splits were made."""
        return self.contents.header

    @property
    def classes(self) -> tuple[str, ...]:
        """All class names that have a clip, sorted; labels are rows of these."""
        return self.contents.classes

    @property
    def splits(self) -> dict[str, int]:
        """Split -> number of readable clips."""
        return dict(self.contents.splits)

    @property
    def is_closed(self) -> bool:
        """Whether every class is trained on: no clip is of an unseen one."""
        return not any(count for split, count in self.splits.items() if split not in CLOSED)

    @cached_property
    def sources(self) -> dict[str, str]:
        """Clip -> what it was cut from, of the clips of which that is known."""
        pairs = zip(*(self.index.column(name).to_pylist() for name in ("clip", "source")))
        return {clip: source for clip, source in pairs if source}

    def with_splits(
        self, splits: Mapping[str, str], origin: SplitOrigin, sources: Mapping[str, str]
    ) -> FeatureStore:
        """The same store, unchanged on disk, with other splits and sources of its clips.

        Its fingerprint is another.

        Args:
            splits: clip -> split, for every readable clip.
            origin: how they were made.
            sources: clip -> what it was cut from.

        Raises:
            EzavError: splits that make no benchmark, or test a source that they train on.
        """
        made = FeatureStore(self.path, self.contents)
        made._texts = self._texts
        clips = self.index.column("clip").to_pylist()
        ok = set(self._ok.column("clip").to_pylist())
        names = dict(zip(clips, self.index.column("class").to_pylist()))
        given = {clip: splits[clip] for clip in ok}
        check_splits(given, names)
        check_sources(given, sources)
        index = self.index
        for name, of in (("split", splits), ("source", sources)):
            place = index.schema.get_field_index(name)
            column = pa.array([of.get(clip, "") for clip in clips], pa.string())
            index = index.set_column(place, name, column)
        made.index = index
        counts = Counter(given.values())
        made.contents = self.contents.model_copy(
            update={
                "header": self.header.model_copy(update={"splits": origin}),
                "splits": {split: counts[split] for split in SPLITS},
                "fingerprint": fingerprint(
                    index, (file.checksum for file in self.contents.class_files)
                ),
            }
        )
        return made

    @property
    def encoders(self) -> tuple[str, ...]:
        """The text encoders whose class embeddings are here, the default first."""
        return tuple(file.encoder for file in self.contents.class_files)

    @property
    def fingerprint(self) -> str:
        """A hash of clips, splits, features and class embeddings, whatever their layout."""
        return self.contents.fingerprint

    @cached_property
    def index(self) -> pa.Table:
        """One row a clip, sorted by clip: clip, class, split, path, shard, row, audio_tokens,
        visual_tokens, duration, status, reason, checksum, source."""
        index = read_index(self.path)
        if any(index.column(name).null_count for name in index.column_names if name != "duration"):
            raise DamagedError(f"the index of '{self.path}' lacks values", AGAIN)
        return index

    def _whole_index(self) -> pa.Table:  # a method, since a lambda cannot be pickled
        return self.index

    @cached_property
    def _ok(self) -> pa.Table:
        return self.index.filter(pc.equal(self.index.column("status"), OK))

    def split_classes(self, split: str) -> tuple[str, ...]:
        """The class names that have readable clips in a split, sorted."""
        return tuple(sorted(set(self._rows((split,)).column("class").to_pylist())))

    def select(
        self,
        *splits: str,
        dtype: torch.dtype | None = torch.float32,
        mapped: bool = False,
    ) -> FeatureSet:
        """The readable clips of some splits (none named: of all), in memory, sorted by clip.

        Args:
            splits: names out of train, val_seen, val_unseen, test_seen, test_unseen.
            dtype: of the features; None keeps what is on disk (float16 takes half the memory;
                batches are float32 all the same).
            mapped: for features larger than memory: gather them in a temporary file in
                `EZAV_CACHE` instead, memory-mapped. It goes with the features.

        Raises:
            EzavError: an unknown split, a shard that is missing or damaged, or a full disk.
        """
        rows = self._rows(splits or SPLITS)
        row_of = {name: row for row, name in enumerate(self.classes)}
        names = rows.column("class").to_pylist()
        if strange := set(names) - set(row_of):
            raise DamagedError(
                f"the index of '{self.path}' has clips of '{min(strange)}', which is none of its "
                "classes",
                "make the store again",
            )
        labels = torch.tensor([row_of[name] for name in names], dtype=torch.long)
        shard, row, *counts = (
            torch.from_numpy(rows.column(name).to_numpy().astype(np.int64))
            for name in ("shard", "row", *(f"{modality}_tokens" for modality in MODALITIES))
        )
        audio, visual = self._shards.gather(shard, row, counts, dtype, mapped)
        return FeatureSet(
            audio, visual, labels, tuple(rows.column("clip").to_pylist()), self.classes
        )

    def class_embeddings(self, encoder: str | None = None) -> ClassEmbeddings:
        """The class embeddings, rows in the order of `classes`.

        Args:
            encoder: one of `encoders`; None is the first. "A + B" joins those of two encoders
                (or more) in one vector, each a unit vector before.

        Raises:
            EzavError: the store has none, or none of that encoder.
        """
        files = self.contents.class_files
        if not files:
            raise NotFoundError(f"the store '{self.path}' has no class embeddings", "add some")
        for file in files:
            if encoder is None or encoder == file.encoder:
                if file.encoder in self._texts:
                    return self._texts[file.encoder]
                return self.load_classes(file).select(self.classes)
        if encoder is not None and " + " in encoder:
            return reduce(
                lambda joined, name: joined.concatenate(self.class_embeddings(name)),
                encoder.split(" + ")[1:],
                self.class_embeddings(encoder.split(" + ")[0]),
            )
        raise NotFoundError(
            f"the store '{self.path}' has no class embeddings of '{encoder}'",
            f"it has those of {', '.join(repr(name) for name in self.encoders)}",
        )

    def load_classes(self, file: ClassFile) -> ClassEmbeddings:
        """One text encoder's class embeddings as they were given, further names included."""
        from ezav.classes.embeddings import ClassEmbeddings

        path = self.path / "classes" / file.file
        told = read_digests(self.path).get(file.file)
        if told is not None and path.is_file() and digest(path) != told:
            raise DamagedError(
                f"the class embeddings of {file.encoder} are not those that were written", AGAIN
            )
        if not path.is_file():
            raise DamagedError(
                f"the store '{self.path}' lacks the class embeddings of {file.encoder}", AGAIN
            )
        return ClassEmbeddings.load(path)

    def shard_path(self, number: int) -> Path:
        """The file of the shard that the index calls `number`."""
        return self._shards.path_of(number)

    def bytes_of(self, *splits: str) -> int:
        """What `select` of these splits takes in float32, without reading it."""
        rows = self._rows(splits or SPLITS)
        floats = 0
        for modality in MODALITIES:
            tokens = pc.sum(rows.column(f"{modality}_tokens")).as_py() or 0
            floats += tokens * self.header.dim(modality)
        return 4 * floats

    def _rows(self, splits: tuple[str, ...]) -> pa.Table:
        for split in splits:
            if split not in SPLITS:
                raise NotFoundError(
                    f"no split named '{split}'", f"the splits are {', '.join(SPLITS)}"
                )
        return self._ok.filter(pc.is_in(self._ok.column("split"), value_set=pa.array(splits)))

    def shard(self, number: int) -> tuple[Ragged, Ragged]:
        """Both modalities of a shard, whose clips are what was written.

        The first time that a shard is read its clips are compared with their checksums, up to
        2 GiB of features in all; `verify_store` compares everything.

        Raises:
            EzavError: it is missing or damaged, or holds other features than were written.

        Example:
            >>> audio, visual = store.shard(0)
            >>> len(audio), audio.dim, visual.dim
            (144, 10, 12)
        """
        return self._shards.read(number)
