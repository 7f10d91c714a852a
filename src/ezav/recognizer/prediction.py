"""What a recogniser says about a clip: plain typed values, ready for JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from ezav.errors import EzavError

ONLY = "there is one name only: nothing to choose from"
"""Why a single candidate has no probability."""
Kind = Literal["seen", "unseen", "new", "taught"]
"""Trained on clips of the class; only its name was known in training; typed by the user; shown by a
few clips after the training."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """What one stretch of a clip says about a class.

    Attributes:
        start, end: seconds.
        alone: the class's probability when only this moment is heard and seen; no more than a
            shade where the clip's probabilities are withheld.
        contribution: how much the class's log probability (natural logarithm) falls when this
            moment is taken out of the clip; negative where it speaks against the class.
    """

    start: float
    end: float
    alone: float
    contribution: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """One class as an answer for a clip.

    Attributes:
        name: the class, as it was asked for.
        kind: "seen", "unseen" or "new".
        score: the method's score after calibrated stacking (gamma is subtracted from seen
            classes); any real number, higher is better.
        probability: softmax of score over temperature, among the candidates and "none of these",
            0 to 1, or where several were asked for that of the class on its own; None where it is
            withheld.
        known_as: the run's own spelling where it differs from `name`; empty otherwise.
        contributions: "audio" and "visual": how much the log probability falls without that
            modality. Empty when the clip has one modality only, or nothing was explained.
        moments: the same in time; empty where the features of the clip have no time.
    """

    name: str
    kind: Kind
    score: float
    probability: float | None
    known_as: str = ""
    contributions: dict[str, float] = field(default_factory=dict)
    moments: tuple[Moment, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Prediction:
    """The answer for one clip.

    Attributes:
        clip: the file, or the name of the stored clip.
        ranked: the best candidates, best first (where several were asked for, at least all that are
            above their thresholds); empty when the clip could not be read.
        rejected: "none of these": the best score is below the threshold learned on validation, or
            where several were asked for, each.
        none: the probability of "none of these"; None where it is not known.
        withheld: why there are no probabilities; empty where there are.
        modalities: which of "audio" and "visual" the clip has.
        missing: modality -> why the clip lacks it.
        duration: seconds, 0 when it is not known.
        warnings: what was wrong with a file that could still be read.
        remarks: what the text encoder cannot read of the candidates' names, or not tell apart.
        error: why the clip could not be read; empty when it could.
        several: where each class was asked for on its own, how many of the first `ranked` are
            above their thresholds; None where one answer was asked for.
        together: how far the other clips counted, 0 to 1, where clips are answered together
            (transductive: with other clips beside it the answer may be another); None where the
            clip stands alone.

    Example:
        >>> dog = Candidate(name="dog", kind="new", score=2.0, probability=0.8)
        >>> Prediction(clip="a.mp4", ranked=(dog,), modalities=("audio",)).best.name
        'dog'
    """

    clip: str
    ranked: tuple[Candidate, ...] = ()
    rejected: bool = False
    none: float | None = None
    withheld: str = ""
    modalities: tuple[str, ...] = ()
    missing: dict[str, str] = field(default_factory=dict)
    duration: float = 0.0
    warnings: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    error: str = ""
    several: int | None = None
    together: float | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """What the clip shows: the best name, or, where several were asked for, all that are above
        their thresholds; none where it is none of these.

        Example:
            >>> two = [Candidate(name=n, kind="new", score=1.0, probability=None) for n in "ab"]
            >>> Prediction(clip="a.mp4", ranked=tuple(two), several=2).names
            ('a', 'b')
        """
        count = self.several if self.several is not None else int(not self.rejected)
        return tuple(one.name for one in self.ranked[:count])

    @property
    def best(self) -> Candidate:
        """The first candidate, whether it is rejected or not.

        Raises:
            EzavError: the clip could not be read.
        """
        if not self.ranked:
            raise EzavError(f"'{self.clip}' has no answer: {self.error or 'no candidates'}")
        return self.ranked[0]

    def as_dict(self) -> dict[str, Any]:
        """The prediction as JSON-ready data."""
        return asdict(self)
