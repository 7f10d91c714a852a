"""The exact curve against a brute force over every gamma that can matter, and identities."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import auc, recall_score
from torch import Tensor

from ezav.errors import EzavError
from ezav.metrics import calibrated_predictions, gzsl_scores, seen_unseen_curve

Problem = tuple[Tensor, Tensor, Tensor]


def make_problem(
    seed: int, clips: int = 60, classes: int = 7, levels: int | None = None
) -> Problem:
    """Random scores (on few levels: many ties), every class with at least one clip."""
    rng = np.random.default_rng(seed)
    seen = torch.zeros(classes, dtype=torch.bool)
    seen[rng.permutation(classes)[: rng.integers(1, classes)]] = True
    targets = torch.from_numpy(
        np.concatenate([np.arange(classes), rng.integers(0, classes, clips)])
    )
    scores = torch.from_numpy(rng.normal(size=(len(targets), classes)))
    scores[torch.arange(len(targets)), targets] += 1.0
    scores += 0.8 * seen
    if levels is not None:
        scores = (scores * levels).round() / levels
    return scores, targets, seen


def brute_force(problem: Problem) -> list[tuple[float, float, float]]:
    """(gamma, S, U) in the middle between all neighbouring differences of two scores of a clip."""
    scores, targets, seen = (x.numpy() for x in problem)
    differences = scores[:, seen, None] - scores[:, None, ~seen]
    cuts = np.unique(differences)
    gammas = np.concatenate([[cuts[0] - 1], (cuts[1:] + cuts[:-1]) / 2, [cuts[-1] + 1]])
    rows = []
    for gamma in gammas:
        predictions = (scores - gamma * seen).argmax(axis=1)
        recall = recall_score(
            targets, predictions, labels=np.arange(len(seen)), average=None, zero_division=0
        )
        rows.append((gamma, recall[seen].mean(), recall[~seen].mean()))
    return rows


def hm(s: float, u: float) -> float:
    return 0.0 if s + u == 0 else 2 * s * u / (s + u)


@pytest.mark.parametrize("levels", [None, 2, 8])
@pytest.mark.parametrize("seed", range(4))
def test_curve_is_the_brute_force_over_all_midpoints(seed: int, levels: int | None) -> None:
    problem = make_problem(seed, levels=levels)
    curve = seen_unseen_curve(*problem)
    rows = brute_force(problem)
    for gamma, s, u in rows:
        assert curve.at(gamma) == pytest.approx((s, u), abs=1e-12)
    for flip in curve.breakpoints.tolist():
        assert curve.at(flip) == curve.at(math.nextafter(flip, math.inf))
    assert curve.best_hm == pytest.approx(max(hm(s, u) for _, s, u in rows), abs=1e-12)
    area = auc([s for _, s, _ in rows], [u for _, _, u in rows])
    assert curve.ausuc == pytest.approx(area, abs=1e-12)
    assert curve.breakpoints.diff().gt(0).all()
    changes = curve.S.diff().abs() + curve.U.diff().abs()
    assert changes.gt(1e-12).all(), "every breakpoint changes something"


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16])
@pytest.mark.parametrize("seed", range(5))
def test_best_gamma_reaches_best_hm_all_over_its_interval(seed: int, dtype: torch.dtype) -> None:
    scores, targets, seen = make_problem(seed, levels=16 if dtype == torch.float16 else None)
    scores = scores.to(dtype)
    curve = seen_unseen_curve(scores, targets, seen)
    lower, upper = curve.interval
    assert lower < curve.gamma < upper
    for share in (1e-6, 0.5, 1 - 1e-6):
        at = gzsl_scores(scores, targets, seen, lower + share * (upper - lower))
        assert pytest.approx(curve.best_hm, abs=1e-12) == at.HM
        assert pytest.approx(curve.at(curve.gamma), abs=1e-12) == (at.S, at.U)


def test_ends_of_the_curve_are_the_two_pure_candidates_sets() -> None:
    scores, targets, seen = make_problem(3)
    curve = seen_unseen_curve(scores, targets, seen)
    forced_seen, forced_unseen = curve.at(-math.inf), curve.at(math.inf)
    assert forced_seen[1] == 0.0
    assert forced_unseen[0] == 0.0
    assert forced_unseen[1] == pytest.approx(gzsl_scores(scores, targets, seen, 0.0).ZSL)
    assert forced_seen[0] == pytest.approx(gzsl_scores(scores, targets, seen, -math.inf).S)


@pytest.mark.parametrize(
    ("margins", "gamma"),
    [((-3, -2, 0, 1), 0.5), ((-5, -2, 0, 1), -3.5), ((-2, -1, 1, 2), 1.5)],
    ids=["nearest to zero", "widest", "higher"],
)
def test_ties_of_best_hm_take_the_widest_then_the_nearest_to_zero_then_the_higher(
    margins: tuple[float, ...], gamma: float
) -> None:
    # HM is 2/3 between the first two margins and between the last two.
    seen = torch.tensor([True, False, False])
    scores = torch.full((4, 3), -100.0)
    scores[:, 0] = torch.tensor(margins)  # the best of the others is 0
    scores[:, 2] = 0.0
    curve = seen_unseen_curve(scores, torch.tensor([2, 0, 2, 0]), seen)
    assert curve.HM[1] == pytest.approx(curve.HM[3]) == pytest.approx(2 / 3)
    assert curve.gamma == gamma


def test_rounding_does_not_decide_a_tie() -> None:
    # Two intervals reach the same HM, but summed in doubles the narrow one is 1e-16 higher.
    curve = seen_unseen_curve(*make_problem(815, clips=12, classes=3))
    narrow, wide = 4, 7
    assert 0 < float(curve.HM[narrow] - curve.HM[wide]) < 1e-15
    assert curve.best == wide


def test_nothing_to_learn_gives_gamma_zero() -> None:
    # Every clip is wrong on its own side.
    scores = torch.tensor([[0.0, 1.0, 0.5, 0.7], [0.3, 0.2, 1.0, 0.0]])
    curve = seen_unseen_curve(
        scores, torch.tensor([0, 3]), torch.tensor([True, True, False, False])
    )
    assert (curve.gamma, curve.best_hm, curve.ausuc) == (0.0, 0.0, 0.0)
    assert curve.interval == (-math.inf, math.inf)


def test_one_side_always_wrong_gives_gamma_zero_whatever_the_other_does() -> None:
    # Two seen clips flip at -1 and at 3; the unseen clip is wrong on its own side.
    scores = torch.tensor([[-1.0, 0.0, -9.0], [3.0, 0.0, -9.0], [0.0, 0.0, -9.0]])
    seen = torch.tensor([True, False, False])
    curve = seen_unseen_curve(scores, torch.tensor([0, 0, 2]), seen)
    assert curve.breakpoints.tolist() == [-1, 3]
    assert (curve.gamma, curve.interval) == (0.0, (-math.inf, math.inf))
    assert curve.best == 1, "the interval that 0 lies in"


def test_differences_of_single_precision_scores_are_not_rounded() -> None:
    scores, seen = torch.tensor([[1.0, 2.0**-30], [0.0, 1.0]]), torch.tensor([True, False])
    curve = seen_unseen_curve(scores, torch.tensor([0, 1]), seen)
    assert curve.breakpoints.tolist() == [-1, 1 - 2.0**-30]
    for gamma, predicted in ((1 - 2.0**-29, 0), (1 - 2.0**-31, 1)):
        assert calibrated_predictions(scores, seen, gamma).tolist() == [predicted, 1]


def test_neighbouring_doubles_hold_no_gamma() -> None:
    step = math.nextafter(1.0, 2.0)
    scores = torch.tensor([[1.0, 0.0], [step, 0.0]], dtype=torch.float64)
    targets, seen = torch.tensor([1, 0]), torch.tensor([True, False])
    curve = seen_unseen_curve(scores, targets, seen)
    assert float(curve.HM.max()) == 1.0
    assert curve.gamma == 0.0, "no double lies between the two margins"


def test_classes_without_clips_do_not_count() -> None:
    scores, targets, seen = make_problem(5)
    wider = torch.cat([scores, torch.full((len(scores), 2), -50.0).double()], dim=1)
    more = torch.cat([seen, torch.tensor([True, False])])
    plain, padded = (
        seen_unseen_curve(scores, targets, seen),
        seen_unseen_curve(wider, targets, more),
    )
    assert torch.equal(plain.breakpoints, padded.breakpoints)
    assert torch.equal(plain.S, padded.S)
    assert torch.equal(plain.U, padded.U)


problems = st.builds(
    make_problem,
    seed=st.integers(0, 10_000),
    clips=st.integers(0, 30),
    classes=st.integers(2, 6),
    levels=st.sampled_from([None, 1, 4]),
)


@settings(deadline=None, max_examples=40)
@given(problem=problems, seed=st.integers(0, 1000))
def test_order_of_clips_and_constants_do_not_matter(problem: Problem, seed: int) -> None:
    scores, targets, seen = problem
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(targets), generator=generator)
    # Halves add exactly to quarters: a constant for each clip leaves the margins as they are.
    scores = (scores * 4).round() / 4
    curve = seen_unseen_curve(scores, targets, seen)
    constant = torch.randint(-8, 8, (len(targets), 1), generator=generator) / 2
    moved = seen_unseen_curve((scores + constant)[order], targets[order], seen)
    assert torch.equal(moved.breakpoints, curve.breakpoints)
    assert torch.allclose(moved.S, curve.S, atol=1e-12)
    assert torch.allclose(moved.U, curve.U, atol=1e-12)
    assert moved.interval == curve.interval
    assert moved.gamma == curve.gamma


@settings(deadline=None, max_examples=40)
@given(problem=problems, seed=st.integers(0, 1000), scale=st.sampled_from([0.25, 2.0, 8.0]))
def test_order_of_classes_and_scale(problem: Problem, seed: int, scale: float) -> None:
    scores, targets, seen = problem
    scores = scores + torch.arange(scores.shape[1]) * 2.0**-20  # no ties: class order decides those
    curve = seen_unseen_curve(scores, targets, seen)
    order = torch.randperm(len(seen), generator=torch.Generator().manual_seed(seed))
    place = order.argsort()
    changed = seen_unseen_curve(scores[:, order] * scale, place[targets], seen[order])
    assert torch.equal(changed.breakpoints, curve.breakpoints * scale)
    assert torch.allclose(changed.S, curve.S, atol=1e-12)
    assert torch.allclose(changed.U, curve.U, atol=1e-12)
    assert changed.gamma == curve.gamma * scale


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda s, t, m: (s, t, m & False), "no clip of seen classes"),
        (lambda s, t, m: (s, t, m | True), "no clip of unseen classes"),
        (lambda s, t, m: (s.index_fill(0, torch.tensor([2]), math.nan), t, m), "row 2"),
        (lambda s, t, m: (s.masked_fill(m, -math.inf), t, m), "infinity for 67 of 67 clips"),
        (lambda s, t, m: (s, t + 1, m), "targets must lie in 0..6"),
        (lambda s, t, m: (s, t[1:], m), "67 rows of scores but 66 targets"),
        (lambda s, t, m: (s, t, m.long()), "seen must be a bool tensor"),
        (lambda s, t, m: (s.long(), t, m), "scores must be a float tensor"),
    ],
)
def test_wrong_inputs_are_named(change, word: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(EzavError, match=word):
        seen_unseen_curve(*change(*make_problem(0)))
