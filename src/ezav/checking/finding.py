"""What a look at the data found: one row a finding, and all of them together."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "label",
    "copy",
    "source",
    "unread",
    "missing",
    "silent",
    "black",
    "still",
    "short",
    "few",
    "name",
    "known",
]
TITLES: dict[Kind, str] = {
    "label": "clips whose label the others contradict",
    "copy": "pairs of clips that are nearly the same, across splits or classes",
    "source": "sources with clips on both sides of the test",
    "unread": "clips that could not be read",
    "missing": "clips without sound or without a picture",
    "silent": "clips whose sound is silence",
    "black": "clips whose picture is black",
    "still": "clips in which nothing changes",
    "short": "clips that are too short",
    "few": "classes with too few clips",
    "name": "class names that the text encoder cannot read or tell apart",
    "known": "classes that an encoder knows from its own training",
}
"""Kind -> what its findings are, in the order in which they matter."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing to look at.

    Attributes:
        kind: of :data:`TITLES`.
        said: what was found, in words.
        clip: whose finding it is; empty where it is a class's.
        class_name: the label of the clip, or the class.
        split: of the clip.
        other: the class that the others give the clip, the other clip of a pair, or the label of
            an encoder's training.
        score: the larger, the surer; its unit is that of the kind. None where it is a fact.
    """

    kind: Kind
    said: str
    clip: str = ""
    class_name: str = ""
    split: str = ""
    other: str = ""
    score: float | None = None


@dataclass(frozen=True, kw_only=True)
class Point:
    """A point of the learning curve: `hm` in 0 to 1, standard error over folds."""

    clips: int
    hm: float
    error: float


@dataclass(frozen=True, kw_only=True)
class LearningCurve:
    """How good the closed form is with so many clips a class, on class folds of the known clips.

    Attributes:
        points: by number of clips a class.
        gain, error: what the last doubling brought, paired over folds.
        folds: how many.
    """

    points: tuple[Point, ...]
    gain: float
    error: float
    folds: int

    @property
    def sentence(self) -> str:
        """What it says of more clips.

        Example:
            >>> points = tuple(Point(clips=n, hm=0.5, error=0.01) for n in (4, 8))
            >>> LearningCurve(points=points, gain=0.002, error=0.01, folds=8).sentence
            'from 4 to 8 clips a class: +0.2 ± 1.0 points of HM; more clips of these classes ...'
        """
        first, last = self.points[-2:]
        step = f"from {first.clips} to {last.clips} clips a class: {100 * self.gain:+.1f} ± "
        step += f"{100 * self.error:.1f} points of HM"
        if self.gain > 2 * self.error:
            return f"{step}; as many again may bring up to as much"
        return f"{step}; more clips of these classes are not shown to help"


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """What a look at a store found.

    Attributes:
        store: where it is.
        clips, classes: how many it has.
        findings: in the order of :data:`TITLES`, the surest of a kind first.
        curve: of more clips; None where it could not be drawn.
        notes: what could not be checked, and why.
    """

    store: str
    clips: int
    classes: int
    findings: tuple[Finding, ...]
    curve: LearningCurve | None = None
    notes: tuple[str, ...] = ()

    def of(self, kind: Kind) -> tuple[Finding, ...]:
        """The findings of a kind."""
        return tuple(one for one in self.findings if one.kind == kind)

    @property
    def counts(self) -> dict[Kind, int]:
        """Kind -> number of findings, of those that there are."""
        found = Counter(one.kind for one in self.findings)
        return {kind: found[kind] for kind in TITLES if found[kind]}
