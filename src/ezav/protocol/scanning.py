"""How a recording is best cut into events, from joined validation clips: window and change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict

import torch
from torch import Tensor

from ezav.errors import EzavError
from ezav.metrics.events import Span, event_scores
from ezav.protocol.calibration import Calibration
from ezav.protocol.cut import (
    HOP,
    LEAST,
    SHORTEST,
    USUAL_CHANGE,
    USUAL_WINDOW,
    Cut,
    nearness,
    share,
)
from ezav.protocol.evaluation import StageModel
from ezav.protocol.films import Film, Held, joined, lasts
from ezav.protocol.validation import Chosen
from ezav.training.scoring import score_all

WINDOWS = (1.0, 1.5, 2.0, 3.0, 4.0)
"""Seconds: those that are tried."""
CHANGES = (0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)
"""Nats: those that are tried."""
_FEWEST_CLIPS = 20


def choose_cut(held: Sequence[Held], calibration: Calibration) -> Cut | None:
    """The window and the changes with the best event F1 on joined clips; None: no time in them.

    The clips of each model are joined in an order without two of a class in a row. One class at a
    time is judged on them as they are; each class on its own also on two halves over each other,
    whose scores are taken for the mean of the two. Of equals the shortest window and the smallest
    change are taken.

    Args:
        held: of each class fold, or of stage 1. No test clip.
        calibration: learned on the same clips.
    """
    films = joined(held)
    if sum(len(film.truth) for film, _ in films) < _FEWEST_CLIPS:
        return None
    found: dict[float, tuple[list[float], list[float]]] = {}
    for window in WINDOWS:
        plain, over = scored(films, window, calibration)
        each = [0.0] * len(CHANGES)
        if calibration.several is not None:
            names = films[0][1].classes.names
            apart = (several_f1(some, window, calibration, names) for some in (plain, over))
            each = [(one + other) / 2 for one, other in zip(*apart)]
        found[window] = single_f1(plain, window, calibration), each
    window = max(WINDOWS, key=lambda one: max(found[one][0]))
    single, several = found[window]
    best, best_several = (max(range(len(CHANGES)), key=one.__getitem__) for one in found[window])
    return Cut(
        window=window,
        change=CHANGES[best],
        change_several=CHANGES[best_several],
        event_f1=single[best],
        event_f1_usual=found[USUAL_WINDOW][0][CHANGES.index(USUAL_CHANGE)],
        event_f1_several=several[best_several],
    )


def learned_of(chosen: Chosen) -> Calibration | None:
    """What all validation scores teach; None where they teach nothing, which is told then."""
    try:
        return Calibration.fit(chosen.folds or chosen.evaluation, chosen.gamma)
    except EzavError:
        return None


def cut_of(held: Sequence[Held], calibration: Calibration | None) -> dict[str, float] | None:
    """:func:`choose_cut`, as a checkpoint keeps it."""
    if calibration is None or not any(lasts(one.clips) for one in held):
        return None
    cut = choose_cut(held, calibration)
    return None if cut is None else asdict(cut)


_Judged = tuple[Sequence[Span], Tensor]
"""What is when, and stacked scores `[W, C]` of the windows."""


def scored(
    films: Sequence[tuple[Film, StageModel]], window: float, calibration: Calibration
) -> tuple[list[_Judged], list[_Judged]]:
    """What is when, and the scores of windows: of each film, and of its second half over its
    first."""
    plain: list[_Judged] = []
    over: list[_Judged] = []
    for film, model in films:
        scores = score_all(model.method, film.windows(window), model.classes.vectors)
        stacked = calibration.stacked(scores, model.seen.cpu())
        plain.append((film.truth, stacked))
        over += _overlaid(film, stacked, window)
    return plain, over


def _overlaid(film: Film, stacked: Tensor, window: float) -> list[_Judged]:
    """The second half of a film over its first."""
    half = len(stacked) // 2
    if not half:
        return []
    end = (half - 1) * HOP + window
    later = [Span(one.start - half * HOP, one.end - half * HOP, one.name) for one in film.truth]
    cut = [Span(max(0.0, a), min(end, b), c) for a, b, c in (*film.truth, *later)]
    spans = _united([one for one in cut if one.end - one.start >= SHORTEST])
    return [(spans, (stacked[:half] + stacked[half : 2 * half]) / 2)]


def single_f1(judged: Sequence[_Judged], window: float, calibration: Calibration) -> list[float]:
    """Event F1 of every change, one class at a time."""
    states = [_moments(calibration.states(stacked), window) for _, stacked in judged]
    nothing = states[0].shape[1] - 1
    told = _events(states, window, nothing)
    return [
        event_scores((truth, one[k]) for (truth, _), one in zip(judged, told)).f1
        for k in range(len(CHANGES))
    ]


def _united(spans: Sequence[Span]) -> list[Span]:
    """Those of one class that overlap are one."""
    found: list[Span] = []
    for one in sorted(spans, key=lambda span: (str(span.name), span.start)):
        if found and found[-1].name == one.name and found[-1].end >= one.start:
            found[-1] = Span(found[-1].start, max(found[-1].end, one.end), one.name)
        else:
            found.append(one)
    return found


def several_f1(
    judged: Sequence[_Judged], window: float, calibration: Calibration, names: Sequence[str]
) -> list[float]:
    """Event F1 of every change, each class on its own.

    Raises:
        EzavError: nothing was learned for it.
    """
    several = calibration.several
    if several is None:
        raise EzavError("the calibration has no thresholds for several classes")
    if not judged:
        return [0.0] * len(CHANGES)
    states = []
    for _, stacked in judged:
        over = several.log_odds(stacked, stacked.amax(1), names) - several.cut
        there = _moments(over.sigmoid(), window).T
        states += list(torch.stack([1 - there, there], dim=2))
    told, count = _events(states, window, 0), len(names)
    return [
        event_scores(
            (
                truth,
                [
                    Span(one.start, one.end, row)
                    for row in range(count)
                    for one in told[film * count + row][k]
                ],
            )
            for film, (truth, _) in enumerate(judged)
        ).f1
        for k in range(len(CHANGES))
    ]


def _events(states: Sequence[Tensor], window: float, nothing: int) -> list[list[list[Span]]]:
    """Of probabilities `[T, S]` each, and of every change, the events."""
    lengths = [len(one) for one in states]
    # Zeros at the end change nothing: no change of state is worth it there.
    emissions = torch.zeros(len(states), max(lengths), states[0].shape[1], dtype=torch.float64)
    for number, one in enumerate(states):
        emissions[number, : len(one)] = share(HOP, window) * one.clamp(min=LEAST).log()
    paths = best_paths(emissions, CHANGES)
    for some, length in zip(paths, lengths):
        some[:, length:] = nothing
    found: list[list[list[Span]]] = [[[] for _ in CHANGES] for _ in states]
    for film, k, event in _runs(paths, nothing):
        found[film][k].append(event)
    return found


def _moments(values: Tensor, window: float) -> Tensor:
    """Means `[M, S]` of what windows `[W, S]` say of the moments under them."""
    under = round(window / HOP)
    count = len(values) + under - 1
    total, weights = torch.zeros(count, values.shape[1], dtype=values.dtype), torch.zeros(count, 1)
    for place in range(under):
        weight = nearness(window / 2, window, (place + 0.5) * HOP)
        total[place : place + len(values)] += weight * values
        weights[place : place + len(values)] += weight
    return total / weights


def best_paths(emissions: Tensor, costs: Sequence[float]) -> Tensor:
    """The best paths `[B, K, T]` through emissions `[B, T, S]` for each of K costs of a change.

    What :class:`ezav.recognizer.segment.Segmenter` finds moment by moment.

    Example:
        >>> noisy = torch.tensor([[[3.0, 0.0], [0.0, 1.0], [3.0, 0.0], [0.0, 3.0], [0.0, 3.0]]])
        >>> best_paths(noisy, [0.0, 2.0]).tolist()
        [[[0, 1, 0, 1, 1], [0, 0, 0, 1, 1]]]
    """
    cost = torch.tensor(costs, dtype=emissions.dtype)[:, None]
    best = emissions[:, :1].expand(-1, len(costs), -1)
    states = torch.arange(emissions.shape[2]).expand_as(best)
    back = []
    for row in emissions.transpose(0, 1)[1:]:
        top, at = best.max(dim=2, keepdim=True)
        stays = best >= top - cost
        back.append(torch.where(stays, states, at))
        best = torch.where(stays, best, top - cost) + row[:, None]
    path = [best.argmax(dim=2, keepdim=True)]
    for before in reversed(back):
        path.append(before.gather(2, path[-1]))
    return torch.cat(path[::-1], dim=2)


def _runs(paths: Tensor, nothing: int) -> Iterator[tuple[int, int, Span]]:
    """The events of paths of states `[B, K, T]`, path by path; shorter ones are left out."""
    changes = torch.ones(*paths.shape[:2], paths.shape[2] + 1, dtype=torch.bool)
    changes[:, :, 1:-1] = paths[:, :, 1:] != paths[:, :, :-1]
    edges = changes.nonzero()
    starts, ends = edges[:-1], edges[1:, 2]
    # Of one path's last edge to the next one's first there is nothing.
    inside = starts[:, 2] < paths.shape[2]
    starts, ends = starts[inside], ends[inside]
    values = paths[tuple(starts.T)]
    kept = (values != nothing) & ((ends - starts[:, 2]) * HOP >= SHORTEST - 1e-6)
    rows = zip(starts[kept].tolist(), ends[kept].tolist(), values[kept].tolist())
    for (film, k, start), end, value in rows:
        yield film, k, Span(start * HOP, end * HOP, value)
