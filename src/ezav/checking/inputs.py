"""What the checks read of a store: clips, sources, class texts, what an encoder says of clips."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import pyarrow.compute as pc
import torch
import torch.nn.functional as F
from torch import Tensor

from ezav.errors import EzavError, UnavailableError
from ezav.features.feature_set import FeatureSet, Ragged
from ezav.features.index import OK
from ezav.features.sources import source_of
from ezav.features.store import FeatureStore
from ezav.methods.best.closed_form import UnitInput
from ezav.methods.common.centring import aligned_scores, centred
from ezav.methods.common.label_words import LabelWords
from ezav.protocol.labels import label_head


@dataclass(frozen=True, eq=False)
class Inputs:
    """The N readable clips of a store, for the checks.

    Attributes:
        clips: their features and labels.
        splits: one a clip.
        sources: one a clip: what it was cut from; a clip without one is its own.
        text: the names' vectors `[C, d]`, what all share taken off; None: there are none.
        said: what an encoder that knows labels says of the clips, as scores `[N, C]`; None: none.
        notes: what is not there, and why.
    """

    clips: FeatureSet
    splits: tuple[str, ...]
    sources: tuple[str, ...]
    text: Tensor | None = None
    said: Tensor | None = None
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        store: FeatureStore,
        text_encoder: str | None = None,
        sources: Mapping[str, str] | None = None,
    ) -> Inputs:
        """Read all readable clips of a store into memory.

        Args:
            store: the store.
            text_encoder: whose class embeddings; None: the first that it has.
            sources: clip -> what it was cut from; None: as the store knows it.

        Raises:
            EzavError: the store is damaged, or has no class embeddings of that encoder.
        """
        clips = store.select()
        rows = store.index.filter(pc.equal(store.index.column("status"), OK))
        of_clip = dict(zip(rows.column("clip").to_pylist(), rows.column("split").to_pylist()))
        splits = tuple(of_clip[clip] for clip in clips.clips)
        known = store.sources if sources is None else sources
        origins = tuple(source_of(clip, known) for clip in clips.clips)
        if not store.encoders and text_encoder is None:
            note = "there are no class embeddings: names and class folds were not checked"
            return cls(clips, splits, origins, notes=(note,))
        found = store.class_embeddings(text_encoder)
        text = centred(found.vectors, F.normalize(found.vectors, dim=1).mean(dim=0))
        try:
            head = label_head(store.header, found.encoder)
        except UnavailableError as error:
            note = f"what the encoder says by itself was not asked: {error.message}"
            return cls(clips, splits, origins, text, notes=(note,))
        if head is None:
            return cls(clips, splits, origins, text)
        words = LabelWords(clips.audio.dim, clips.visual.dim, text.shape[1])
        words.know(head)
        every = torch.arange(len(clips))
        vectors = words(clips.audio.gather(every, True), clips.visual.gather(every, True))
        told = vectors[vectors.abs().amax(dim=1) > 0]
        mean = F.normalize(told, dim=1).mean(dim=0) if len(told) else torch.zeros(len(text[0]))
        return cls(clips, splits, origins, text, aligned_scores(vectors, mean, text))

    @property
    def labels(self) -> Tensor:
        """long `[N]`."""
        return self.clips.labels

    @property
    def classes(self) -> tuple[str, ...]:
        """The C names."""
        return self.clips.classes

    @cached_property
    def audio(self) -> Tensor:
        """Sound, standardised over all clips, at unit length, `[N, audio]`; zeros without."""
        return _unit(self.clips.audio)

    @cached_property
    def visual(self) -> Tensor:
        """Picture, standardised over all clips, at unit length, `[N, visual]`; zeros without."""
        return _unit(self.clips.visual)

    @cached_property
    def both(self) -> Tensor:
        """Picture and sound side by side."""
        return torch.cat([self.visual, self.audio], dim=1)

    def subset(self, rows: Tensor) -> Inputs:
        """Some of the clips (long), with the same classes."""
        return Inputs(
            self.clips.subset(rows),
            tuple(self.splits[row] for row in rows.tolist()),
            tuple(self.sources[row] for row in rows.tolist()),
            self.text,
            None if self.said is None else self.said[rows],
        )


def _unit(features: Ragged) -> Tensor:
    present = features.lengths > 0
    unit = UnitInput(features.dim)
    unit.fit(features.means, present)
    made: Tensor = unit(features.means, present)
    return made


def refuse_empty(store: FeatureStore) -> None:
    """Refuse a store without a readable clip.

    Raises:
        EzavError: it has none.
    """
    if not sum(store.splits.values()):
        raise EzavError(f"no clip of '{store.path}' can be read", "extract its videos again")
