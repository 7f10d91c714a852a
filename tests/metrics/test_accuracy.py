"""Recall, confusion, top-k, ECE and S/U/HM/ZSL against scikit-learn and plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from torch import Tensor

from ezav.errors import EzavError
from ezav.metrics import (
    calibrated_predictions,
    confusion_matrix,
    expected_calibration_error,
    gzsl_scores,
    mean_recall,
    peer_evaluation,
    per_class_recall,
    seen_unseen_curve,
    top_k_accuracy,
)


@pytest.fixture
def problem() -> tuple[Tensor, Tensor, Tensor]:
    rng = np.random.default_rng(0)
    targets = torch.from_numpy(np.concatenate([np.arange(6), rng.integers(0, 6, 80)]))
    scores = torch.from_numpy(rng.normal(size=(86, 6)).astype(np.float32))
    scores[torch.arange(86), targets] += 1
    return scores, targets, torch.tensor([True, False, True, True, False, True])


def test_recall_and_confusion_are_scikit_learns(problem) -> None:  # type: ignore[no-untyped-def]
    scores, targets, _ = problem
    predictions = scores.argmax(1)
    recall = per_class_recall(predictions, targets, 6)
    assert np.allclose(recall, sk.recall_score(targets, predictions, average=None))
    assert mean_recall(recall) == pytest.approx(sk.balanced_accuracy_score(targets, predictions))
    counts = confusion_matrix(predictions, targets, 6)
    assert np.array_equal(counts, sk.confusion_matrix(targets, predictions))
    assert counts.dtype == torch.int64


def test_class_without_clips_is_nan_and_leaves_the_mean(problem) -> None:  # type: ignore[no-untyped-def]
    scores, targets, _ = problem
    predictions = scores.argmax(1)
    recall = per_class_recall(predictions, targets, 8)
    assert recall[6:].isnan().all()
    assert mean_recall(recall) == pytest.approx(sk.balanced_accuracy_score(targets, predictions))
    assert math.isnan(mean_recall(recall, torch.arange(8) >= 6))


def test_top_k_is_scikit_learns(problem) -> None:  # type: ignore[no-untyped-def]
    scores, targets, _ = problem
    for k in range(1, 6):
        expected = sk.top_k_accuracy_score(targets, scores, k=k, labels=np.arange(6))
        assert top_k_accuracy(scores, targets, k) == pytest.approx(expected)


def test_top_1_of_ties_is_argmax() -> None:
    scores = torch.randint(0, 3, (200, 5), generator=torch.Generator().manual_seed(0)).float()
    targets = torch.arange(200) % 5
    expected = (scores.argmax(1) == targets).double().mean()
    assert top_k_accuracy(scores, targets, 1) == pytest.approx(float(expected))
    with pytest.raises(EzavError, match=r"k must lie in 1\.\.5"):
        top_k_accuracy(scores, targets, 6)


def test_gzsl_scores_are_a_plain_loop(problem) -> None:  # type: ignore[no-untyped-def]
    scores, targets, seen = problem
    for gamma in (-0.7, 0.0, 0.4, 1.3):
        recall = np.full(6, np.nan)
        zsl = np.full(6, np.nan)
        for c in range(6):
            rows = [scores[i].tolist() for i in range(86) if targets[i] == c]
            hits = [
                max(range(6), key=lambda k, r=r: r[k] - gamma * bool(seen[k])) == c for r in rows
            ]
            recall[c] = np.mean(hits)
            if not seen[c]:
                zsl[c] = np.mean([max((1, 4), key=lambda k, r=r: r[k]) == c for r in rows])
        s, u = recall[seen.numpy()].mean(), recall[~seen.numpy()].mean()
        result = gzsl_scores(scores, targets, seen, gamma)
        assert pytest.approx(s) == result.S
        assert pytest.approx(u) == result.U
        assert pytest.approx(2 * s * u / (s + u)) == result.HM
        assert pytest.approx(np.nanmean(zsl)) == result.ZSL
        assert list(result.as_dict()) == ["S", "U", "HM", "ZSL"]


@pytest.mark.parametrize("gamma", [-1.0, 0.0, 0.5, 2.0])
def test_calibrated_predictions_are_argmax_ties_included(gamma: float) -> None:
    generator = torch.Generator().manual_seed(1)
    scores = torch.randint(0, 5, (500, 7), generator=generator) / 2
    for bits in ("1010011", "0000001", "1111111", "0000000"):
        seen = torch.tensor([b == "1" for b in bits])
        expected = (scores - gamma * seen).argmax(1)
        assert torch.equal(calibrated_predictions(scores, seen, gamma), expected)


def test_one_sided_clips_give_nan_not_a_number_made_up(problem) -> None:  # type: ignore[no-untyped-def]
    scores, targets, seen = problem
    rows = seen[targets]
    result = gzsl_scores(scores[rows], targets[rows], seen, 0.0)
    assert result.S > 0
    assert all(math.isnan(x) for x in (result.U, result.HM, result.ZSL))


def test_calibration_error_is_a_plain_loop() -> None:
    rng = np.random.default_rng(2)
    probabilities = rng.dirichlet(np.ones(4) * 0.5, size=300)
    targets = np.array([rng.choice(4, p=p) for p in probabilities])
    total = 0.0
    for b in range(10):
        rows = [
            (p.max(), p.argmax() == y)
            for p, y in zip(probabilities, targets, strict=True)
            if b / 10 < p.max() <= (b + 1) / 10
        ]
        if rows:
            confidence, accuracy = np.mean(rows, axis=0)
            total += len(rows) / 300 * abs(accuracy - confidence)
    ours = expected_calibration_error(
        torch.from_numpy(probabilities), torch.from_numpy(targets), bins=10
    )
    assert ours == pytest.approx(total)
    assert 0 < ours < 0.2
    # The upper end of a bin is its own: 0.5, wrong, and 0.6, right, lie in two halves.
    two = torch.tensor([[0.5, 0.5], [0.6, 0.4]]).double()
    assert expected_calibration_error(two, torch.tensor([1, 0]), bins=2) == pytest.approx(0.45)
    with pytest.raises(EzavError, match="sum to 1"):
        expected_calibration_error(torch.ones(2, 3), torch.tensor([0, 1]))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32])
def test_any_integer_type_of_labels_counts_alike(problem, dtype) -> None:  # type: ignore[no-untyped-def]
    scores, targets, seen = problem
    # 20 classes: the cell of classes 19 and 19 is 399, beyond a byte.
    scores = torch.cat([scores, torch.full((len(scores), 14), -9.0)], dim=1)
    seen = torch.cat([seen, torch.arange(14) % 2 == 0])
    targets = torch.cat([targets[:-1], torch.tensor([19])])
    predictions = torch.cat([scores[:-1].argmax(1), torch.tensor([19])])
    few = targets.to(dtype)
    confusion = confusion_matrix(predictions.to(dtype), few, 20)
    assert torch.equal(confusion, confusion_matrix(predictions, targets, 20))
    assert int(confusion[19, 19]) == 1
    recall = per_class_recall(predictions.to(dtype), few, 20)
    expected = confusion.diag().double() / confusion.sum(1)
    assert torch.equal(recall.nan_to_num(-1), expected.nan_to_num(-1))
    assert top_k_accuracy(scores, few, 3) == top_k_accuracy(scores, targets, 3)
    assert gzsl_scores(scores, few, seen, 0.1) == gzsl_scores(scores, targets, seen, 0.1)
    curves = [seen_unseen_curve(scores, labels, seen) for labels in (few, targets)]
    assert torch.equal(curves[0].HM, curves[1].HM)
    grids = [peer_evaluation(-scores, labels, seen, 0.2) for labels in (few, targets)]
    assert torch.equal(grids[0].curve.nan_to_num(-1), grids[1].curve.nan_to_num(-1))
    flat = scores.softmax(1)
    assert expected_calibration_error(flat, few) == expected_calibration_error(flat, targets)


def test_nan_is_never_right_and_infinity_may_stand_for_a_class_ruled_out(problem) -> None:  # type: ignore[no-untyped-def]
    scores, targets, seen = problem
    broken = scores.clone()
    broken[7, 2] = broken[80, 0] = math.nan
    for measure in (
        lambda s: top_k_accuracy(s, targets, 1),
        lambda s: gzsl_scores(s, targets, seen, 0.0),
        lambda s: peer_evaluation(s, targets, seen, 0.0),
        lambda s: seen_unseen_curve(s, targets, seen),
    ):
        with pytest.raises(EzavError, match=r"nan for 2 of 86 clips \(the first is row 7\)"):
            measure(broken)
    ruled_out = scores.double()
    ruled_out[:, 3] = -math.inf
    ruled_out[4, 5] = math.inf  # the sum is nan, no score is
    others = scores.argmax(1) != 3
    assert 0 < top_k_accuracy(ruled_out[others], targets[others], 1) < 1


@pytest.mark.parametrize("shape", [(6,), (2, 6, 1), (3, 0)])
def test_scores_that_are_no_matrix_are_named(shape: tuple[int, ...]) -> None:
    with pytest.raises(EzavError, match=r"scores must be a float tensor \[N, C\]"):
        calibrated_predictions(torch.zeros(shape), torch.ones(6, dtype=torch.bool), 0.0)


def test_gamma_must_be_a_number(problem) -> None:  # type: ignore[no-untyped-def]
    scores, targets, seen = problem
    for use in (
        lambda: calibrated_predictions(scores, seen, math.nan),
        lambda: gzsl_scores(scores, targets, seen, math.nan),
        lambda: seen_unseen_curve(scores, targets, seen).at(math.nan),
    ):
        with pytest.raises(EzavError, match="gamma is nan"):
            use()
