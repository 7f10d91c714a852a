"""The recogniser: a trained run as something that names what is in a clip."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import ModelHubMixin
from torch import Tensor

from ezav.classes.recipe import ClassEmbeddingRecipe
from ezav.device import choose_device
from ezav.encoders.base import Encoded
from ezav.encoders.descriptions import Descriptions
from ezav.errors import EzavError
from ezav.extraction.encode import encode_decoded
from ezav.extraction.encoded import EncodedClip
from ezav.extraction.listing import list_videos
from ezav.extraction.reading import Limits
from ezav.features.feature_set import FeatureSet, Ragged
from ezav.features.store import MODALITIES
from ezav.media import Clip
from ezav.protocol.result import RunResult
from ezav.protocol.verdict import verdict
from ezav.recognizer.calibrate import calibrated
from ezav.recognizer.calibration import Calibration
from ezav.recognizer.candidates import (
    Candidates,
    all_classes,
    extend,
    named_classes,
    remarks,
)
from ezav.recognizer.card import model_card
from ezav.recognizer.encoders import MEDIA, RunEncoders
from ezav.recognizer.explain import Explanation, explain
from ezav.recognizer.find import find
from ezav.recognizer.folder import read, save
from ezav.recognizer.frozen import Frozen, Spec, frozen
from ezav.recognizer.joint import score_together
from ezav.recognizer.names import Names, asked
from ezav.recognizer.prediction import Prediction
from ezav.recognizer.ranked import ranked
from ezav.recognizer.reading import ClipReader
from ezav.recognizer.trained import Trained
from ezav.training.scoring import score_all

Media = str | Path | Clip | EncodedClip
"""A clip as a file, as decoded, or as encoded by :meth:`Recognizer.encode`."""

_FILES_AT_ONCE = 16
_CLIPS_AT_ONCE = 1024
_CACHED_LISTS = 16

OnNames = Callable[[str, int, int], None]
"""Told about new class names: what is done with them, how many are done, how many there are."""


class Recognizer(ModelHubMixin, library_name="ezav", tags=["audio-visual", "zero-shot"]):
    """Names what is in clips, among a run's classes or any names.

    Attributes:
        trained: the run, or what is frozen; `model`, `text`, `header` and `calibration` are parts
            of it.
        encoders: of the run, loaded when first needed.
        reader: files to the features of the run, in worker processes that start when needed.

    Example:
        >>> Recognizer.load("no/such/run")
        Traceback (most recent call last):
        ezav.errors.NotFoundError: no run at 'no/such/run'; ...
    """

    # Not None while an instance is made: else the mixin copies the arguments, weights and all,
    # to write them as a config.
    _hub_mixin_config: dict[str, Any] | None = {}  # noqa: RUF012

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
        self._hub_mixin_config = None
        self._lists: OrderedDict[object, Candidates] = OrderedDict()

    @classmethod
    def load(
        cls,
        run: str | Path,
        device: str = "cpu",
        import_code: bool = False,
        limits: Limits | None = None,
        reader: ClipReader | None = None,
    ) -> Recognizer:
        """From a run folder, a folder that `save_pretrained` wrote, or a hub id "owner/name".

        Args:
            run: where it is.
            device: where the method and the encoders run; "auto" is a GPU where there is one.
            import_code: import the method and the encoders of one's own that the run names
                (`docs/concepts/trust.md`). Without it a run of such a method is refused, and one
                with such an encoder takes stored features only.
            limits: time and memory that reading one file may cost.
            reader: one that has been started for the run already.

        Raises:
            EzavError: there is none, it is damaged, or of another version.
            RefusedError: its method would have to be imported.
            UnavailableError: no such device.
        """
        device = choose_device(device)
        trained = read(find(run), device, import_code)
        return cls(trained, import_code, device, limits, reader)

    @classmethod
    def frozen(
        cls,
        visual: Spec | None = None,
        audio: Spec | None = None,
        text: Spec | Sequence[Spec] | None = None,
        device: str = "cpu",
        limits: Limits | None = None,
        reader: ClipReader | None = None,
    ) -> Recognizer:
        """Without a run: nothing is trained, and no labelled video is needed.

        What an encoder says of a clip is compared with the names in a space that both share: that
        of a model of text and media (CLIP, CLAP, SigLIP 2, X-CLIP, PE-AV), or that of the text
        encoder that reads the label names of a classifier (:mod:`ezav.encoders.words`). A modality
        with neither is not used (`unused` says why). The recogniser has no classes of its own, and
        its probabilities are uncalibrated until :meth:`calibrate`.

        Args:
            visual, audio: encoders by name with their options (`"clip,source=models/clip"`), or by
                import path, which is imported; default `efficientnet` and `aisfx`.
            text: the text encoder, or several; by default those whose space the others share,
                else `minilm`.
            device: where encoders run that have an option for it.
            limits: time and memory that reading one file may cost.
            reader: one that has been started for the same encoders already.

        Raises:
            EzavError: an encoder is not available, or none shares a space with the text.

        Example:
            >>> from ezav.recognizer import Recognizer
            >>> recognizer = Recognizer.frozen()
            >>> recognizer.classes, recognizer.reads, list(recognizer.unused)
            ((), ('visual',), ['audio'])
        """
        device = choose_device(device)
        # Encoders that are named in this call are the caller's word.
        return cls(frozen(visual, audio, text, device), True, device, limits, reader)

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
        """The run's K class names; none of a frozen recogniser."""
        return self.trained.classes

    @property
    def seen(self) -> tuple[str, ...]:
        """The classes that clips were trained on."""
        return self.trained.seen

    @property
    def temperature_(self) -> float:
        """Learned on validation; see :class:`Calibration`."""
        return self.calibration.temperature_

    @property
    def ece_(self) -> float:
        """Expected calibration error on validation, at the learned temperature."""
        return self.calibration.ece_

    def predict(
        self,
        clips: Media | Sequence[Media] | FeatureSet,
        classes: Names | None = None,
        top_k: int = 5,
        explain: bool = False,
        together: bool = False,
    ) -> list[Prediction]:
        """Rank class names for each clip.

        Args:
            clips: a file or several, decoded clips, or stored features. Files are read in a
                worker process: one that crashes it, or takes too long, costs that clip only.
            classes: exactly these candidates. Names that the run knows (in any case) keep their
                trained class embedding and, if seen, lose gamma; others are new: their names
                are encoded and extended to class embeddings. None: all classes of the run. A name
                may be given with what the text encoder reads in its place, `"name: description"`,
                or as a mapping, name -> descriptions (averaged as unit vectors); such a name is
                new, also where the run knows it.
            top_k: how many candidates to give for each clip.
            explain: with the contribution of each modality and moment; about 20 times the
                scoring, which for short clips is more than the reading.
            together: answer the clips jointly, of a frozen recogniser (transductive): what they
                have in common corrects each answer, as far as they are spread over the names
                (:mod:`ezav.recognizer.together`). Each answer's `together` says how far. Nothing
                is explained.

        Returns:
            One prediction a clip, in order. A file that cannot be read has an `error` and no
            candidates; the others are not affected.

        Raises:
            EzavError: a bad list of classes, `top_k` below 1, stored features of other
                dimensions than the run's, or an encoder that is not available; `together` with
                one clip or of a trained run.
        """
        if top_k < 1:
            raise EzavError(f"top_k must be at least 1, not {top_k}")
        candidates = self.candidates(classes)
        if together:
            return self._predict_together(clips, candidates, top_k)
        if isinstance(clips, FeatureSet):
            self.check_dims(clips)
            return self._predict_stored(clips, candidates, top_k, explain)
        media = [clips] if isinstance(clips, Media) else list(clips)
        found: list[Prediction] = []
        for start in range(0, len(media), _FILES_AT_ONCE):
            some = media[start : start + _FILES_AT_ONCE]
            found += self._predict_encoded(self.encode(some), candidates, top_k, explain)
        return found

    def calibrate(self, videos: str | Path) -> Calibration:
        """Learn temperature and "none of these" from clips with labels, of a frozen recogniser.

        Args:
            videos: a folder `<class name>/*`, or a CSV file `path,class`; the candidates are its
                classes.

        Raises:
            EzavError: it is a trained run; there are no such clips, or fewer than two classes.
        """
        if not isinstance(self.trained, Frozen):
            raise EzavError("a trained run learned its probabilities on its validation clips")
        self.calibration = calibrated(self, list_videos(videos))
        return self.calibration

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
        found = FeatureSet(
            audio=Ragged.from_clips([_tensors(clip.audio) for clip in clips], audio),
            visual=Ragged.from_clips([_tensors(clip.visual) for clip in clips], visual),
            labels=torch.zeros(len(clips), dtype=torch.long),
            clips=tuple(str(clip.path) for clip in clips),
            classes=("",),
        )
        _check_dims(found, {"audio": audio, "visual": visual})
        return found

    def __enter__(self) -> Recognizer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the worker processes; they start again when they are needed."""
        self.reader.close()

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
        if classes is None and not self.classes:
            raise EzavError(
                "there are no names to choose from: nothing was trained", "give `classes`"
            )
        if classes is None:
            return self._every
        names, behind = asked(classes)
        key = (tuple(names), tuple(behind.items()))
        if key not in self._lists:
            self._lists[key] = self._named(tuple(names), behind, on_progress)
            while len(self._lists) > _CACHED_LISTS:
                self._lists.popitem(last=False)
        return self._lists[key]

    @cached_property
    def _every(self) -> Candidates:
        found = all_classes(self.model.classes, self.model.seen)
        text = self.text.select(found.names)
        return replace(found, remarks=remarks(found, text, text.vectors[:0], {}))

    def _named(
        self, names: tuple[str, ...], behind: Descriptions, on_progress: OnNames | None
    ) -> Candidates:
        text = self.text.select(self.model.classes.names)
        raw, unread = text.vectors[:0], {}

        def extended(new: list[str]) -> Tensor:
            nonlocal raw, unread
            raw = self.encoders.encode_names(new, _step(on_progress, "encoded"), behind)
            unread = self.encoders.unread(new, behind)
            placed = _step(on_progress, "placed among the classes")
            recipe = getattr(self.model.method.config, "classes", None)
            recipe = recipe or ClassEmbeddingRecipe(source="raw")
            return extend(new, raw, self.text, self.model.classes, recipe, placed)

        found = named_classes(names, self.model.classes, self.model.seen, extended, behind)
        return replace(found, remarks=remarks(found, text, raw, unread))

    def score(self, clips: FeatureSet, candidates: Candidates) -> Tensor:
        """Stacked scores `[N, C]` of the candidates."""
        scores = score_all(self.model.method, clips, self._vectors(candidates))
        return self.calibration.stacked(scores[:, candidates.columns], candidates.seen)

    def _predict_encoded(
        self, clips: Sequence[EncodedClip], candidates: Candidates, top_k: int, explain: bool
    ) -> list[Prediction]:
        readable = [clip for clip in clips if not clip.error]
        durations = torch.tensor([clip.duration for clip in readable])
        features = self.features(readable)
        return self._told(clips, self._predict(features, durations, candidates, top_k, explain))

    def _told(
        self, clips: Sequence[EncodedClip], answers: Sequence[Prediction]
    ) -> list[Prediction]:
        """The answers of the readable clips among all, with what the others lack."""
        found = iter(answers)
        return [
            Prediction(clip=str(clip.path), error=clip.error)
            if clip.error
            else replace(
                next(found), missing=clip.lacks(self.encoders.kinds), warnings=clip.warnings
            )
            for clip in clips
        ]

    def _predict_together(
        self, clips: Media | Sequence[Media] | FeatureSet, candidates: Candidates, top_k: int
    ) -> list[Prediction]:
        if not isinstance(self.trained, Frozen):
            raise EzavError(
                "only a frozen recogniser answers clips together: a trained run answers each alone",
                "leave `together` out",
            )
        method, told = self.trained.method, None
        if isinstance(clips, FeatureSet):
            self.check_dims(clips)
            features, durations = clips, torch.zeros(len(clips))
        else:
            told = self.encode([clips] if isinstance(clips, Media) else list(clips))
            readable = [clip for clip in told if not clip.error]
            features = self.features(readable)
            durations = torch.tensor([clip.duration for clip in readable])
        scores, weight = score_together(method, features, self._vectors(candidates))
        stacked = self.calibration.stacked(scores[:, candidates.columns], candidates.seen)
        answers = [
            replace(one, together=None if one.error else weight)
            for one in self._predict(features, durations, candidates, top_k, False, stacked)
        ]
        return answers if told is None else self._told(told, answers)

    def _predict_stored(
        self, clips: FeatureSet, candidates: Candidates, top_k: int, explain: bool
    ) -> list[Prediction]:
        found: list[Prediction] = []
        for start in range(0, len(clips), _CLIPS_AT_ONCE):
            some = clips.subset(torch.arange(start, min(start + _CLIPS_AT_ONCE, len(clips))))
            found += self._predict(some, torch.zeros(len(some)), candidates, top_k, explain)
        return found

    def _predict(
        self,
        clips: FeatureSet,
        durations: Tensor,
        candidates: Candidates,
        top_k: int,
        explained: bool,
        stacked: Tensor | None = None,
    ) -> list[Prediction]:
        if not len(clips):
            return []
        stacked = self.score(clips, candidates) if stacked is None else stacked
        probabilities = self.calibration.probabilities(stacked)
        order = stacked.argsort(dim=1, descending=True, stable=True)[:, :top_k]
        why: Sequence[Explanation | None] = [None] * len(clips)
        if explained:
            vectors = self._vectors(candidates)
            log_probabilities = self._log_probabilities(candidates)
            why = explain(self.model.method, clips, durations, vectors, log_probabilities)
        lengths = {"audio": clips.audio.lengths.tolist(), "visual": clips.visual.lengths.tolist()}
        answers = []
        for row, name in enumerate(clips.clips):
            present = tuple(m for m in MODALITIES if lengths[m][row])
            if not set(present) & set(self.reads):
                neither = "neither sound nor picture"
                alone = f"{self._reader} reads {self.reads[0]} features only, and the clip has none"
                answers.append(Prediction(clip=name, error=alone if present else neither))
                continue
            columns = order[row]
            answers.append(
                Prediction(
                    clip=name,
                    ranked=ranked(candidates, columns, stacked[row], probabilities[row], why[row]),
                    rejected=self.calibration.rejects(float(stacked[row].max())),
                    modalities=present,
                    missing={m: "not there" for m in MODALITIES if m not in present},
                    duration=float(durations[row]),
                    remarks=candidates.remarks,
                )
            )
        return answers

    @property
    def _reader(self) -> str:
        return "the frozen recogniser" if isinstance(self.trained, Frozen) else "the run"

    @property
    def reads(self) -> tuple[str, ...]:
        """The modalities that answers come from: a clip that has none of them gets none."""
        return self.model.method.modalities or MODALITIES

    def _vectors(self, candidates: Candidates) -> Tensor:
        """Class embeddings that the method scores: the run's K classes, then the new names.

        All K always: where a method compares the classes with each other (a softmax, standard
        scores), gamma, temperature and threshold were learned with them.
        """
        return torch.cat([self.model.classes.vectors, candidates.new_vectors])

    def _log_probabilities(self, candidates: Candidates) -> Callable[[Tensor], Tensor]:
        def of(scores: Tensor) -> Tensor:
            stacked = self.calibration.stacked(scores[:, candidates.columns], candidates.seen)
            return (stacked.double() / self.calibration.temperature_).log_softmax(dim=1)

        return of

    def check_dims(self, clips: FeatureSet) -> None:
        """Refuse stored features that the run was not trained on.

        Raises:
            EzavError: they have other dimensions.
        """
        dims = self.model.method.dims
        _check_dims(clips, {"audio": dims.audio, "visual": dims.visual})

    def _save_pretrained(self, save_directory: Path) -> None:
        save(self._run(), save_directory)

    def _run(self) -> Trained:
        if isinstance(self.trained, Frozen):
            raise EzavError(
                "a frozen recogniser has nothing to save: nothing was trained",
                "name the same encoders again",
            )
        return self.trained

    @classmethod
    def from_pretrained(  # type: ignore[override]
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        device: str = "cpu",
        import_code: bool = False,
        limits: Limits | None = None,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        force_download: bool = False,
        local_files_only: bool = False,
        token: str | bool | None = None,
    ) -> Recognizer:
        """From a folder that `save_pretrained` wrote, or a hub id "owner/name"; see :meth:`load`.

        Raises:
            EzavError: there is none, no access or network, damaged, or of another version.
        """
        device = choose_device(device)
        folder = find(
            pretrained_model_name_or_path,
            revision=revision,
            cache_dir=cache_dir,
            force_download=force_download,
            local_files_only=local_files_only,
            token=token,
        )
        return cls(read(folder, device, import_code), import_code, device, limits)

    def generate_model_card(self, *args: Any, **kwargs: Any) -> Any:
        """The model card, with the run's own numbers, classes, encoders and licences."""
        return model_card(self._run())


def _step(on_progress: OnNames | None, step: str) -> Callable[[int, int], None] | None:
    return None if on_progress is None else partial(on_progress, step)


def _check_dims(clips: FeatureSet, wanted: dict[str, int]) -> None:
    for modality, found in (("audio", clips.audio.dim), ("visual", clips.visual.dim)):
        if found != wanted[modality]:
            raise EzavError(
                f"the {modality} features have {found} dimensions, the run was trained on "
                f"{wanted[modality]}",
                "extract them with the encoders of the run",
            )


def _tensors(tokens: Encoded | None) -> tuple[Tensor, Tensor] | None:
    if tokens is None:
        return None
    return torch.from_numpy(tokens.values), torch.from_numpy(tokens.times)
