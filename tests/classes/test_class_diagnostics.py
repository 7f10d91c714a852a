"""Diagnostics against brute force and scipy; the trade-off; figures."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from torch import Tensor
from torch.nn.functional import normalize

from ezav.classes import ClassEmbeddings, diagnose
from ezav.errors import EzavError
from tests.classes.test_ceo_optimize import text


def kept_by_counting(w: Tensor, t: Tensor) -> float:
    """Every triplet, one by one; equal rows of t are exactly tied."""
    d_w, d_t = torch.cdist(w, w), torch.cdist(t, t)
    same = (t[:, None] == t[None]).all(dim=-1)
    kept = total = 0
    for c in range(len(t)):
        for i, j in itertools.combinations([k for k in range(len(t)) if k != c], 2):
            if same[i, j]:
                continue
            total += 1
            kept += bool((d_t[c, i] < d_t[c, j]) == (d_w[c, i] < d_w[c, j]))
    return kept / total


@settings(deadline=None, max_examples=15)
@given(st.integers(3, 12), st.integers(2, 6), st.integers(0, 1000), st.booleans())
def test_everything_against_brute_force(
    classes: int, dim: int, seed: int, duplicates: bool
) -> None:
    generator = torch.Generator().manual_seed(seed)
    t = torch.randn(classes, dim, generator=generator).double()
    if duplicates:
        t[1] = t[0]
    t = normalize(t, dim=1).float()
    w = normalize(torch.randn(classes, dim, generator=generator), dim=1)
    found = diagnose(w, t)
    exact = w.double() / w.double().norm(dim=1, keepdim=True)
    distance = torch.cdist(exact, exact, compute_mode="donot_use_mm_for_euclid_dist")
    nearest = (distance + torch.eye(classes) * 9).amin(dim=1)
    assert found.min_nearest == pytest.approx(float(nearest.min()), abs=1e-6)
    assert found.mean_nearest == pytest.approx(float(nearest.mean()), abs=1e-6)
    assert found.orderings_kept == pytest.approx(kept_by_counting(exact, t.double()))
    off = ~torch.eye(classes, dtype=torch.bool)
    assert found.mean_cosine == pytest.approx(float((exact @ exact.T)[off].mean()), abs=1e-6)
    assert found.distance_spread == pytest.approx(float(distance[off].std(correction=0)), abs=1e-6)
    assert found.cosine_mean == pytest.approx(float((w * t).sum(dim=1).mean()), abs=1e-6)
    d_t = torch.cdist(t.double(), t.double(), compute_mode="donot_use_mm_for_euclid_dist")
    if classes > 3:
        rho = [spearmanr(distance[c][off[c]], d_t[c][off[c]])[0] for c in range(classes)]
        assert found.spearman_mean == pytest.approx(sum(rho) / classes, abs=1e-6)
        assert found.spearman_min == pytest.approx(min(rho), abs=1e-6)
    pairs = sorted(
        (float(distance[i, j]), str(i), str(j))
        for i, j in itertools.combinations(range(classes), 2)
    )
    expected = [d for d, _, _ in pairs[:10]]
    assert [p.distance for p in found.closest] == pytest.approx(expected, abs=1e-6)


def test_embeddings_against_themselves_and_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    t, w = text(30, 12), text(30, 12, seed=3)
    assert diagnose(t).orderings_kept == 1.0
    assert diagnose(t).spearman_min == pytest.approx(1)
    whole = diagnose(w, t)
    for module in ("diagnostics", "geometry"):
        monkeypatch.setattr(f"ezav.classes.{module}.CHUNK", 70)
    parts = diagnose(w, t)
    assert [(p.first, p.second) for p in parts.closest] == [
        (p.first, p.second) for p in whole.closest
    ]
    assert parts.min_nearest == pytest.approx(whole.min_nearest)
    assert parts.distance_spread == pytest.approx(whole.distance_spread)
    assert parts.orderings_kept == whole.orderings_kept
    assert parts.mean_nearest == pytest.approx(whole.mean_nearest)
    assert parts.spearman_mean == pytest.approx(whole.spearman_mean)


def test_random_embeddings_keep_half_of_the_orderings() -> None:
    kept = diagnose(torch.randn(60, 50), text(60, 50)).orderings_kept
    assert 0.45 < kept < 0.55


def test_the_classes_must_be_the_same() -> None:
    a = ClassEmbeddings(("x", "y", "z"), torch.eye(3))
    with pytest.raises(EzavError, match="name different classes"):
        diagnose(a, a.select(["y", "x", "z"]))
    with pytest.raises(EzavError, match="3 class embeddings but 2"):
        diagnose(a, torch.eye(2))


def test_spaces_of_other_dimensions_have_orders_but_no_angle_between_them() -> None:
    w = torch.nn.functional.normalize(torch.randn(8, 5), dim=1)
    wider = torch.cat([w, torch.zeros(8, 3)], dim=1)
    found = diagnose(w, wider)
    assert found.cosine_mean is None
    assert found.cosine_min is None
    assert found.orderings_kept == 1.0


def test_one_and_two_classes_have_diagnostics() -> None:
    for classes in (1, 2):
        found = diagnose(torch.eye(classes, 4))
        assert found.orderings_kept == found.spearman_mean == 1.0
        assert len(found.closest) == classes - 1
