"""What a run reached, in words: right for how many clips, and whether that is more than a guess."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from ezav.protocol.compare import paired_bootstrap
from ezav.protocol.evaluation import Evaluation
from ezav.protocol.result import ClassResult, Control, RunResult

_SURE = 1.96
"""Standard errors above a guess from which a run is called better: 19 guesses of 20 are below."""
_CONTROLS = {
    "shuffled": "WITH THE NAMES OF THE NEW CLASSES SHUFFLED",
    "frozen": "THE FROZEN ENCODERS WITHOUT TRAINING",
}
"""The rows that a run should be above, and what a warning calls them."""
_SHORT = {"shuffled": "names shuffled", "frozen": "frozen encoders"}


@dataclass(frozen=True, kw_only=True)
class Side:
    """The test clips of the seen or of the unseen classes.

    Attributes:
        classes: how many.
        clips: how many test clips they have.
        right: clips that were named right among all classes, a mean over seeds.
        guess: clips that the best guess which never looks at the clip would name right.
    """

    classes: int
    clips: int
    right: float
    guess: float


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What runs of one row (the seeds of one method) reached on their test clips.

    Where every class was trained on there is no unseen side: the numbers of `hm…` are then those of
    the mean recall over all classes, and those of `zsl…` are nan.

    Attributes:
        seen, unseen: the two sides.
        hm, hm_guess: harmonic mean of the two class-averaged recalls, and that of the best guess.
        hm_error: standard error of `hm` over test clips, or of the guess's where that is larger.
        zsl, zsl_guess, zsl_error: likewise, unseen classes among themselves.
        controls: how far the runs are above the rows that they should beat, means over seeds.
        seeds: how many runs.
    """

    seen: Side
    unseen: Side | None
    hm: float
    hm_guess: float
    hm_error: float
    zsl: float
    zsl_guess: float
    zsl_error: float
    controls: Mapping[str, Control] = field(default_factory=dict)
    seeds: int = 1

    @property
    def sentence(self) -> str:
        """How many clips were right, against guessing."""
        seeds = f" (mean of {self.seeds} seeds)" if self.seeds > 1 else ""
        seen = (
            f"right for {_count(self.seen.right)} of {_clips(self.seen)} it was trained on "
            f"(guessing: {_count(self.seen.guess)})"
        )
        if self.unseen is None:
            return f"{seen}{seeds}; of classes it was not trained on nothing was tested"
        return (
            f"{seen}, and for {_count(self.unseen.right)} of "
            f"{_clips(self.unseen)} it was not (guessing: {_count(self.unseen.guess)}){seeds}"
        )

    @property
    def against(self) -> str:
        """HM beside what it should be above, in one line; empty where nothing was compared."""
        if self.unseen is None or not self.controls:
            return ""
        rows = [f"guessing {self.hm_guess:.1%}"]
        rows += [f"{_SHORT.get(name, name)} {one.HM:.1%}" for name, one in self.controls.items()]
        return f"HM {self.hm:.1%}; {', '.join(rows)}"

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready, with the words."""
        plain = {one.name: getattr(self, one.name) for one in fields(self)}
        plain |= {name: None for name, value in plain.items() if value != value}  # nan
        plain |= {
            "seen": asdict(self.seen),
            "unseen": None if self.unseen is None else asdict(self.unseen),
            "controls": {name: one.model_dump() for name, one in self.controls.items()},
        }
        return {**plain, "sentence": self.sentence, "warning": self.warning}

    @property
    def better_than_guessing(self) -> bool:
        """HM is above that of a guess by more than chance over the test clips explains."""
        return self.hm - self.hm_guess > _SURE * self.hm_error

    @property
    def warning(self) -> str:
        """What must not be overlooked; empty where the run is better than a guess."""
        if not self.better_than_guessing:
            number = "HM" if self.unseen is not None else "mean recall"
            return (
                f"NO BETTER THAN GUESSING: {number} {self.hm:.1%} ± {self.hm_error:.1%}; a guess "
                f"that never looks at the clip reaches {self.hm_guess:.1%}"
            )
        if (
            self.unseen is not None
            and self.unseen.classes > 1
            and self.zsl - self.zsl_guess <= _SURE * self.zsl_error
        ):
            return (
                "NO BETTER THAN GUESSING AMONG CLASSES IT WAS NOT TRAINED ON: "
                f"{self.zsl:.1%} ± {self.zsl_error:.1%} right; a guess reaches "
                f"{self.zsl_guess:.1%}"
            )
        for name, called in _CONTROLS.items():
            one = self.controls.get(name)
            if one is not None and one.low <= 0:
                return _no_better(called, one.above, one.low, one.high)
        return ""


def verdict(runs: Sequence[RunResult]) -> Verdict | None:
    """The verdict on the runs of one row; None where a side that has classes has no test clips.

    Example:
        >>> from ezav.protocol.run_folder import read_result
        >>> print(verdict([read_result(runs / "ez-0")]).sentence[:48])
        right for 29 of 30 clips of the 5 classes it was
    """
    if not runs:
        return None
    first = runs[0]
    sides = [[one for one in first.per_class if one.seen == seen and one.clips] for seen in (1, 0)]
    closed = not first.candidates["unseen"]
    if not sides[0] or not (sides[1] or closed):
        return None
    if closed:
        return _closed(runs)
    guess = first.chance
    found, recalls = [], []
    for seen, guessed in ((True, guess.S), (False, guess.U)):
        classes = _over_seeds(runs, seen)
        clips = [count for count, _, _ in classes]
        right = sum(count * recall for count, recall, _ in classes)
        found.append(
            Side(classes=len(classes), clips=sum(clips), right=right, guess=guessed * sum(clips))
        )
        recalls.append((classes, guessed))
    hm = _mean([run.metrics.HM for run in runs])
    zsl_classes = [(count, zsl, zsl) for count, _, zsl in recalls[1][0]]
    return Verdict(
        seen=found[0],
        unseen=found[1],
        hm=hm,
        hm_guess=guess.HM,
        hm_error=_hm_error(recalls),
        zsl=_mean([run.metrics.ZSL for run in runs]),
        zsl_guess=guess.ZSL,
        zsl_error=math.sqrt(_variance(zsl_classes, guess.ZSL)),
        controls=_controls(runs),
        seeds=len(runs),
    )


def _closed(runs: Sequence[RunResult]) -> Verdict:
    """Where every class was trained on: the mean recall against a guess among all of them."""
    guess = runs[0].chance.S
    classes = _over_seeds(runs, True)
    clips = sum(count for count, _, _ in classes)
    right = sum(count * recall for count, recall, _ in classes)
    return Verdict(
        seen=Side(classes=len(classes), clips=clips, right=right, guess=guess * clips),
        unseen=None,
        hm=_mean([run.metrics.S for run in runs]),
        hm_guess=guess,
        hm_error=math.sqrt(_variance(classes, guess)),
        zsl=math.nan,
        zsl_guess=math.nan,
        zsl_error=math.nan,
        seeds=len(runs),
    )


def _controls(runs: Sequence[RunResult]) -> dict[str, Control]:
    """Of rows that every run was compared with, the means over runs."""
    found = {}
    for name in runs[0].controls:
        several = [run.controls[name] for run in runs if name in run.controls]
        if len(several) == len(runs):
            numbers = [one.model_dump() for one in several]
            found[name] = Control(**{key: _mean([n[key] for n in numbers]) for key in numbers[0]})
    return found


def no_better_than(
    ours: Evaluation, other: Evaluation, gammas: tuple[float, float], called: str
) -> str:
    """A sentence where HM is not surely above another row's on the same clips; else empty.

    Args:
        ours, other: test evaluations of the two.
        gammas: their calibration constants.
        called: what the other row is: "the frozen row".
    """
    number = "S" if bool(ours.seen.all()) else "HM"
    one = paired_bootstrap(ours, other, gammas)[number]
    return "" if one.low > 0 else _no_better(called, one.value, one.low, one.high, number)


def _no_better(called: str, above: float, low: float, high: float, number: str = "HM") -> str:
    return (
        f"NO BETTER THAN {called}: {number} {above:+.1%} "
        f"(95 % of resampled clips: {low:+.1%} to {high:+.1%})"
    )


_Class = tuple[int, float, float]
"""Test clips of a class, its recall, and its recall among the unseen; means over seeds."""


def _over_seeds(runs: Sequence[RunResult], seen: bool) -> list[_Class]:
    by_name: dict[str, list[ClassResult]] = {}
    for run in runs:
        for one in run.per_class:
            if one.seen == seen and one.clips:
                by_name.setdefault(one.name, []).append(one)
    return [
        (
            several[0].clips,
            _mean([x.recall or 0 for x in several]),
            _mean([x.zsl_recall or 0 for x in several]),
        )
        for several in by_name.values()
    ]


def _variance(classes: Sequence[_Class], guess: float) -> float:
    """Of a mean over classes of recalls, each a share of the class's own clips.

    The larger of two: that of the recalls as they were met (half a clip added on either side, for
    none and all right are not certain), and that of a guess.
    """
    met = guessed = 0.0
    for clips, recall, _ in classes:
        share = (recall * clips + 0.5) / (clips + 1)
        met += share * (1 - share) / clips
        guessed += guess * (1 - guess) / clips
    return max(met, guessed) / len(classes) ** 2


def _hm_error(recalls: Sequence[tuple[Sequence[_Class], float]]) -> float:
    """Standard error of the harmonic mean S, U to first order, the larger of met and guessed."""
    (seen, s_guess), (unseen, u_guess) = recalls
    variances = _variance(seen, s_guess), _variance(unseen, u_guess)
    met = (_mean([recall for _, recall, _ in side]) for side in (seen, unseen))
    errors = []
    for s, u in (tuple(met), (s_guess, u_guess)):
        if s + u == 0:
            continue
        slopes = 2 * u**2 / (s + u) ** 2, 2 * s**2 / (s + u) ** 2
        errors.append(sum(slope**2 * v for slope, v in zip(slopes, variances)))
    return math.sqrt(max(errors))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _count(clips: float) -> str:
    return f"{clips:.0f}"


def _clips(side: Side) -> str:
    classes = "class" if side.classes == 1 else "classes"
    return f"{side.clips} clips of the {side.classes} {classes}"
