"""The recogniser: a trained run as something that names what is in a clip."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from ezav.device import choose_device
from ezav.errors import EzavError
from ezav.extraction.encoded import EncodedClip
from ezav.extraction.listing import list_videos
from ezav.extraction.reading import Limits
from ezav.features.feature_set import FeatureSet
from ezav.protocol.calibration import Calibration
from ezav.recognizer.answering import Asked
from ezav.recognizer.calibrate import calibrated
from ezav.recognizer.clip_scorer import Media
from ezav.recognizer.events import Event, ScanSettings
from ezav.recognizer.frozen import Frozen, Spec, frozen
from ezav.recognizer.joint import score_taught, score_together
from ezav.recognizer.live import LiveSource
from ezav.recognizer.names import Names
from ezav.recognizer.prediction import Prediction
from ezav.recognizer.reading import ClipReader
from ezav.recognizer.scan import scan
from ezav.recognizer.shareable import Shareable
from ezav.recognizer.taught import TaughtMethod

_FILES_AT_ONCE = 16


class Recognizer(Shareable):
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

    def predict(
        self,
        clips: Media | Sequence[Media] | FeatureSet,
        classes: Names | None = None,
        top_k: int = 5,
        explain: bool = False,
        together: bool = False,
        several: bool = False,
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
                (:mod:`ezav.recognizer.together`); what clips have taught is added. Each answer's
                `together` says how far. Nothing is explained.
            several: each class on its own against "none of these", by thresholds learned on
                validation: `names` of an answer holds all that the clip shows, which may be none.
                A list of one name will do.

        Returns:
            One prediction a clip, in order. A file that cannot be read has an `error` and no
            candidates; the others are not affected.

        Raises:
            EzavError: a bad list of classes, `top_k` below 1, stored features of other
                dimensions than the run's, or an encoder that is not available; `together` with
                one clip or of a trained run; `several` with `together` or `explain`, or where no
                thresholds were learned.
        """
        if top_k < 1:
            raise EzavError(f"top_k must be at least 1, not {top_k}")
        if several:
            self._check_several(together, explain)
        asked = Asked(
            candidates=self.candidates(classes), top_k=top_k, explain=explain, several=several
        )
        if together:
            return self._predict_together(clips, asked)
        if isinstance(clips, FeatureSet):
            self.check_dims(clips)
            return self.answering.stored(clips, asked)
        media = [clips] if isinstance(clips, Media) else list(clips)
        found: list[Prediction] = []
        for start in range(0, len(media), _FILES_AT_ONCE):
            encoded = self.encode(media[start : start + _FILES_AT_ONCE])
            features, durations = self._readable(encoded)
            found += self._told(encoded, self.answering.answer(features, durations, asked))
        return found

    def _check_several(self, together: bool, explain: bool) -> None:
        for name, given in (("together", together), ("explain", explain)):
            if given:
                raise EzavError(
                    f"`several` and `{name}`: `{name}` compares the names with each other",
                    "leave one of them out",
                )
        self.answering.thresholds()

    def scan(
        self,
        path: str | Path | LiveSource,
        classes: Names | None = None,
        settings: ScanSettings | None = None,
        on_progress: Callable[[float, float | None], None] | None = None,
        on_warning: Callable[[str], None] | None = None,
    ) -> Iterator[Event]:
        """Events of a long recording or a live source; see :func:`ezav.recognizer.scan.scan`."""
        return scan(self, path, classes, settings, on_progress, on_warning)

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

    def _readable(self, clips: Sequence[EncodedClip]) -> tuple[FeatureSet, Tensor]:
        """Features and durations `[N]` of those that could be read."""
        readable = [clip for clip in clips if not clip.error]
        return self.features(readable), torch.tensor([clip.duration for clip in readable])

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
        self, clips: Media | Sequence[Media] | FeatureSet, asked: Asked
    ) -> list[Prediction]:
        if not isinstance(self.trained, Frozen):
            raise EzavError(
                "only a frozen recogniser answers clips together: a trained run answers each alone",
                "leave `together` out",
            )
        told = None
        if isinstance(clips, FeatureSet):
            self.check_dims(clips)
            features, durations = clips, torch.zeros(len(clips))
        else:
            told = self.encode([clips] if isinstance(clips, Media) else list(clips))
            features, durations = self._readable(told)
        answering, asked = self.answering, replace(asked, explain=False)
        vectors = answering.vectors(asked.candidates)
        scores, weight = score_together(self.trained.method, features, vectors)
        if isinstance(self.model.method, TaughtMethod):
            scores = scores + score_taught(self.model.method, features, vectors)
        stacked = answering.stacked(scores, asked.candidates)
        answers = [
            replace(one, together=None if one.error else weight)
            for one in answering.answer(features, durations, asked, stacked)
        ]
        return answers if told is None else self._told(told, answers)
