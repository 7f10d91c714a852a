"""From clips and names to scores: the reading, the encoders and the model of one recogniser."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from torch import Tensor

from ezav.closing import Closing
from ezav.errors import EzavError
from ezav.extraction.encode import encode_decoded
from ezav.extraction.encoded import EncodedClip
from ezav.extraction.reading import Limits
from ezav.features.feature_set import FeatureSet
from ezav.media import Clip
from ezav.protocol.result import RunResult
from ezav.protocol.verdict import verdict
from ezav.recognizer.answering import Answering
from ezav.recognizer.candidates import Candidates
from ezav.recognizer.encoders import MEDIA, RunEncoders
from ezav.recognizer.features import check_dims, features_of
from ezav.recognizer.frozen import Frozen
from ezav.recognizer.lists import CandidateLists, OnNames
from ezav.recognizer.names import Names
from ezav.recognizer.reading import ClipReader
from ezav.recognizer.trained import Trained

Media = str | Path | Clip | EncodedClip
"""A clip as a file, as decoded, or as encoded by :meth:`ClipScorer.encode`."""


class ClipScorer(Closing):
    """What a recogniser knows, and how it scores clips.

    Attributes:
        trained: the run, or what is frozen; `model`, `text`, `header` and `calibration` are parts
            of it.
        encoders: of the run, loaded when first needed.
        reader: files to the features of the run, in worker processes that start when needed.
    """

    def __init__(
        self,
        trained: Trained | Frozen,
        import_code: bool = False,
        device: str = "cpu",
        limits: Limits | None = None,
        reader: ClipReader | None = None,
    ) -> None:
        self.trained = trained
        self.model = trained.model
        self.text = trained.text
        self.header = trained.header
        self.calibration = trained.calibration
        kinds = trained.kinds if isinstance(trained, Frozen) else MEDIA
        self.encoders = RunEncoders(trained.header, trained.text, import_code, device, kinds)
        self.reader = ClipReader(self.encoders, limits) if reader is None else reader
        self.become(trained)

    def become(self, trained: Trained | Frozen) -> None:
        """Go on with other classes; encoders, reader and calibration stay."""
        self.trained, self.model, self.text = trained, trained.model, trained.text
        listed = trained.listed if isinstance(trained, Frozen) and trained.names else None
        made = trained.model, trained.text
        self._lists = CandidateLists(*made, self.encoders, listed, trained.base)

    @property
    def is_frozen(self) -> bool:
        """Whether nothing was trained."""
        return isinstance(self.trained, Frozen)

    @property
    def unused(self) -> dict[str, str]:
        """Modality -> why it is not read; empty for a trained run."""
        return dict(self.trained.unused) if isinstance(self.trained, Frozen) else {}

    @property
    def result(self) -> RunResult:
        """The result of the run.

        Raises:
            EzavError: nothing was trained.
        """
        if isinstance(self.trained, Frozen):
            raise EzavError("a frozen recogniser has no result: nothing was trained")
        return self.trained.result

    @cached_property
    def caution(self) -> str:
        """Where the run was no better than guessing on its test clips, that; else empty."""
        if isinstance(self.trained, Frozen):
            return ""
        found = verdict([self.result])
        return "" if found is None else found.warning

    @property
    def classes(self) -> tuple[str, ...]:
        """The run's K class names; of a frozen recogniser those it was saved with, if any."""
        return self.trained.classes

    @property
    def seen(self) -> tuple[str, ...]:
        """The classes that clips were trained on."""
        return self.trained.seen

    @property
    def reads(self) -> tuple[str, ...]:
        """The modalities that answers come from: a clip that has none of them gets none."""
        return self.answering.reads

    @property
    def temperature_(self) -> float:
        """Learned on validation; see :class:`Calibration`."""
        return self.calibration.temperature_

    @property
    def ece_(self) -> float:
        """Expected calibration error on validation, at the learned temperature."""
        return self.calibration.ece_

    @property
    def answering(self) -> Answering:
        """The model with the calibration of now."""
        called = "the frozen recogniser" if self.is_frozen else "the run"
        renamed = {now: own for own, now in self.trained.taught.renamed.items()}
        return Answering(
            model=self.model, calibration=self.calibration, called=called, renamed=renamed
        )

    def encode(self, clips: Sequence[Media]) -> list[EncodedClip]:
        """The tokens of clips, in order; one without says why in its `error`.

        Args:
            clips: files, which are read in a worker process; decoded clips; encoded ones stay.

        Raises:
            EzavError: an encoder that is not available, or a decoded clip that was decoded for
                other needs than the encoders'.
        """
        files = [clip for clip in clips if isinstance(clip, str | Path)]
        read = iter(self.reader.encode(files) if files else ())
        encoded: list[EncodedClip] = []
        for clip in clips:
            if isinstance(clip, Clip):
                encoded.append(encode_decoded(clip, self.encoders.by_slot))
            else:
                encoded.append(clip if isinstance(clip, EncodedClip) else next(read))
        return encoded

    def features(self, clips: Sequence[EncodedClip]) -> FeatureSet:
        """Encoded clips as features; their labels are all 0 and mean nothing.

        Raises:
            EzavError: the encoders gave other dimensions than the run was trained on.
        """
        if isinstance(self.trained, Frozen):  # its header names only the encoders that are used
            audio, visual = self.model.method.dims.audio, self.model.method.dims.visual
        else:
            audio, visual = self.header.dim("audio"), self.header.dim("visual")
        return features_of(clips, audio, visual)

    def candidates(
        self, classes: Names | None = None, on_progress: OnNames | None = None
    ) -> Candidates:
        """The names to choose from, with their class embeddings; lists are remembered.

        Args:
            classes: as for :meth:`predict`.
            on_progress: told about new names, which take about 2 ms each on a CPU.

        Raises:
            EzavError: a bad list, or the text encoder is not available for a new name.
        """
        return self._lists.of(classes, on_progress)

    def score(self, clips: FeatureSet, candidates: Candidates) -> Tensor:
        """Stacked scores `[N, C]` of the candidates."""
        return self.answering.score(clips, candidates)

    def check_dims(self, clips: FeatureSet) -> None:
        """Refuse stored features that the run was not trained on.

        Raises:
            EzavError: they have other dimensions.
        """
        dims = self.model.method.dims
        check_dims(clips, dims.audio, dims.visual)

    def close(self) -> None:
        """End the worker processes; they start again when they are needed."""
        self.reader.close()
