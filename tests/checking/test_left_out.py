"""Scores of clips that were left out, against fits without them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from ezav.checking.left_out import left_out_scores
from ezav.errors import EzavError


@pytest.mark.parametrize("dim", [5, 60])  # solved over dimensions, and over clips
@pytest.mark.parametrize("weighted", [False, True])
def test_a_source_scores_as_if_the_model_had_never_met_it(dim: int, weighted: bool) -> None:
    draw = torch.Generator().manual_seed(0)
    clips = torch.randn(30, dim, generator=draw)
    targets = torch.randn(30, 3, generator=draw)
    groups = [f"tape {row // 4}" for row in range(28)] + ["alone", "single"]
    weights = torch.rand(30, generator=draw) + 0.2 if weighted else torch.ones(30)
    scores = left_out_scores(clips, targets, groups, ridge=0.7, weights=weights)
    for group in set(groups):
        own = np.array([one == group for one in groups])
        model = Ridge(alpha=0.7, fit_intercept=False)
        model.fit(clips[~own].double(), targets[~own].double(), sample_weight=weights[~own])
        assert np.allclose(scores[own], model.predict(clips[own].double()), atol=1e-5)


def test_a_ridge_of_nothing_is_refused() -> None:
    with pytest.raises(EzavError, match="has no solution"):
        left_out_scores(torch.eye(2), torch.eye(2), ["a", "b"], ridge=0.0)
