"""Hours of footage to events: overlapping windows, one answer a moment, memory that stays flat."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ezav.errors import EzavError
from ezav.extraction.encoded import EncodedClip
from ezav.protocol.open_set import with_none
from ezav.recognizer.candidates import Candidates
from ezav.recognizer.events import Event, ScanSettings
from ezav.recognizer.live import LiveSource
from ezav.recognizer.names import Names
from ezav.recognizer.segment import Segmenter

if TYPE_CHECKING:
    from ezav.recognizer.recognizer import Recognizer

_WINDOWS_AT_ONCE = 16
LIVE_DELAY = 10.0
"""Seconds of a live source after which an answer is taken as it is, though the next might change
it."""
_LEAST = 1e-9
"""Probability below which one window says no more against a class than another."""


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
    `change`, cuts the recording into events (:class:`ezav.recognizer.segment.Segmenter`). One
    class at a time.

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
            classes, an encoder that is missing. Where the reading breaks off on the way (the file
            crashed the decoder, or took too long) the events before that come first.
    """
    settings = settings or ScanSettings()
    candidates = recognizer.candidates(classes)
    if on_warning is not None:
        for remark in candidates.remarks:
            on_warning(remark)
    told = not recognizer.answering.withheld(candidates)
    broken_off: list[str] = []
    live = isinstance(path, LiveSource)
    moments = _moments(recognizer, path, candidates, settings, on_progress, on_warning, broken_off)
    stretch: _Stretch | None = None
    for moment, best in _labelled(moments, settings, len(candidates), live):
        if stretch is None or best != stretch.row:
            yield from _event(stretch, candidates, settings, told)
            stretch = _Stretch(best, moment.start)
        stretch.add(moment)
    yield from _event(stretch, candidates, settings, told)
    if broken_off:
        raise EzavError(f"'{path}' was scanned in part only: {broken_off[0]}")


@dataclass(frozen=True, slots=True)
class _Moment:
    """One hop of the recording with what the windows over it say on average; None: nothing.

    `states` `[C]` or `[C+1]` are probabilities, the last one of "none of these".
    """

    start: float
    end: float
    states: Tensor | None
    probabilities: Tensor | None
    scores: Tensor | None


def _labelled(
    moments: Iterator[_Moment], settings: ScanSettings, candidates: int, live: bool
) -> Iterator[tuple[_Moment, int]]:
    """Each moment with the row of its candidate, -1 for none."""
    segmenter = Segmenter(settings.change)
    if live:
        segmenter = Segmenter(settings.change, look=1, most=max(2, int(LIVE_DELAY / settings.hop)))
    waiting: deque[_Moment] = deque()
    # The shorter the hop, the more moments say the same.
    share = 4 * settings.hop / settings.window

    def named(states: Iterator[int]) -> Iterator[tuple[_Moment, int]]:
        for state in states:
            yield waiting.popleft(), state if state < candidates else -1

    for moment in moments:
        if moment.states is None:
            yield from named(segmenter.finish())
            yield moment, -1
            continue
        waiting.append(moment)
        yield from named(segmenter.add(share * moment.states.clamp(min=_LEAST).log()))
    yield from named(segmenter.finish())


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
    stretch: _Stretch | None, candidates: Candidates, settings: ScanSettings, told: bool
) -> Iterator[Event]:
    if stretch is None or stretch.row < 0:
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
    recognizer: Recognizer,
    path: str | Path | LiveSource,
    candidates: Candidates,
    settings: ScanSettings,
    on_progress: Callable[[float, float | None], None] | None = None,
    on_warning: Callable[[str], None] | None = None,
    broken_off: list[str] | None = None,
) -> Iterator[_Moment]:
    """One a hop; holds no more than those under the windows in hand.

    Where the reading breaks off on the way, why is put into `broken_off`.
    """
    hop, window = settings.hop, settings.window
    waiting: deque[_Sum] = deque()
    first, end = 0, 0.0  # number of the first waiting moment; seconds seen so far
    warned: set[str] = set()
    for clip, answer in _answers(recognizer, path, candidates, settings):
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
                far = abs((number + 0.5) * hop - middle) / (window / 2)
                waiting[number - first].add(max(0.05, 1 - far), answer)
        if on_progress is not None:
            on_progress(end, clip.claimed)
    for moment in waiting:
        if first * hop < end:
            yield moment.moment(first, hop, end)
        first += 1


def _answers(
    recognizer: Recognizer,
    path: str | Path | LiveSource,
    candidates: Candidates,
    settings: ScanSettings,
) -> Iterator[tuple[EncodedClip, tuple[Tensor, ...] | None]]:
    """Each window with its probabilities of states, of candidates, and scores; None: nothing."""
    windows: list[EncodedClip] = []
    answered, why = False, ""
    window, hop = settings.window, settings.hop
    if isinstance(path, LiveSource):
        found, at_once = path.windows(recognizer.reader, window, hop), 1
    else:
        found, at_once = recognizer.reader.windows(path, window, hop), _WINDOWS_AT_ONCE
    for clip in found:
        lacking = _lacks(recognizer, clip)
        answered, why = answered or not lacking, why or lacking
        windows.append(clip)
        if len(windows) >= at_once:
            yield from _answer(recognizer, windows, candidates, settings.reject)
            windows = []
    yield from _answer(recognizer, windows, candidates, settings.reject)
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
    recognizer: Recognizer, windows: list[EncodedClip], candidates: Candidates, reject: bool
) -> Iterator[tuple[EncodedClip, tuple[Tensor, ...] | None]]:
    readable = [one for one in windows if not _lacks(recognizer, one)]
    if not readable:
        yield from ((one, None) for one in windows)
        return
    calibration = recognizer.calibration
    stacked = recognizer.score(recognizer.features(readable), candidates)
    probabilities = calibration.probabilities(stacked)
    states = probabilities
    if reject:
        states = with_none(
            stacked.double(), calibration.temperature_, calibration.reject_threshold_
        ).exp()
    answers = zip(states, probabilities, stacked)
    for one in windows:
        yield one, None if _lacks(recognizer, one) else next(answers)
