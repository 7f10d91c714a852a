"""Hours of footage to events: overlapping windows, one answer a moment, memory that stays flat."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ezav.errors import EzavError
from ezav.extraction.encoded import EncodedClip
from ezav.protocol.cut import LEAST, nearness, share
from ezav.recognizer.candidates import Candidates
from ezav.recognizer.events import Event, ScanSettings, Settled
from ezav.recognizer.live import LiveSource
from ezav.recognizer.names import Names
from ezav.recognizer.segment import Segmenter

if TYPE_CHECKING:
    from ezav.recognizer.recognizer import Recognizer

_WINDOWS_AT_ONCE = 16
LIVE_DELAY = 10.0
"""Seconds of a live source after which an answer is taken as it is, though the next might change
it."""


def scan(
    recognizer: Recognizer,
    path: str | Path | LiveSource,
    classes: Names | None = None,
    settings: ScanSettings | None = None,
    on_progress: Callable[[float, float | None], None] | None = None,
    on_warning: Callable[[str], None] | None = None,
) -> Iterator[Event]:
    """Events of a recording, in order, soon after each is over.

    Each moment (one hop long) has the mean probabilities of the windows over it, a window
    counting more the nearer its middle is; "none of these" stands among the candidates with the
    score `reject_threshold_`. The most probable sequence of answers, in which a change costs
    `change`, cuts the recording into events (:class:`ezav.recognizer.segment.Segmenter`): one class
    at a time, or with `several` of each class on its own whether it is there, so that events may
    overlap.

    Of a live source an event comes at most `LIVE_DELAY` seconds, a window and a hop after it is
    over in what was decoded; where picture and sound do not keep step, ten seconds more.

    Args:
        path: of a file, or a live source.
        classes: as for :meth:`Recognizer.predict`.
        on_progress: called with the seconds done and the seconds the file claims to have.
        on_warning: called with what is wrong with a file that can still be read, and with names
            that the text encoder cannot read, each thing once.

    Raises:
        EzavError: the file cannot be read or has nothing that the run reads, a bad list of
            classes, an encoder that is missing, no thresholds for `several`. Where the reading
            breaks off on the way (the file crashed the decoder, or took too long) the events before
            that come first.
    """
    settings = settings or ScanSettings()
    candidates = recognizer.candidates(classes)
    if settings.several:
        recognizer.answering.thresholds()
    if on_warning is not None:
        for remark in candidates.remarks:
            on_warning(remark)
    job = _Job(recognizer, path, candidates, settings, settings.settled(recognizer.calibration.cut))
    told = not recognizer.answering.withheld(candidates, settings.several)
    broken_off: list[str] = []
    tracks = _tracks(job, told)
    for moment in _moments(job, on_progress, on_warning, broken_off):
        for track in tracks:
            yield from track.add(moment)
    for track in tracks:
        yield from track.finish()
    if broken_off:
        raise EzavError(f"'{path}' was scanned in part only: {broken_off[0]}")


@dataclass(frozen=True, slots=True)
class _Job:
    """What is scanned, and how."""

    recognizer: Recognizer
    path: str | Path | LiveSource
    candidates: Candidates
    settings: ScanSettings
    settled: Settled


@dataclass(frozen=True, slots=True)
class _Moment:
    """One hop of the recording with what the windows over it say on average; None: nothing.

    `states` `[C]` or `[C+1]` are probabilities, the last one of "none of these"; of several classes
    each on its own `[C]`, more than one half where it is above its threshold.
    """

    start: float
    end: float
    states: Tensor | None
    probabilities: Tensor | None
    scores: Tensor | None


def _tracks(job: _Job, told: bool) -> list[_Track]:
    """One of all candidates, or one for each of them on its own."""
    settings, live = job.settings, isinstance(job.path, LiveSource)

    def track(row: int | None) -> _Track:
        segmenter = Segmenter(job.settled.change)
        if live:
            most = max(2, int(LIVE_DELAY / settings.hop))
            segmenter = Segmenter(job.settled.change, look=1, most=most)
        return _Track(job, told, row, segmenter)

    return [track(row) for row in range(len(job.candidates))] if settings.several else [track(None)]


@dataclass(slots=True)
class _Track:
    """Moments one after the other, and the events that they make."""

    job: _Job
    told: bool
    row: int | None
    """Of the candidate that is followed on its own; None: one of all at a time."""
    segmenter: Segmenter
    waiting: deque[_Moment] = field(default_factory=deque)
    stretch: _Stretch | None = None

    def add(self, moment: _Moment) -> Iterator[Event]:
        """The events that are over by what is decided now."""
        if moment.states is None:
            yield from self._named(self.segmenter.finish())
            yield from self._next(moment, -1)
            return
        self.waiting.append(moment)
        states = moment.states
        if self.row is not None:
            states = torch.stack([1 - states[self.row], states[self.row]])
        evidence = share(self.job.settings.hop, self.job.settled.window)
        emission = evidence * states.clamp(min=LEAST).log()
        yield from self._named(self.segmenter.add(emission))

    def finish(self) -> Iterator[Event]:
        """No more moments."""
        yield from self._named(self.segmenter.finish())
        yield from self._over()

    def _named(self, states: Iterator[int]) -> Iterator[Event]:
        for state in states:
            row = state if state < len(self.job.candidates) else -1
            if self.row is not None:
                row = self.row if state else -1
            yield from self._next(self.waiting.popleft(), row)

    def _next(self, moment: _Moment, row: int) -> Iterator[Event]:
        if self.stretch is None or row != self.stretch.row:
            yield from self._over()
            self.stretch = _Stretch(row, moment.start)
        self.stretch.add(moment)

    def _over(self) -> Iterator[Event]:
        if self.stretch is not None:
            yield from _event(self.stretch, self.job.candidates, self.job.settings, self.told)


@dataclass(slots=True)
class _Stretch:
    """Moments in a row with one answer, as sums: it may last for hours."""

    row: int
    """Of the candidate; -1 for none."""
    start: float
    end: float = 0.0
    moments: int = 0
    probability: float = 0.0
    score: float = 0.0

    def add(self, moment: _Moment) -> None:
        self.end = moment.end
        if self.row >= 0 and moment.probabilities is not None and moment.scores is not None:
            self.moments += 1
            self.probability += float(moment.probabilities[self.row])
            self.score += float(moment.scores[self.row])


def _event(
    stretch: _Stretch, candidates: Candidates, settings: ScanSettings, told: bool
) -> Iterator[Event]:
    if stretch.row < 0:
        return
    probability = stretch.probability / stretch.moments
    if stretch.end - stretch.start < settings.shortest - 1e-6:
        return
    if probability < settings.min_probability:
        return
    yield Event(
        start=round(stretch.start, 6),
        end=round(stretch.end, 6),
        name=candidates.names[stretch.row],
        kind=candidates.kinds[stretch.row],
        probability=probability if told else None,
        score=stretch.score / stretch.moments,
    )


@dataclass(slots=True)
class _Sum:
    """What the windows over one moment say, weighted."""

    weight: float = 0.0
    parts: tuple[Tensor, ...] = ()

    def add(self, weight: float, parts: tuple[Tensor, ...]) -> None:
        self.weight += weight
        before = self.parts or tuple(torch.zeros_like(part) for part in parts)
        self.parts = tuple(b + weight * part for b, part in zip(before, parts))

    def moment(self, number: int, hop: float, end: float) -> _Moment:
        start, stop = number * hop, min((number + 1) * hop, end)
        if not self.weight:
            return _Moment(start, stop, None, None, None)
        return _Moment(start, stop, *(part / self.weight for part in self.parts))


def _moments(
    job: _Job,
    on_progress: Callable[[float, float | None], None] | None = None,
    on_warning: Callable[[str], None] | None = None,
    broken_off: list[str] | None = None,
) -> Iterator[_Moment]:
    """One a hop; holds no more than those under the windows in hand.

    Where the reading breaks off on the way, why is put into `broken_off`.
    """
    hop, window = job.settings.hop, job.settled.window
    waiting: deque[_Sum] = deque()
    first, end = 0, 0.0  # number of the first waiting moment; seconds seen so far
    warned: set[str] = set()
    for clip, answer in _answers(job):
        if clip.lost:
            if broken_off is not None:
                broken_off.append(clip.reason)
            continue
        for warning in (*clip.warnings, *clip.failed.values()):
            if on_warning is not None and warning not in warned:
                on_warning(warning)
            warned.add(warning)
        end = max(end, clip.start + min(clip.duration, window))
        begin = round(clip.start / hop)
        # Windows come in order: no later one reaches a moment before this one's beginning.
        while waiting and first < begin:
            yield waiting.popleft().moment(first, hop, end)
            first += 1
        last = max(begin + 1, round((clip.start + min(clip.duration, window)) / hop + 0.4999))
        while first + len(waiting) < last:
            waiting.append(_Sum())
        if answer is not None:
            middle = clip.start + window / 2
            for number in range(begin, last):
                weight = nearness(middle, window, (number + 0.5) * hop)
                waiting[number - first].add(weight, answer)
        if on_progress is not None:
            on_progress(end, clip.claimed)
    for moment in waiting:
        if first * hop < end:
            yield moment.moment(first, hop, end)
        first += 1


def _answers(job: _Job) -> Iterator[tuple[EncodedClip, tuple[Tensor, ...] | None]]:
    """Each window with its probabilities of states, of candidates, and scores; None: nothing."""
    windows: list[EncodedClip] = []
    answered, why = False, ""
    path, reader = job.path, job.recognizer.reader
    window, hop = job.settled.window, job.settings.hop
    if isinstance(path, LiveSource):
        found, at_once = path.windows(reader, window, hop), 1
    else:
        found, at_once = reader.windows(path, window, hop), _WINDOWS_AT_ONCE
    for clip in found:
        lacking = _lacks(job.recognizer, clip)
        answered, why = answered or not lacking, why or lacking
        windows.append(clip)
        if len(windows) >= at_once:
            yield from _answer(job, windows)
            windows = []
    yield from _answer(job, windows)
    if not answered:
        raise EzavError(f"cannot scan '{path}': {why}", "give another recording")


def _lacks(recognizer: Recognizer, window: EncodedClip) -> str:
    """Why there is no answer for a window; empty where there is one."""
    if window.error:
        return window.error
    if any(modality in window.tokens for modality in recognizer.reads):
        return ""
    return f"the run reads {recognizer.reads[0]} features only, and the recording has none"


def _answer(
    job: _Job, windows: list[EncodedClip]
) -> Iterator[tuple[EncodedClip, tuple[Tensor, ...] | None]]:
    readable = [one for one in windows if not _lacks(job.recognizer, one)]
    if not readable:
        yield from ((one, None) for one in windows)
        return
    recognizer, calibration = job.recognizer, job.recognizer.calibration
    features = recognizer.features(readable)
    if job.settings.several:
        answering = recognizer.answering
        stacked, over = answering.each(features, job.candidates)
        states = over.sigmoid()
        probabilities = (over + answering.thresholds().cut).sigmoid()
    else:
        stacked = recognizer.score(features, job.candidates)
        probabilities = calibration.probabilities(stacked)
        states = calibration.states(stacked) if job.settings.reject else probabilities
    answers = zip(states, probabilities, stacked)
    for one in windows:
        yield one, None if _lacks(job.recognizer, one) else next(answers)
