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
    per_class_recall,
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
    with pytest.raises(EzavError, match="sum to 1"):
        expected_calibration_error(torch.ones(2, 3), torch.tensor([0, 1]))
