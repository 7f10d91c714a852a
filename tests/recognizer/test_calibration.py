"""Temperature and threshold against brute force."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import logsumexp
from sklearn.metrics import roc_auc_score

from ezav.errors import EzavError
from ezav.protocol.calibration import Calibration
from ezav.protocol.evaluation import Evaluation
from ezav.protocol.open_set import (
    AWAY,
    fit_open,
    fit_temperature,
    fit_threshold,
    open_nll,
    with_none,
)


@pytest.fixture(autouse=True)
def _percentages() -> None:
    """The bounds that other tests of this folder lower are what is tested here."""


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
    assert stacked.none_ == pytest.approx(plain.none_)
    assert plain.nll_ <= plain.nll_before_


def _open_likelihood(scores: np.ndarray, targets: np.ndarray, warm: float, none: float) -> float:
    """By hand: the mean over clips as they are and half as many without their class."""
    lost = []
    for row, target in zip(scores, targets, strict=True):
        for left, weight in ((row, 1.0), (np.delete(row, target), AWAY)):
            z = np.append(left, none) / warm
            wanted = target if weight == 1.0 else len(left)
            lost.append(weight * (np.logaddexp.reduce(z) - z[wanted]))
    return float(np.sum(lost) / (len(scores) * (1 + AWAY)))


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.02, 1.0, 30.0]))
def test_temperature_and_none_minimise_the_open_likelihood(seed: int, scale: float) -> None:
    scores, targets = _scores(seed, clips=30, scale=scale)
    warm, none = fit_open(scores, targets)
    at = _open_likelihood(scores.numpy(), targets.numpy(), warm, none)
    assert float(open_nll(scores, targets, warm, none)) == pytest.approx(at, rel=1e-9)
    found = minimize(
        lambda x: _open_likelihood(scores.numpy(), targets.numpy(), scale * np.exp(x[0]), x[1]),
        [0.0, float(scores.mean())],
        method="Nelder-Mead",
        options={"maxiter": 2000, "xatol": 1e-7, "fatol": 1e-10},
    )
    assert at <= found.fun + 1e-6


def test_scores_that_are_always_right_or_useless_keep_an_open_temperature() -> None:
    right = 5 * torch.eye(3, dtype=torch.float64).repeat(4, 1)
    targets = torch.arange(3).repeat(4)
    for scores in (right, -right, torch.zeros(12, 3).double()):
        warm, none = fit_open(scores, targets)
        assert 0 < warm < 1e5
        assert np.isfinite(none)


def test_calibration_of_overconfident_scores_improves() -> None:
    scores, targets = _scores(1, clips=4000, scale=20.0)
    names, seen = tuple("abcde"), torch.zeros(5, dtype=torch.bool)
    clips = tuple(map(str, range(4000)))
    fitted = Calibration.fit(Evaluation(scores, targets, seen, names, clips), 0.0)
    assert fitted.ece_before_ > 0.3
    assert fitted.ece_ < 0.05
    assert fitted.withheld == ""
    # Logits one apart from noise of unit variance are honest at temperature 1.
    before = Calibration.of_before(Evaluation(scores, targets, seen, names, clips), 0.0)
    assert before.ece_ < 0.03
    assert before.temperature_ == pytest.approx(20.0, rel=0.1)
    for found, temperature in ((before.nll_before_, 1.0), (before.nll_, before.temperature_)):
        expected = torch.nn.functional.cross_entropy(scores / temperature, targets)
        assert found == pytest.approx(float(expected))


def test_what_a_calibration_says_of_itself_was_not_fitted_on_the_classes_it_is_measured_on() -> (
    None
):
    scores, targets = _scores(2, clips=300)
    names, seen = tuple("abcde"), torch.zeros(5, dtype=torch.bool)
    fitted = Calibration.fit(
        Evaluation(scores, targets, seen, names, tuple(map(str, range(300)))), 0.0
    )
    gaps = np.zeros(15)
    best, right = [], []
    for one in range(5):
        warm, none = fit_open(scores[targets != one], targets[targets != one])
        for row in scores[targets == one].numpy():
            for left, weight in ((row, 1.0), (np.where(np.arange(5) == one, -np.inf, row), AWAY)):
                z = np.append(left, none) / warm
                p = np.exp(z - logsumexp(z))
                wanted = one if weight == 1.0 else 5
                place = int(np.ceil(p.max() * 15)) - 1
                gaps[place] += weight * (float(p.argmax() == wanted) - p.max())
                if weight == 1.0:
                    best.append(p[:-1].max())
                    right.append(row.argmax() == one)
    assert fitted.ece_ == pytest.approx(np.abs(gaps).sum() / (300 * (1 + AWAY)), abs=1e-6)
    assert fitted.auroc_ == pytest.approx(roc_auc_score(right, best), abs=1e-6)
    away = scores.clone()
    away[torch.arange(300), targets] = -torch.inf
    values = torch.cat([scores.amax(1), away.amax(1)]).numpy()
    assert fitted.away_auroc_ == pytest.approx(roc_auc_score([1] * 300 + [0] * 300, values))


def test_class_folds_teach_together() -> None:
    names, seen = tuple("abcde"), torch.tensor([True, True, False, False, False])
    parts = []
    for seed in range(3):
        scores, targets = _scores(seed, clips=20)
        clips = tuple(map(str, range(20)))  # the same clips in every fold
        parts.append(Evaluation(scores + 2.0 * seen, targets, seen, names, clips))
    fitted = Calibration.fit(parts, 2.0)
    whole = Evaluation(
        torch.cat([one.scores for one in parts]),
        torch.cat([one.targets for one in parts]),
        seen,
        names,
        tuple(map(str, range(60))),
    )
    together = Calibration.fit(whole, 2.0)
    assert fitted.temperature_ == pytest.approx(together.temperature_)
    assert (fitted.clips, together.clips) == (20, 60)


def test_percentages_are_withheld_where_they_were_not_shown_to_hold() -> None:
    scores, targets = _scores(1, clips=400)
    names, seen = tuple("abcde"), torch.zeros(5, dtype=torch.bool)

    def fitted(rows: torch.Tensor) -> Calibration:
        clips = tuple(str(row) for row in rows.tolist())
        return Calibration.fit(Evaluation(scores[rows], targets[rows], seen, names, clips), 0.0)

    assert fitted(torch.arange(400)).withheld == ""
    assert fitted(torch.arange(39)).withheld.startswith("they were measured on 39 clips of 5")
    three = (targets < 3).nonzero()[:, 0]
    assert " of 3 classes only" in fitted(three).withheld
    strange = dataclasses.replace(fitted(torch.arange(400)), ece_=0.16)
    assert "were off by 16% on average" in strange.withheld
    assert dataclasses.replace(strange, ece_=np.nan).withheld
    assert Calibration.none().withheld.startswith("they are uncalibrated")
    before = Evaluation(scores[:9], targets[:9], seen, names, tuple("abcdefghi"))
    assert Calibration.of_before(before, 0.0).withheld == ""


def test_probabilities_leave_a_share_to_none_of_these() -> None:
    scores, targets = _scores(4)
    names, seen = tuple("abcde"), torch.zeros(5, dtype=torch.bool)
    clips = tuple(map(str, range(60)))
    fitted = Calibration.fit(Evaluation(scores, targets, seen, names, clips), 0.0)
    z = np.append(scores[0].numpy(), fitted.none_) / fitted.temperature_
    wanted = np.exp(z - logsumexp(z))
    assert fitted.probabilities(scores)[0].numpy() == pytest.approx(wanted[:-1])
    assert float(fitted.log_probabilities(scores)[0, -1].exp()) == pytest.approx(wanted[-1])
    far = scores[:1] - 100 * float(scores.std())
    assert float(fitted.probabilities(far).max()) < 1e-3  # like nothing that was seen
    before = Calibration.of_before(Evaluation(scores, targets, seen, names, clips), 0.0)
    assert before.probabilities(far).sum().item() == pytest.approx(1)  # as it did
    assert with_none(scores, 1.0, -np.inf)[:, -1].max() == -torch.inf


def test_a_calibration_of_before_is_read_and_answers_as_it_did() -> None:
    old = {
        "gamma": 0.5,
        "temperature_": 2.0,
        "ece_before_": 0.3,
        "ece_": 0.2,
        "nll_before_": 2.0,
        "nll_": 1.0,
        "reject_threshold_": None,
        "reject_accuracy_": 0.5,
        "clips": 7,
    }
    found = Calibration.of(old)
    assert (found.none_, found.classes, found.withheld) == (-np.inf, 0, "")
    scores = torch.tensor([[1.0, 3.0]]).double()
    assert torch.allclose(found.probabilities(scores), (scores / 2).softmax(dim=1))
    with pytest.raises(TypeError):
        Calibration.of({**old, "ece_": None})
    nothing = Calibration.none().as_dict()
    assert json.loads(json.dumps(nothing, allow_nan=False)) == nothing
    assert not Calibration.of(nothing).fitted


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
