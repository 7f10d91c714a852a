"""One row of a table of answers."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from ezav.recognizer.prediction import Candidate, Prediction


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What one clip is called among one list of names.

    Attributes:
        file: the clip, relative to the folder of the table, with `/`; absolute where the two have
            nothing in common.
        among: the list of names; `run` where it is the run's own classes.
        answer: the best name; empty where the clip could not be read.
        kind: "seen", "unseen" or "new".
        probability: of the answer, 0 to 1; None where there is none that deserves the name.
        runner_up: the second best name; empty where there was one name only.
        margin: how much more the method's score (after calibrated stacking) of the answer is than
            the runner-up's, 0 or more: the smaller, the more doubtful.
        also: where several were asked for, the other names that are above their thresholds, the
            surest first, with `; ` between them.
        none_of_these: the best score is below the threshold learned on validation.
        missing: modalities that the clip lacks, and why.
        damage: what was wrong with a file that could still be read.
        error: why it could not be read.
        correct: what it is, where a person said so; nothing is learned of it but by `ezav teach`.

    Example:
        >>> Answer(file="a.mp4", among="run", answer="dog", kind="seen").columns()["probability"]
    """

    file: str
    among: str
    answer: str = ""
    kind: str = ""
    probability: float | None = None
    runner_up: str = ""
    margin: float | None = None
    also: str = ""
    none_of_these: bool = False
    missing: str = ""
    damage: str = ""
    error: str = ""
    correct: str = ""

    def columns(self) -> dict[str, Any]:
        """Column -> value, in the order of `COLUMNS`."""
        return asdict(self)


COLUMNS: tuple[str, ...] = tuple(field.name for field in fields(Answer))
"""Of a table of answers."""


def answer_of(prediction: Prediction, file: str, among: str) -> Answer:
    """The row of a prediction.

    Example:
        >>> dog = Candidate(name="dog", kind="new", score=2.0, probability=0.8)
        >>> cat = Candidate(name="cat", kind="new", score=1.5, probability=0.2)
        >>> row = answer_of(Prediction(clip="/x/a.mp4", ranked=(dog, cat)), "a.mp4", "run")
        >>> row.answer, row.probability, row.runner_up, row.margin
        ('dog', 0.8, 'cat', 0.5)
    """
    if prediction.error:
        return Answer(file=file, among=among, error=prediction.error)
    best, *rest = prediction.ranked
    return Answer(
        file=file,
        among=among,
        answer=best.name,
        kind=best.kind,
        probability=worth(best, only=not rest),
        runner_up=rest[0].name if rest else "",
        margin=best.score - rest[0].score if rest else None,
        also="; ".join(prediction.names[1:]),
        none_of_these=prediction.rejected,
        missing="; ".join(f"{kind}: {why}" for kind, why in prediction.missing.items()),
        damage="; ".join(prediction.warnings),
    )


def worth(candidate: Candidate, only: bool) -> float | None:
    """The probability, where it says something: of the only name there is it is always 1."""
    return None if only and candidate.probability == 1 else candidate.probability
