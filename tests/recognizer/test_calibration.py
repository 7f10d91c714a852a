"""Temperature and threshold against brute force."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ezav.errors import EzavError
from ezav.protocol.evaluation import Evaluation
from ezav.recognizer.calibration import Calibration, fit_temperature, fit_threshold


def _scores(seed: int, clips: int = 60, classes: int = 5, scale: float = 1.0):  # type: ignore[no-untyped-def]
    draw = torch.Generator().manual_seed(seed)
    targets = torch.randint(classes, (clips,), generator=draw)
    scores = torch.randn(clips, classes, generator=draw, dtype=torch.float64)
    scores[torch.arange(clips), targets] += 1.0
    return scores * scale, targets


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.01, 1.0, 50.0]))
def test_temperature_minimises_the_likelihood(seed: int, scale: float) -> None:
    scores, targets = _scores(seed, scale=scale)
    found = fit_temperature(scores, targets)
    grid = np.exp(np.linspace(-5, 5, 2001)) * float(scores.std())
    z = scores.numpy()[None] / grid[:, None, None]
    log_p = z - np.log(np.exp(z - z.max(-1, keepdims=True)).sum(-1, keepdims=True))
    log_p = log_p - z.max(-1, keepdims=True)
    nll = -log_p[:, np.arange(len(targets)), targets.numpy()].mean(1)
    assert np.log(found) == pytest.approx(np.log(grid[nll.argmin()]), abs=0.006)


def test_temperature_scales_with_the_scores() -> None:
    scores, targets = _scores(3)
    assert fit_temperature(7 * scores, targets) == pytest.approx(
        7 * fit_temperature(scores, targets), rel=1e-5
    )


def test_always_right_and_useless_scores_end_at_a_finite_temperature() -> None:
    right = torch.eye(3, dtype=torch.float64).repeat(4, 1)
    targets = torch.arange(3).repeat(4)
    cold, hot = fit_temperature(right, targets), fit_temperature(-right, targets)
    assert 0 < cold < 0.01
    assert 100 < hot < 1e4
    assert fit_temperature(torch.zeros(4, 3).double(), targets[:4]) > 0


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 30))
def test_threshold_is_the_best_of_all(seed: int, clips: int) -> None:
    z, targets = _scores(seed, clips)
    threshold, accuracy = fit_threshold(z, targets)

    inside = z.numpy().max(axis=1)
    outside = np.array(
        [np.delete(row, target).max() for row, target in zip(z.numpy(), targets.tolist())]
    )

    def balanced(cut: float) -> float:
        return ((inside >= cut).mean() + (outside < cut).mean()) / 2

    cuts = np.concatenate([inside, outside, [np.inf, -np.inf]])
    assert accuracy == pytest.approx(max(balanced(cut) for cut in cuts))
    assert balanced(threshold) == pytest.approx(accuracy)


def test_gamma_is_taken_off_before_anything_is_learned() -> None:
    scores, targets = _scores(5, scale=4.0)  # so that a temperature of 1 is far from the best
    seen = torch.tensor([True, True, False, False, False])
    shifted = scores + 3.0 * seen
    names = tuple("abcde")
    clips = tuple(map(str, range(len(scores))))
    plain = Calibration.fit(Evaluation(scores, targets, seen, names, clips), 0.0)
    stacked = Calibration.fit(Evaluation(shifted, targets, seen, names, clips), 3.0)
    assert stacked.temperature_ == pytest.approx(plain.temperature_)
    assert stacked.reject_threshold_ == pytest.approx(plain.reject_threshold_)
    assert plain.rejects(plain.reject_threshold_ - 0.1)
    assert not plain.rejects(plain.reject_threshold_ + 0.1)
    assert plain.nll_ <= plain.nll_before_
    for found, temperature in ((plain.nll_before_, 1.0), (plain.nll_, plain.temperature_)):
        expected = torch.nn.functional.cross_entropy(scores / temperature, targets)
        assert found == pytest.approx(float(expected))


def test_calibration_of_overconfident_scores_improves() -> None:
    scores, targets = _scores(1, clips=4000, scale=20.0)
    names, seen = tuple("abcde"), torch.zeros(5, dtype=torch.bool)
    clips = tuple(map(str, range(4000)))
    fitted = Calibration.fit(Evaluation(scores, targets, seen, names, clips), 0.0)
    assert fitted.ece_before_ > 0.3
    assert fitted.ece_ < 0.03
    # Logits one apart from noise of unit variance are honest at temperature 1.
    assert fitted.temperature_ == pytest.approx(20.0, rel=0.1)


def test_where_no_threshold_helps_json_says_null() -> None:
    # Alone right and wrong alike: the class taken away changes nothing.
    scores = torch.zeros(4, 2, dtype=torch.float64)
    names, seen = ("a", "b"), torch.tensor([True, False])
    fitted = Calibration.fit(
        Evaluation(scores, torch.tensor([0, 1, 0, 1]), seen, names, tuple("wxyz")), 0.0
    )
    assert fitted.reject_threshold_ == -np.inf
    assert not fitted.rejects(-1e9)
    written = json.dumps(fitted.as_dict(), allow_nan=False)
    assert json.loads(written)["reject_threshold_"] is None
    assert Calibration.of(json.loads(written)) == fitted


def test_no_validation_scores() -> None:
    empty = Evaluation(
        torch.zeros(0, 2), torch.zeros(0).long(), torch.tensor([True, False]), ("a", "b"), ()
    )
    with pytest.raises(EzavError, match="validation scores"):
        Calibration.fit(empty, 0.0)
