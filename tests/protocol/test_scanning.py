"""How recordings are cut, and classes each on their own: against brute force and made-up clips."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from itertools import groupby, pairwise, permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ezav.classes.embeddings import ClassEmbeddings
from ezav.features.feature_set import FeatureSet, Ragged
from ezav.features.tokens import Tokens
from ezav.methods.base import Dims, Method
from ezav.metrics.events import Span, event_scores, shared_time
from ezav.protocol.calibration import Calibration
from ezav.protocol.cut import Cut
from ezav.protocol.evaluation import Evaluation, StageModel
from ezav.protocol.films import Film, Held, lasts
from ezav.protocol.scanning import (
    CHANGES,
    WINDOWS,
    _moments,
    _overlaid,
    _runs,
    best_paths,
    choose_cut,
)
from ezav.protocol.several import Several
from ezav.recognizer.segment import Segmenter

NAMES = ("a", "b", "c", "d")
_spans = st.lists(
    st.tuples(st.integers(0, 12), st.integers(1, 6), st.sampled_from("ab")).map(
        lambda one: Span(one[0], one[0] + one[1], one[2])
    ),
    max_size=4,
)


@settings(max_examples=60, deadline=None)
@given(_spans, _spans)
def test_event_scores_against_every_matching(truth: list[Span], told: list[Span]) -> None:
    found = event_scores([(truth, told)])
    for name, f1 in found.per_class.items():
        mine = [one for one in truth if one.name == name]
        theirs = [one for one in told if one.name == name]
        size = max(len(mine), len(theirs))
        padded = [*theirs, *[None] * (size - len(theirs))]
        most = max(
            sum(
                other is not None and shared_time(one, other) >= 0.5
                for one, other in zip(mine, order)
            )
            for order in permutations(padded)
        )
        assert 2 * most / (len(mine) + len(theirs)) >= f1
        # Of spans that do not overlap each other the greedy matching is the best.
        ordered = sorted(mine)
        if all(a.end <= b.start for a, b in pairwise(ordered)):
            apart = sorted(theirs)
            if all(a.end <= b.start for a, b in pairwise(apart)):
                assert f1 == pytest.approx(2 * most / (len(mine) + len(theirs)))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 9), st.integers(2, 4), st.integers(0, 10_000))
def test_batched_paths_are_those_of_the_segmenter(moments: int, states: int, seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    emissions = torch.randn(3, moments, states, generator=draw, dtype=torch.float64)
    found = best_paths(emissions, (0.0, 0.7, 3.0))
    for film, paths in zip(emissions, found):
        for cost, path in zip((0.0, 0.7, 3.0), paths):
            one = Segmenter(cost)
            wanted = [state for row in film for state in one.add(row)] + list(one.finish())
            assert path.tolist() == wanted


@dataclass(frozen=True)
class _Nothing:
    """No settings."""


class _Reads(Method):
    """A class's score is the cosine-like product of a token's mean with its vector."""

    trainable = False

    def __init__(self) -> None:
        super().__init__(_Nothing(), Dims(audio=4, visual=4, text=4))

    def scores(self, audio: Tokens, visual: Tokens, class_embeddings: Tensor) -> Tensor:
        return audio.values.sum(1) / audio.mask.sum(1, keepdim=True) @ class_embeddings.T


def _held(seconds: float, noise: float, clips: int = 40) -> Held:
    """Clips whose tokens, two a second, are their class and noise."""
    draw = torch.Generator().manual_seed(0)
    labels = torch.arange(clips) % len(NAMES)
    tokens, count = [], max(1, round(2 * seconds))
    times = torch.arange(count) / 2 + 0.25
    for label in labels.tolist():
        values = noise * torch.randn(count, 4, generator=draw)
        values[:, label] += 1.0
        tokens.append((values, times))
    audio = Ragged.from_clips(tokens)
    visual = Ragged.pooled(torch.zeros(clips, 4), torch.zeros(clips, dtype=torch.bool))
    names = tuple(map(str, range(clips)))
    seen = torch.tensor([True, True, False, False])
    model = StageModel(_Reads(), ClassEmbeddings(NAMES, torch.eye(4), "made up"), seen)
    return Held(model, FeatureSet(audio, visual, labels, names, NAMES))


def _calibrated(held: Held) -> Calibration:
    found = held.model.evaluate(held.clips)
    return Calibration.fit(found, gamma=0.0)


def test_short_clips_are_cut_by_a_short_window_and_noisy_ones_by_a_dear_change() -> None:
    quiet, noisy = _held(2.0, noise=0.05), _held(8.0, noise=0.8)
    short, long = (choose_cut([one], _calibrated(one)) for one in (quiet, noisy))
    assert short is not None
    assert long is not None
    assert short.window <= 2.0
    assert short.event_f1 > 0.95
    assert short.event_f1 >= short.event_f1_usual
    assert long.change + 10 * long.window > short.change + 10 * short.window
    assert {short.window, long.window} <= set(WINDOWS)
    assert {short.change, long.change, short.change_several} <= set(CHANGES)
    data = json.loads(json.dumps(replace(_calibrated(quiet), cut=short).as_dict()))
    assert Calibration.of(data).cut == short
    before = {name: value for name, value in data.items() if name not in ("cut", "several")}
    assert Calibration.of(before).cut is None
    for wrong in ({"window": 0.0}, {"change": -1.0}, {"change": float("inf")}):
        with pytest.raises(ValueError, match=r"window|change"):
            Cut.of({**data["cut"], **wrong})


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(0, 2), min_size=7, max_size=7), min_size=1, max_size=4))
def test_events_are_the_runs_of_a_path(paths: list[list[int]]) -> None:
    expected = []
    for film, path in enumerate(paths):
        at = 0
        for state, some in groupby(path):
            start, at = at, at + len(list(some))
            if state != 2 and at - start >= 2:  # of half a second; shorter ones are not told
                expected.append((film, 0, Span(start / 2, at / 2, state)))
    assert list(_runs(torch.tensor(paths)[:, None], nothing=2)) == expected


def test_moments_are_means_of_the_windows_over_them() -> None:
    windows = torch.randn(5, 3, dtype=torch.float64)  # of 2 s, one every 0.5 s
    for moment, found in enumerate(_moments(windows, 2.0)):
        middle = moment * 0.5 + 0.25
        near = {row: 1 - abs(middle - (row * 0.5 + 1)) for row in range(5)}
        over = {row: max(0.05, share) for row, share in near.items() if share > 0}
        expected = sum(share * windows[row] for row, share in over.items())
        torch.testing.assert_close(found, expected / sum(over.values()))


def test_the_second_half_of_a_film_lies_over_the_first() -> None:
    film = Film.joined(_held(2.0, 0.1, clips=4).clips)
    stacked = torch.randn(13, 4)  # windows of 2 s of a film of 8 s: six of each half
    ((spans, mixed),) = _overlaid(film, stacked, 2.0)
    torch.testing.assert_close(mixed, (stacked[:6] + stacked[6:12]) / 2)
    # Clips of 2 s each, over them the same from 3 s on; for 4.5 s, and no scrap below 1 s.
    expected = {(0, 2, 0), (0, 1, 1), (2, 4, 1), (1, 3, 2), (3, 4.5, 3)}
    assert {tuple(one) for one in spans} == expected


def test_clips_without_time_or_too_few_choose_nothing() -> None:
    held = _held(2.0, 0.1)
    one_token = _held(0.5, 0.1)
    assert lasts(held.clips)
    assert not lasts(one_token.clips)
    assert choose_cut([one_token], _calibrated(one_token)) is None
    few = replace(held, clips=held.clips.subset(torch.arange(8)))
    assert choose_cut([few], _calibrated(held)) is None


def _evaluation(seed: int, clips: int = 80, scale: float = 1.0) -> Evaluation:
    draw = torch.Generator().manual_seed(seed)
    targets = torch.arange(clips) % len(NAMES)
    scores = 0.3 * torch.randn(clips, len(NAMES), generator=draw)
    scores[torch.arange(clips), targets] += 1.5
    # One class says of everything more than the others do.
    scores[:, 3] += 0.6
    seen = torch.zeros(len(NAMES), dtype=torch.bool)
    return Evaluation(scale * scores, targets, seen, NAMES, tuple(map(str, range(clips))))


def test_mixtures_have_both_names_and_strangers_none() -> None:
    learned, other = Several.fit([_evaluation(0)], 0.0), _evaluation(1)
    named = learned.log_odds(other.scores, other.scores.amax(1), NAMES) >= learned.cut
    wanted = torch.nn.functional.one_hot(other.targets, 4).bool()
    assert float((named == wanted).float().mean()) > 0.95
    rows, apart = torch.arange(40), torch.arange(40) + 1
    mixed = (other.scores[rows] + other.scores[apart]) / 2
    named = learned.log_odds(mixed, mixed.amax(1), NAMES) >= learned.cut
    wanted = wanted[rows] | wanted[apart]
    assert float((named == wanted).float().mean()) > 0.85
    strange = other.scores.clone()
    strange[torch.arange(80), other.targets] -= 1.5
    named = learned.log_odds(strange, strange.amax(1), NAMES) >= learned.cut
    assert float(named.float().mean()) < 0.12
    assert learned.offsets["d"] < min(learned.offsets[name] for name in "abc")
    assert learned.f1_ > 0.9


def test_thresholds_do_not_depend_on_the_scale_of_scores_and_are_kept() -> None:
    one, other = _evaluation(0), _evaluation(0, scale=50.0)
    found, scaled = Several.fit([one], 0.0), Several.fit([other], 0.0)
    for learned, held in ((found, one), (scaled, other)):
        assert Several.of(json.loads(json.dumps(learned.as_dict()))) == learned
        assert learned.own > 0
        assert learned.best >= 0
        assert held is not None
    a = found.log_odds(one.scores, one.scores.amax(1), NAMES)
    b = scaled.log_odds(other.scores, other.scores.amax(1), NAMES)
    assert torch.allclose(a, b, atol=0.02)
    data = found.as_dict()
    with pytest.raises(ValueError, match="threshold"):
        Several.of({**data, "cut": float("nan")})
