"""From features to answers: scores, probabilities, and why."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ezav.errors import EzavError
from ezav.features.feature_set import FeatureSet
from ezav.features.header import MODALITIES
from ezav.protocol.calibration import Calibration
from ezav.protocol.evaluation import StageModel
from ezav.protocol.several import Several
from ezav.recognizer.candidates import Candidates
from ezav.recognizer.explain import Explanation, explain
from ezav.recognizer.prediction import ONLY, Prediction
from ezav.recognizer.ranked import ranked
from ezav.training.scoring import score_all

_CLIPS_AT_ONCE = 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What is answered of each clip.

    Attributes:
        candidates: the names to choose from.
        top_k: how many of them are told.
        explain: with what each modality and moment contributes.
        several: each class on its own: all that are above their own thresholds.
    """

    candidates: Candidates
    top_k: int = 5
    explain: bool = False
    several: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Answering:
    """A model with its calibration.

    Attributes:
        model: scores clips.
        calibration: makes probabilities of scores.
        called: what the recogniser is called in messages.
        renamed: what a class of the run is called now -> what the run calls it.
    """

    model: StageModel
    calibration: Calibration
    called: str = "the run"
    renamed: Mapping[str, str] = field(default_factory=dict)

    @property
    def reads(self) -> tuple[str, ...]:
        """The modalities that answers come from: a clip that has none of them gets none."""
        return self.model.method.modalities or MODALITIES

    def vectors(self, candidates: Candidates) -> Tensor:
        """Class embeddings that the method scores: the run's K classes, then the new names.

        All K always: where a method compares the classes with each other (a softmax, standard
        scores), gamma, temperature and threshold were learned with them.
        """
        return torch.cat([self.model.classes.vectors, candidates.new_vectors])

    def score(self, clips: FeatureSet, candidates: Candidates) -> Tensor:
        """Stacked scores `[N, C]` of the candidates."""
        return self.stacked(
            score_all(self.model.method, clips, self.vectors(candidates)), candidates
        )

    def stacked(self, scores: Tensor, candidates: Candidates) -> Tensor:
        """Of the method's scores `[N, K]` the candidates' `[N, C]`, less gamma where seen."""
        return self.calibration.stacked(scores[:, candidates.columns], candidates.seen)

    def each(self, clips: FeatureSet, candidates: Candidates) -> tuple[Tensor, Tensor]:
        """Each candidate on its own.

        Returns:
            Stacked scores `[N, C]`, and by how many log odds `[N, C]` each is above its threshold.

        Raises:
            EzavError: nothing was learned for it.
        """
        several = self.thresholds()
        scores = score_all(self.model.method, clips, self.vectors(candidates))
        stacked, trained = self.stacked(scores, candidates), self.model.classes.names
        run = len(trained)
        own = self.calibration.stacked(scores[:, :run], self.model.seen.cpu())
        top = torch.cat([own, scores[:, run:]], dim=1).amax(dim=1)
        names = [
            self.renamed.get(trained[column], trained[column]) if column < run else ""
            for column in candidates.columns.tolist()
        ]
        return stacked, several.log_odds(stacked, top, names) - several.cut

    def thresholds(self) -> Several:
        """When a class is named on its own.

        Raises:
            EzavError: nothing was learned for it.
        """
        if self.calibration.several is not None:
            return self.calibration.several
        if not self.calibration.fitted:
            raise EzavError(
                "`several` needs thresholds, which are learned from clips with labels: "
                f"{self.called} has seen none",
                "`calibrate` it, or leave `several` out",
            )
        raise EzavError(
            f"`several` needs thresholds, which {self.called} does not have: it is of an earlier "
            "ezav",
            "run it again, or leave `several` out",
        )

    def stored(self, clips: FeatureSet, asked: Asked) -> list[Prediction]:
        """Answers to stored features, in blocks."""
        found: list[Prediction] = []
        for start in range(0, len(clips), _CLIPS_AT_ONCE):
            some = clips.subset(torch.arange(start, min(start + _CLIPS_AT_ONCE, len(clips))))
            found += self.answer(some, torch.zeros(len(some)), asked)
        return found

    def answer(
        self, clips: FeatureSet, durations: Tensor, asked: Asked, stacked: Tensor | None = None
    ) -> list[Prediction]:
        """One answer a clip, in order.

        Args:
            clips: N clips.
            durations: seconds `[N]`; 0 where unknown.
            asked: what is to be told.
            stacked: scores `[N, C]` where they are known already.
        """
        if not len(clips):
            return []
        candidates = asked.candidates
        withheld = self.withheld(candidates, asked.several)
        if asked.several:
            stacked, over = self.each(clips, candidates)
            probabilities = (over + self.thresholds().cut).sigmoid()
        else:
            stacked = self.score(clips, candidates) if stacked is None else stacked
            over, probabilities = stacked, self.calibration.log_probabilities(stacked).exp()
        knows_none = not (asked.several or withheld) and self.calibration.none_ > -math.inf
        order = over.argsort(dim=1, descending=True, stable=True)
        named = (over >= 0).sum(dim=1).tolist()
        why = self._why(clips, durations, asked)
        lengths = {"audio": clips.audio.lengths.tolist(), "visual": clips.visual.lengths.tolist()}
        answers = []
        for row, name in enumerate(clips.clips):
            present = tuple(m for m in MODALITIES if lengths[m][row])
            if not set(present) & set(self.reads):
                answers.append(Prediction(clip=name, error=self._lacks(present)))
                continue
            count = named[row] if asked.several else None
            columns = order[row, : max(asked.top_k, count or 0)]
            answers.append(
                Prediction(
                    clip=name,
                    ranked=ranked(
                        candidates,
                        columns,
                        stacked[row],
                        None if withheld else probabilities[row],
                        why[row],
                    ),
                    rejected=(
                        self.calibration.rejects(float(stacked[row].max()))
                        if count is None
                        else count == 0
                    ),
                    several=count,
                    none=float(probabilities[row, -1]) if knows_none else None,
                    withheld=withheld,
                    modalities=present,
                    missing={m: "not there" for m in MODALITIES if m not in present},
                    duration=float(durations[row]),
                    remarks=candidates.remarks,
                )
            )
        return answers

    def withheld(self, candidates: Candidates, several: bool = False) -> str:
        """Why no percentage is given; empty where they are."""
        only = len(candidates) == 1 and not several
        return ONLY if only else self.calibration.withheld

    def _why(
        self, clips: FeatureSet, durations: Tensor, asked: Asked
    ) -> Sequence[Explanation | None]:
        if not asked.explain:
            return [None] * len(clips)
        vectors = self.vectors(asked.candidates)
        of = self._log_probabilities(asked.candidates)
        return explain(self.model.method, clips, durations, vectors, of)

    def _log_probabilities(self, candidates: Candidates) -> Callable[[Tensor], Tensor]:
        def of(scores: Tensor) -> Tensor:
            stacked = self.stacked(scores, candidates)
            return self.calibration.log_probabilities(stacked)[:, :-1]

        return of

    def _lacks(self, present: tuple[str, ...]) -> str:
        if not present:
            return "neither sound nor picture"
        return f"{self.called} reads {self.reads[0]} features only, and the clip has none"
