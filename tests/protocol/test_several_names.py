"""Each class on its own (`--several`): what is told of the names of single clips, by loops."""

from __future__ import annotations

import math

import pytest
import torch

from ezav.protocol.evaluation import Evaluation
from ezav.protocol.several import Several

NAMES = ("a", "b", "c", "d")


def fold(count: int, seed: int) -> Evaluation:
    """Clips whose own class is better than others by about what the others vary."""
    draw = torch.Generator().manual_seed(seed)
    targets = torch.randint(len(NAMES), (count,), generator=draw)
    scores = torch.randn(count, len(NAMES), generator=draw)
    scores[torch.arange(count), targets] += 1.5
    seen = torch.tensor([True, True, False, False])
    return Evaluation(scores, targets, seen, NAMES, tuple(map(str, range(count))))


def some(of: Evaluation, begin: int) -> Evaluation:
    clips = of.clips[begin::2]
    return Evaluation(of.scores[begin::2], of.targets[begin::2], of.seen, of.classes, clips)


@pytest.mark.parametrize("gamma", [0.0, 0.7])
def test_f1_is_of_clips_that_the_thresholds_have_not_met(gamma: float) -> None:
    folds = [fold(30, 0), fold(21, 1)]
    told = Several.fit(folds, gamma)
    right = named = wanted = 0
    for learned, asked in ((0, 1), (1, 0)):
        half = Several.fit([some(one, learned) for one in folds], gamma)
        for one in (some(each, asked) for each in folds):
            for scores, target in zip(one.scores.double(), one.targets.tolist(), strict=True):
                stacked = scores - gamma * one.seen.double()
                odds = half.log_odds(stacked[None], stacked.max()[None], NAMES)[0]
                answers = [row for row, odd in enumerate(odds.tolist()) if odd >= half.cut]
                right += target in answers
                named += len(answers)
                wanted += 1
    assert told.f1_ == pytest.approx(2 * right / (named + wanted))
    assert 0.4 < told.f1_ < 0.95


def test_one_clip_says_nothing_of_others() -> None:
    one = fold(1, 0)
    assert math.isnan(Several.fit([one], 0.0).f1_)
