"""Equations (1) to (3) against their definitions: the cubic loop, autograd, gradcheck."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ezav.classes import TripletOrder, proximity_loss, ranking_loss, separation_loss
from ezav.classes.ranking import Ranked, _rank_device, rank
from ezav.errors import EzavError


def triple_loop(d_w: Tensor, d_t: Tensor, margin: float) -> float:
    """Equation (3), term by term."""
    total = 0.0
    w, t = d_w.tolist(), d_t.tolist()
    for c, i, j in itertools.permutations(range(len(w)), 3):
        sign = math.copysign(1, t[c][i] - t[c][j]) if t[c][i] != t[c][j] else 0
        total += max(0.0, margin - sign * (w[c][i] - w[c][j]))
    return total


def cubic(d_w: Tensor, d_t: Tensor, margin: float) -> Tensor:
    """Equation (3) as a C³ tensor, differentiable."""
    sign = torch.sign(d_t[:, :, None] - d_t[:, None, :])
    terms = torch.relu(margin - sign * (d_w[:, :, None] - d_w[:, None, :]))
    same = torch.eye(len(d_w), dtype=torch.bool)
    return terms[~(same[:, :, None] | same[:, None, :] | same[None])].sum()


def matrices(classes: int, seed: int, levels: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Random d_w, d_t; with `levels` > 0 d_t has that many values only, so many ties."""
    generator = torch.Generator().manual_seed(seed)
    d_w, d_t = torch.rand(2, classes, classes, generator=generator, dtype=torch.float64)
    if levels:
        d_t = (d_t * levels).floor() / levels
    return d_w.to(dtype), d_t.to(dtype)


@settings(deadline=None, max_examples=40)
@given(st.integers(3, 9), st.integers(0, 2**16), st.sampled_from([0, 1, 2, 5]), st.floats(0, 1.5))
def test_equals_the_triple_loop(classes: int, seed: int, levels: int, margin: float) -> None:
    d_w, d_t = matrices(classes, seed, levels, torch.float64)
    found = ranking_loss(d_w, d_t, margin, reduction="sum")
    assert float(found) == pytest.approx(triple_loop(d_w, d_t, margin), rel=1e-12, abs=1e-12)
    mean = ranking_loss(d_w, d_t, margin)
    terms = classes * (classes - 1) * (classes - 2)
    assert float(mean) == pytest.approx(float(found) / terms, rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("levels", [0, 1, 7])
@pytest.mark.parametrize("classes", [5, 33, 66, 130])
def test_value_and_gradient_equal_autograd_of_the_cubic_form(
    classes: int, levels: int, dtype: torch.dtype
) -> None:
    d_w, d_t = matrices(classes, classes, levels, dtype)
    d_w.requires_grad_()
    expected = cubic(d_w, d_t, 0.2)
    (expected_gradient,) = torch.autograd.grad(expected, d_w)
    found = ranking_loss(d_w, d_t, 0.2, reduction="sum")
    (gradient,) = torch.autograd.grad(found, d_w)
    assert float(found.detach()) == pytest.approx(float(expected.detach()), rel=2e-6)
    # Counts: exact wherever float32 does not put a pair on the other side of its kink.
    assert float((gradient - expected_gradient).abs().max()) <= (0 if dtype == torch.float64 else 2)


def one_row(d_w: Tensor, d_t: Tensor, margin: float) -> tuple[Ranked, Ranked, float, Tensor]:
    """Anchor 0 of `[1, C]` distances, by both kernels and by brute force."""
    target = TripletOrder.of(d_t)
    x = d_w[0, 1:].clone().requires_grad_()
    sign = torch.sign(d_t[0, 1:, None] - d_t[0, None, 1:])
    terms = torch.relu(margin - sign * (x[:, None] - x[None]))
    total = terms.double().sum() - margin * len(x)  # less the diagonal
    (gradient,) = torch.autograd.grad(total, x)
    kernels = (kernel(d_w, target, margin) for kernel in (rank, _rank_device))
    return *kernels, float(total.detach()), gradient


@pytest.mark.parametrize("kinks", [False, True])
@pytest.mark.parametrize("levels", [0, 3, 40])
@pytest.mark.parametrize("classes", [640, 641, 642, 700, 1500])
def test_merging_long_sequences(classes: int, levels: int, kinks: bool) -> None:
    """Above 640 elements the sweep merges runs of equal length; below it counts all pairs."""
    d_w, d_t = (m[:1] for m in matrices(classes, classes, levels, torch.float64))
    if kinks:  # eighths, and a margin of an eighth: many pairs are exactly at the margin
        d_w = (d_w * 8).round() / 8
    swept, tensors, total, gradient = one_row(d_w, d_t, 0.125 if kinks else 0.1)
    for found in (swept, tensors):
        assert found.value == pytest.approx(total, rel=1e-12)
        assert torch.equal(found.gradient[0, 1:], gradient)
        assert found.gradient[0, 0] == 0
    assert swept.active_pairs == tensors.active_pairs


@pytest.mark.parametrize(("block", "levels"), [(32, 4), (1, 2), (1, 3)])
@pytest.mark.parametrize("falling", [False, True])
def test_blocks_that_lie_exactly_a_margin_apart(block: int, levels: int, falling: bool) -> None:
    """Whole blocks are settled unseen; a pair just at the margin is not active."""
    place = torch.arange(-1.0, 128.0, dtype=torch.float64)[None]
    d_w = 2 + 0.25 * (place // block % levels) * (-1 if falling else 1)
    swept, tensors, total, gradient = one_row(d_w, place + 1, 0.25)
    for found in (swept, tensors):
        assert found.value == pytest.approx(total, rel=1e-12)
        assert torch.equal(found.gradient[0, 1:], gradient)
    x = d_w[0, 1:]
    active = (x < x[:, None] + 0.25).triu(1).sum()
    assert swept.active_pairs == tensors.active_pairs == active


@settings(deadline=None, max_examples=25)
@given(st.integers(3, 80), st.integers(0, 2**16), st.sampled_from([0, 2, 9]), st.booleans())
def test_tensor_form_equals_the_sweep_on_kinks_and_ties_too(
    classes: int, seed: int, levels: int, double: bool
) -> None:
    dtype = torch.float64 if double else torch.float32
    d_w, d_t = matrices(classes, seed, levels, dtype)
    d_w = (d_w * 10).round() / 10  # many pairs exactly at the margin
    target = TripletOrder.of(d_t)
    swept, tensors = rank(d_w, target, 0.1), _rank_device(d_w, target, 0.1)
    assert swept.value == pytest.approx(tensors.value, rel=1e-12)
    assert torch.equal(swept.gradient, tensors.gradient)
    assert swept.active_pairs == tensors.active_pairs


def test_gradcheck_away_from_kinks() -> None:
    d_w, d_t = matrices(7, 3, 4, torch.float64)
    d_w.requires_grad_()

    def loss(d: Tensor) -> Tensor:
        return ranking_loss(d, d_t, 0.137)

    assert torch.autograd.gradcheck(loss, d_w, eps=1e-7)


def test_all_tied_costs_the_margin_and_pulls_nowhere() -> None:
    d_w = torch.rand(20, 20, requires_grad=True)
    loss = ranking_loss(d_w, torch.ones(20, 20), 0.3)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(0.3, rel=1e-6)
    assert d_w.grad is not None
    assert not d_w.grad.any()


def test_duplicated_classes_equal_the_loop() -> None:
    t = torch.randn(6, 4, dtype=torch.float64)[[0, 1, 2, 3, 4, 5, 2, 2]]
    w = torch.randn(8, 4, dtype=torch.float64)
    d_t, d_w = torch.cdist(t, t), torch.cdist(w, w)
    d_t = (d_t * 1e9).round() / 1e9  # cdist rounds equal rows apart
    found = ranking_loss(d_w, d_t, 0.1, reduction="sum")
    assert float(found) == pytest.approx(triple_loop(d_w, d_t, 0.1), rel=1e-12)


def test_a_prepared_order_gives_the_same() -> None:
    d_w, d_t = matrices(12, 0, 3, torch.float32)
    assert ranking_loss(d_w, TripletOrder.of(d_t), 0.1) == ranking_loss(d_w, d_t, 0.1)


@pytest.mark.parametrize("own", [math.nan, math.inf, -math.inf])
def test_the_diagonal_is_not_used(own: float) -> None:
    d_w, d_t = matrices(12, 0, 3, torch.float32)
    expected = ranking_loss(d_w, d_t, 0.1)
    for d in (d_w, d_t):
        d.fill_diagonal_(own)
    d_w.requires_grad_()
    found = ranking_loss(d_w, d_t, 0.1)
    assert found == expected
    found.backward()
    assert d_w.grad is not None
    assert not d_w.grad.diagonal().any()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("classes", [3, 50, 700])
def test_one_bad_distance_among_all_is_found(bad: float, classes: int) -> None:
    d_w, d_t = matrices(classes, 1, 0, torch.float32)
    d_w[1, 2] = bad
    with pytest.raises(EzavError, match="d_w holds a distance that is not finite"):
        ranking_loss(d_w, d_t, 0.1)


def test_threads_and_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    d_w, d_t = matrices(300, 0, 0, torch.float32)
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            results.append(rank(d_w, TripletOrder.of(d_t), 0.1))
    finally:
        torch.set_num_threads(before)
    monkeypatch.setattr("ezav.classes.ranking._CHUNK_CPU", 1000)
    monkeypatch.setattr("ezav.classes.ranking._CHUNK_DEVICE", 1000)
    results.append(_rank_device(d_w, TripletOrder.of(d_t), 0.1))
    for other in results[1:]:
        assert torch.equal(results[0].gradient, other.gradient)
        assert results[0].value == pytest.approx(other.value, rel=1e-12)


def test_separation_against_its_definition() -> None:
    w = torch.randn(30, 5, dtype=torch.float64, requires_grad=True)
    distance = torch.cdist(w, w) + torch.diag(torch.full((30,), torch.inf).double())
    expected = -distance.min(dim=1).values
    (expected_gradient,) = torch.autograd.grad(expected.sum(), w)
    (gradient,) = torch.autograd.grad(separation_loss(w, reduction="sum"), w)
    assert float(separation_loss(w).detach()) == pytest.approx(float(expected.mean().detach()))
    assert torch.allclose(gradient, expected_gradient)
    assert torch.autograd.gradcheck(separation_loss, w)


def test_coinciding_classes_have_finite_gradients() -> None:
    w = torch.ones(4, 3, requires_grad=True)
    (separation_loss(w) + proximity_loss(w, torch.ones(4, 3))).backward()
    assert w.grad is not None
    assert torch.isfinite(w.grad).all()


def test_proximity_against_its_definition() -> None:
    w, t = torch.randn(2, 9, 4, dtype=torch.float64)
    expected = sum(math.dist(a, b) for a, b in zip(w.tolist(), t.tolist(), strict=True))
    assert float(proximity_loss(w, t, reduction="sum")) == pytest.approx(expected)
    assert float(proximity_loss(w, t)) == pytest.approx(expected / 9)


@pytest.mark.parametrize(
    ("d_w", "d_t", "margin", "words"),
    [
        (torch.ones(3, 4), torch.ones(3, 4), 0.1, "square"),
        (torch.ones(3, 3), torch.ones(4, 4), 0.1, "one shape"),
        (torch.ones(3, 3), torch.ones(3, 3), -0.1, "margin is -0.1"),
        (torch.ones(3, 3), torch.ones(3, 3), math.nan, "margin is nan"),
        (torch.full((3, 3), math.nan), torch.ones(3, 3), 0.1, "d_w holds a distance"),
        (torch.ones(3, 3), torch.full((3, 3), math.inf), 0.1, "d_t holds a distance"),
    ],
)
def test_bad_distances(d_w: Tensor, d_t: Tensor, margin: float, words: str) -> None:
    with pytest.raises(EzavError, match=words):
        ranking_loss(d_w, d_t, margin)


@pytest.mark.parametrize("classes", [2, 4, 6, 400])
def test_an_order_of_other_classes_is_refused(classes: int) -> None:
    d_w, _ = matrices(5, 0, 0, torch.float32)
    _, d_t = matrices(classes, 0, 0, torch.float32)
    with pytest.raises(EzavError, match=f"{classes} classes"):
        ranking_loss(d_w, TripletOrder.of(d_t), margin=0.1)


@pytest.mark.parametrize("narrow", [torch.float16, torch.bfloat16])
def test_half_precision_equals_its_float32_values(narrow: torch.dtype) -> None:
    d_w, d_t = (x.to(narrow) for x in matrices(120, 0, 0, torch.float32))
    d_w.requires_grad_()
    loss = ranking_loss(d_w, d_t, margin=0.1)
    wide = d_w.detach().float().requires_grad_()
    expected = ranking_loss(wide, d_t.float(), margin=0.1)
    assert loss.item() == expected.item()
    loss.backward()
    expected.backward()
    assert torch.equal(d_w.grad, wide.grad.to(narrow))


def test_whole_numbers_as_text_distances() -> None:
    d_w, d_t = matrices(7, 0, 3, torch.float32)
    whole = (10 * d_t).round()
    assert ranking_loss(d_w, whole.long(), 0.1) == ranking_loss(d_w, whole, 0.1)


def test_two_classes_have_no_order_to_keep() -> None:
    assert float(ranking_loss(torch.ones(2, 2), torch.ones(2, 2), 0.1)) == 0
    with pytest.raises(EzavError, match="2 or more"):
        separation_loss(torch.ones(1, 3))
