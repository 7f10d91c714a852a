"""From clips and names to lessons: what is refused, what is new, what was shown before."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ezav.errors import EzavError
from ezav.features.feature_set import FeatureSet
from ezav.methods.base import Method
from ezav.methods.common.few_shot import likeness
from ezav.naming import shown
from ezav.protocol.appearance import Appearance
from ezav.recognizer.taught import Lesson, Taught

_MOST = 200
"""Clips of a class: with more, training is better by far."""
_AT_ONCE = 64
_TWICE = 1 - 1e-6
"""Cosine from which two clips are one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TaughtClass:
    """What became of one class of a lesson.

    Attributes:
        name: as the recogniser calls it.
        new: it was no class before.
        added: clips that show it now and did not before.
        repeated: those that did.
        clips: all that show it.
    """

    name: str
    new: bool
    added: int
    repeated: int
    clips: int

    def __str__(self) -> str:
        what = "a new class" if self.new else "known better"
        twice = f", {self.repeated} shown before" if self.repeated else ""
        clips = f"{self.clips} clip{'s' * (self.clips != 1)}"
        return f"{shown(self.name)}: {what}, {clips} ({self.added} added{twice})"


def refusal(method: Method, look: Appearance | None = None) -> EzavError | None:
    """Why a recogniser cannot be taught by clips; None where it can."""
    if look is not None or type(method).appearance is not Method.appearance:
        return None
    return EzavError(
        f"this run of {method.title} did not learn what clips of a class are worth: an earlier "
        "ezav made it",
        "run it again; 'ezav run' learns that now",
    )


def appearances(
    method: Method, clips: FeatureSet, look: Appearance | None = None
) -> tuple[Tensor, ...]:
    """What clips look like to a recogniser, `[N, d]` a modality; without `look` to its method.

    Raises:
        EzavError: neither says so, or a clip has nothing that it reads.
    """
    if (error := refusal(method, look)) is not None:
        raise error
    pooled = not method.uses_time
    found: list[tuple[Tensor, ...]] = []
    with torch.inference_mode():
        for start in range(0, len(clips), _AT_ONCE):
            rows = torch.arange(start, min(start + _AT_ONCE, len(clips)))
            audio, visual = (one.gather(rows, pooled=pooled) for one in (clips.audio, clips.visual))
            device = method.device
            found.append((look or method.appearance)(audio.to(device), visual.to(device)))
    parts = tuple(torch.cat(some).cpu().clone() for some in zip(*found))
    there = sum((part.abs().amax(dim=1) for part in parts), torch.zeros(len(clips)))
    for name, length in zip(clips.clips, there.tolist(), strict=True):
        if not length:
            raise EzavError(
                f"'{shown(name)}' has nothing that the recogniser reads", "leave it out"
            )
    return parts


def add_lessons(
    taught: Taught,
    wanted: Mapping[str, tuple[bool, tuple[Tensor, ...], Sequence[str]]],
    vectors_of: Callable[[str, bool], tuple[Tensor, Tensor]],
) -> tuple[Taught, tuple[TaughtClass, ...]]:
    """What was taught, and more.

    Args:
        taught: so far.
        wanted: class, as the recogniser calls it -> whether it is known, what its clips look like,
            what they are called.
        vectors_of: class embedding and raw text embedding of a name; and whether it is known.

    Returns:
        All that is taught then, and what became of each class.

    Raises:
        EzavError: a clip shows two classes; too many clips.
    """
    lessons = {one.name: one for one in taught.lessons}
    said = []
    for name, (known, parts, files) in wanted.items():
        earlier = lessons.get(name)
        kept: list[int] = []
        repeated = 0
        for at, file in enumerate(files):
            own = tuple(part[at : at + 1] for part in parts)
            other = _shows(own, lessons)
            if other not in ("", name):
                raise EzavError(
                    f"'{shown(file)}' shows '{shown(other)}' already and cannot show "
                    f"'{shown(name)}', too",
                    f"forget '{shown(other)}' first, or leave the clip out",
                )
            if other == name:
                repeated += 1
                continue
            kept.append(at)
            before = lessons.get(name)
            if before is not None:
                clips = tuple(torch.cat(pair) for pair in zip(before.clips, own))
                lessons[name] = replace(before, clips=clips)
            else:
                vector, text = vectors_of(name, known)
                lessons[name] = Lesson(name=name, vector=vector, text=text, clips=own, known=known)
        if lessons[name].count > _MOST:
            raise EzavError(
                f"'{shown(name)}' would have {lessons[name].count} clips, and {_MOST} are the most",
                "train with them: 'ezav extract' and 'ezav run'",
            )
        told = TaughtClass(
            name=name,
            new=earlier is None and not known,
            added=len(kept),
            repeated=repeated,
            clips=lessons[name].count,
        )
        said.append(told)
    return replace(taught, lessons=tuple(lessons.values())), tuple(said)


def _shows(clip: tuple[Tensor, ...], lessons: Mapping[str, Lesson]) -> str:
    """The class that a clip shows already; empty where none."""
    for name, lesson in lessons.items():
        cosine, both = likeness(clip, lesson.clips)
        # Without a modality it is not the clip that has it.
        same = [own.any(1)[:, None] == its.any(1)[None] for own, its in zip(clip, lesson.clips)]
        if bool(((cosine > _TWICE) & both & torch.stack(same).all(dim=0)).any()):
            return name
    return ""
