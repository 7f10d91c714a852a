"""Clips answered together."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from ezav.recognizer.together import TEMPERATURE, answer, assignment, mixture, spread, trust

D = 24


def _world(classes: int, per_class: list[int], noise: float) -> tuple[Tensor, Tensor, Tensor]:
    """Clips near the names of their classes, all moved by the same vector; names; targets."""
    draw = torch.Generator().manual_seed(0)
    names = normalize(torch.randn(classes, D, generator=draw), dim=1)
    targets = torch.repeat_interleave(torch.arange(classes), torch.tensor(per_class))
    moved = 0.8 * normalize(torch.randn(D, generator=draw), dim=0)
    clips = names[targets] + moved + noise * torch.randn(len(targets), D, generator=draw)
    return clips, names, targets


def _right(cosines: Tensor, targets: Tensor) -> float:
    return float((cosines.argmax(dim=1) == targets).float().mean())


@pytest.mark.parametrize("by", ["mixture", "assignment"])
def test_what_all_clips_share_is_taken_off(by: str) -> None:
    clips, names, targets = _world(8, [12] * 8, 0.22)
    alone = normalize(clips, dim=1) @ names.T
    found = answer(clips, names, torch.zeros(D), by)  # type: ignore[arg-type]
    assert found.weight == 1
    assert _right(found.cosines, targets) > _right(alone, targets) + 0.03


def test_clips_of_few_of_the_names_stand_alone() -> None:
    """Three of twenty classes: the others' shares and the common mean would mislead."""
    clips, names, targets = _world(20, [10, 10, 10] + [0] * 17, 0.1)
    clips = clips - 0.7 * (clips.mean(dim=0) - names[targets].mean(dim=0))  # little in common
    alone = normalize(clips, dim=1) @ names.T
    found = answer(clips, names, torch.zeros(D))
    assert trust(alone) == 0
    assert found.weight == 0
    assert torch.equal(found.cosines, alone)
    forced = assignment(alone, float("inf"))
    assert _right(forced, targets) < _right(alone, targets) - 0.2  # the trap that is avoided


def test_assignment_meets_the_shares_that_are_asked_for() -> None:
    clips, names, _ = _world(5, [30, 5, 5, 5, 5], 0.3)
    cosines = normalize(clips, dim=1) @ names.T
    shares = (assignment(cosines, float("inf")) / TEMPERATURE).softmax(dim=1).mean(dim=0)
    torch.testing.assert_close(shares, torch.full((5,), 0.2), atol=1e-3, rtol=0)
    torch.testing.assert_close(assignment(cosines, 0.0), cosines)


def test_the_centres_of_a_mixture_are_between_names_and_clips() -> None:
    clips, names, _ = _world(4, [6] * 4, 0.2)
    rows = normalize(clips, dim=1)
    torch.testing.assert_close(mixture(rows, names, 1e9), rows @ names.T, atol=1e-5, rtol=0)
    # One class: the centre is the direction of all clips and the name, a closed form.
    one = names[:1]
    centre = rows.sum(dim=0) + 3 * one[0]
    expected = rows @ (centre / centre.norm())
    torch.testing.assert_close(mixture(rows, one, 3.0)[:, 0], expected)


def test_spread_is_the_perplexity_of_the_answers() -> None:
    cosines = torch.eye(4)[[0, 0, 0, 1]]
    perplexity = np.exp(-(0.75 * np.log(0.75) + 0.25 * np.log(0.25)))
    assert spread(cosines) == pytest.approx((perplexity - 1) / 3)
    # Of two names one has all clips: the other may not occur.
    assert spread(torch.eye(2)[[0, 0, 0]]) == 0
    assert spread(torch.ones(3, 1)) == 0
