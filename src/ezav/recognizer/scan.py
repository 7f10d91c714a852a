"""Hours of footage to events: overlapping windows, one answer a moment, memory that stays flat."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ezav.errors import EzavError
from ezav.media import Clip, read_windows
from ezav.recognizer.candidates import Candidates
from ezav.recognizer.encoders import join
from ezav.recognizer.prediction import Kind

if TYPE_CHECKING:
    from ezav.recognizer.recognizer import Recognizer

_WINDOWS_AT_ONCE = 16
_MOST_OVERLAP = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """A stretch of a recording in which one class stands out.

    Attributes:
        start, end: seconds from the beginning of the recording.
        name, kind: the class, and whether it is seen, unseen or new.
        probability, score: means over the event.
    """

    start: float
    end: float
    name: str
    kind: Kind
    probability: float
    score: float

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class ScanSettings:
    """How a recording is scanned.

    Raises:
        EzavError: a value that makes no sense.
    """

    window: float = 2.0
    """Seconds that are recognised together; about the length of the training clips."""
    hop: float = 0.5
    """Seconds from one window to the next; the resolution of the events."""
    min_probability: float = 0.0
    """Moments whose best class is less probable belong to no event."""
    reject: bool = True
    """Moments below the run's "none of these" threshold belong to no event."""
    shortest: float = 1.0
    """Seconds; shorter events are left out."""

    def __post_init__(self) -> None:
        if not 0.1 <= self.window <= 600:
            raise EzavError(f"a window of {self.window} s", "give 0.1 to 600 seconds")
        if not self.window / _MOST_OVERLAP <= self.hop <= self.window:
            raise EzavError(
                f"a hop of {self.hop} s with a window of {self.window} s",
                f"give {self.window / _MOST_OVERLAP:g} to {self.window:g} seconds",
            )
        if not 0 <= self.min_probability <= 1:
            raise EzavError(f"a probability of {self.min_probability}", "give 0 to 1")
        if self.shortest < 0:
            raise EzavError(f"events of {self.shortest} s", "give 0 seconds or more")


def scan(
    recognizer: Recognizer,
    path: str | Path,
    classes: Sequence[str] | None = None,
    settings: ScanSettings | None = None,
    on_progress: Callable[[float, float | None], None] | None = None,
) -> Iterator[Event]:
    """Events of a recording, in order, as soon as each is over.

    Each moment (one hop long) is answered by the mean probabilities of the windows over it, a
    window counting more the nearer its middle is. Neighbouring moments with the same best class
    make an event; one class at a time.

    Args:
        classes: as for :meth:`Recognizer.predict`.
        on_progress: called with the seconds done and the seconds the file claims to have.

    Raises:
        EzavError: the file cannot be read, a bad list of classes, an encoder that is missing.
    """
    settings = settings or ScanSettings()
    candidates = recognizer.candidates(classes)
    moments = _moments(recognizer, path, candidates, settings, on_progress)
    open_event: list[_Moment] = []
    for moment in moments:
        if open_event and open_event[-1].best != moment.best:
            yield from _event(open_event, candidates, settings)
            open_event = []
        open_event.append(moment)
    yield from _event(open_event, candidates, settings)


@dataclass(frozen=True, slots=True)
class _Moment:
    start: float
    end: float
    best: int
    """Row of the candidates; -1 for none."""
    probability: float
    score: float


@dataclass(slots=True)
class _Sum:
    """What the windows over one moment say, weighted."""

    weight: float = 0.0
    probabilities: Tensor | float = 0.0
    scores: Tensor | float = 0.0

    def add(self, weight: float, probabilities: Tensor, scores: Tensor) -> None:
        self.weight += weight
        self.probabilities = self.probabilities + weight * probabilities
        self.scores = self.scores + weight * scores


def _event(
    moments: list[_Moment], candidates: Candidates, settings: ScanSettings
) -> Iterator[Event]:
    if not moments or moments[0].best < 0:
        return
    start, end = moments[0].start, moments[-1].end
    if end - start < settings.shortest - 1e-6:
        return
    best = moments[0].best
    yield Event(
        start=round(start, 6),
        end=round(end, 6),
        name=candidates.names[best],
        kind=candidates.kinds[best],
        probability=sum(m.probability for m in moments) / len(moments),
        score=sum(m.score for m in moments) / len(moments),
    )


def _moments(
    recognizer: Recognizer,
    path: str | Path,
    candidates: Candidates,
    settings: ScanSettings,
    on_progress: Callable[[float, float | None], None] | None,
) -> Iterator[_Moment]:
    """One answer a hop; holds no more than the moments under the windows in hand."""
    hop, window = settings.hop, settings.window
    waiting: deque[_Sum] = deque()
    first, end = 0, 0.0  # number of the first waiting moment; seconds seen so far
    for clip, answer in _answers(recognizer, path, candidates, settings):
        end = max(end, clip.start + min(clip.duration, window))
        begin = round(clip.start / hop)
        # Windows come in order: no later one reaches a moment before this one's beginning.
        while waiting and first < begin:
            yield _moment(waiting.popleft(), first, end, recognizer, settings)
            first += 1
        last = max(begin + 1, round((clip.start + min(clip.duration, window)) / hop + 0.4999))
        while first + len(waiting) < last:
            waiting.append(_Sum())
        if answer is not None:
            middle = clip.start + window / 2
            for number in range(begin, last):
                far = abs((number + 0.5) * hop - middle) / (window / 2)
                waiting[number - first].add(max(0.05, 1 - far), *answer)
        if on_progress is not None:
            on_progress(end, clip.claimed)
    for moment in waiting:
        if first * hop < end:
            yield _moment(moment, first, end, recognizer, settings)
        first += 1


def _moment(
    found: _Sum, number: int, end: float, recognizer: Recognizer, settings: ScanSettings
) -> _Moment:
    start, stop = number * settings.hop, min((number + 1) * settings.hop, end)
    if not found.weight:
        return _Moment(start, stop, -1, 0.0, 0.0)
    probabilities = torch.as_tensor(found.probabilities) / found.weight
    best = int(probabilities.argmax())
    probability = float(probabilities[best])
    score = float(torch.as_tensor(found.scores)[best]) / found.weight
    weak = settings.reject and recognizer.calibration.rejects(score)
    if weak or probability < settings.min_probability:
        best = -1
    return _Moment(start, stop, best, probability, score)


def _answers(
    recognizer: Recognizer, path: str | Path, candidates: Candidates, settings: ScanSettings
) -> Iterator[tuple[Clip, tuple[Tensor, Tensor] | None]]:
    """Each window with its probabilities and scores `[C]`; None: nothing there."""
    encoders = recognizer.encoders
    windows = read_windows(
        path,
        settings.window,
        settings.hop,
        video=encoders.visual.card.needs.frame_spec,
        audio=encoders.audio.card.needs.sample_rate,
    )
    group = _Group()
    read = False
    for clip in windows:
        encoded = encoders.encode(clip)
        read = read or clip.status != "failed"
        if not read and not clip.duration:
            raise EzavError(f"cannot scan '{path}': {clip.reason}", "give a video or sound file")
        group.clips.append(replace_media(clip))
        group.encoded.append(encoded)
        if len(group.clips) >= _WINDOWS_AT_ONCE:
            yield from group.answers(recognizer, candidates)
            group = _Group()
    yield from group.answers(recognizer, candidates)


def replace_media(clip: Clip) -> Clip:
    """The clip without its pictures and sound, which are encoded already."""
    from dataclasses import replace

    return replace(clip, video={}, audio={})


@dataclass(slots=True)
class _Group:
    clips: list[Clip] = field(default_factory=list)
    encoded: list[Any] = field(default_factory=list)

    def answers(
        self, recognizer: Recognizer, candidates: Candidates
    ) -> Iterator[tuple[Clip, tuple[Tensor, Tensor] | None]]:
        found = [row for row, one in enumerate(self.encoded) if not one.error]
        answers: dict[int, tuple[Tensor, Tensor]] = {}
        if found:
            features = join([self.encoded[row] for row in found], recognizer.header)
            stacked = recognizer.score(features, candidates)
            probabilities = recognizer.calibration.probabilities(stacked)
            for at, row in enumerate(found):
                answers[row] = (probabilities[at], stacked[at])
        for row, clip in enumerate(self.clips):
            yield clip, answers.get(row)
