"""AUROC against scikit-learn, and a weight against that many copies."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from ezav.errors import EzavError
from ezav.metrics import auroc, expected_calibration_error


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=40))
def test_auroc_is_that_of_scikit_learn(pairs: list[tuple[int, bool]]) -> None:
    values, positive = (torch.tensor(column) for column in zip(*pairs, strict=True))
    found = auroc(values.float(), positive.bool())
    if positive.any() and not positive.all():
        assert found == pytest.approx(roc_auc_score(positive.numpy(), values.numpy()))
    else:
        assert math.isnan(found)


def test_auroc_of_infinite_and_missing_values() -> None:
    values = torch.tensor([math.inf, 1.0, -math.inf])
    assert auroc(values, torch.tensor([True, False, False])) == 1
    with pytest.raises(EzavError, match="AUROC needs one number"):
        auroc(torch.tensor([math.nan]), torch.tensor([True]))
    with pytest.raises(EzavError, match="AUROC needs one number"):
        auroc(values, torch.tensor([True]))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_a_weight_is_that_many_copies(seed: int) -> None:
    draw = np.random.default_rng(seed)
    probabilities = torch.from_numpy(draw.dirichlet(np.ones(4), 12))
    targets = torch.from_numpy(draw.integers(0, 4, 12))
    copies = torch.from_numpy(draw.integers(0, 4, 12))
    copies[0] = 1
    rows = torch.arange(12).repeat_interleave(copies)
    assert expected_calibration_error(
        probabilities, targets, weights=copies.double()
    ) == pytest.approx(expected_calibration_error(probabilities[rows], targets[rows]))
