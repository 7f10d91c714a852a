"""The optimization: objective and gradient, symmetries, convergence, real embeddings, bad input."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from ezav.classes import (
    ClassEmbeddings,
    NotConverged,
    diagnose,
    optimize_class_embeddings,
    proximity_loss,
    ranking_loss,
    separation_loss,
)
from ezav.classes.geometry import (
    Subspace,
    exact_unit,
    part_coincident,
    separation_bound,
    sphere_distances,
    text_order,
)
from ezav.classes.objective import Objective, ObjectiveSettings
from ezav.errors import EzavError
from tests.classes.text_files import FILES, load


def text(classes: int, dim: int, crowding: float = 1.5, seed: int = 0) -> Tensor:
    """Unit rows in a few clusters round a common direction, as text encoders give them."""
    generator = torch.Generator().manual_seed(seed)
    common = torch.randn(dim, generator=generator)
    groups = torch.randn(max(2, classes // 6), dim, generator=generator)
    group = torch.randint(len(groups), (classes,), generator=generator)
    own = torch.randn(classes, dim, generator=generator)
    return normalize(crowding * common + 0.7 * groups[group] + own, dim=1)


def literal(w: Tensor, t: Tensor, settings: ObjectiveSettings, scales: Any) -> Tensor:
    """Equation (4) by the pure functions and autograd, on vectors of any length."""
    w = w / w.norm(dim=1, keepdim=True)
    if settings.semantic == "ranking":
        d_w, d_t = torch.cdist(w, w), torch.cdist(t, t)
        semantic = ranking_loss(d_w, d_t, settings.margin)
    else:
        semantic = proximity_loss(w, t)
    a = settings.alpha
    return (1 - a) / scales.semantic * semantic + a / scales.separation * separation_loss(w)


@pytest.mark.parametrize("semantic", ["ranking", "proximity"])
@pytest.mark.parametrize("reduction", ["balanced", "mean", "sum"])
def test_objective_and_gradient_equal_the_equations(
    semantic: Any, reduction: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    t = text(25, 12).double()
    w = normalize(t + 0.1 * torch.randn(25, 12).double(), dim=1)
    settings = ObjectiveSettings(alpha=0.3, semantic=semantic, reduction=reduction)
    objective = Objective(t, settings)
    # Autograd through the normalisation of the rows gives the gradient along the sphere.
    free = w.clone().requires_grad_()
    expected = literal(free, t, settings, objective.scales)
    (gradient,) = torch.autograd.grad(expected, free)
    for chunk in (2**23, 100):
        monkeypatch.setattr("ezav.classes.objective.CHUNK", chunk)
        here = objective(w.float())
        assert here.loss == pytest.approx(float(expected.detach()), rel=1e-4)
        assert torch.allclose(here.gradient.double(), gradient, atol=1e-5 * gradient.abs().max())


@pytest.mark.parametrize("start", [0, 13])
def test_the_compiled_sweep_equals_the_tensor_form(start: int) -> None:
    """What a GPU computes, with tied classes in t and coinciding ones in w."""
    t = text(40, 12).double()
    t[7] = t[9] = t[3]
    w = normalize(t + 0.1 * torch.randn(40, 12).double(), dim=1).float()
    w[20] = w[30]
    objective = Objective(t, ObjectiveSettings(alpha=0.3))
    products = w[start:] @ w.T
    products[20 - start, 30] = products[30 - start, 20] = 1  # rounding must not part them
    ends = []
    for fill in (objective._forces, objective._forces_compiled):
        forces = torch.full_like(products, torch.nan)
        value, nearest = fill(products.clone(), start, True, forces)
        ends.append((value, nearest, forces))
    assert ends[0][:2] == pytest.approx(ends[1][:2], rel=1e-6)
    assert torch.allclose(ends[0][2], ends[1][2], rtol=1e-5, atol=1e-8)


def test_literal_sums_have_no_scale_but_the_equations() -> None:
    t = text(9, 5).double()
    w = normalize(t + 0.2 * torch.randn(9, 5).double(), dim=1)
    objective = Objective(t, ObjectiveSettings(alpha=0.5, reduction="sum", margin=0.2))
    ranking = ranking_loss(torch.cdist(w, w), torch.cdist(t, t), 0.2, reduction="sum")
    expected = 0.5 * float(ranking) + 0.5 * float(separation_loss(w, reduction="sum"))
    assert objective(w.float()).loss == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("margin", [0.02, 0.1, 0.5])
def test_balanced_terms_change_by_one_from_the_text_to_the_simplex(margin: float) -> None:
    t = text(10, 16).double()
    ends = []
    simplex = torch.eye(10, 16, dtype=torch.float64)
    simplex[:, :10] -= 0.1
    for w in (t, normalize(simplex, dim=1)):
        parts = [
            Objective(t, ObjectiveSettings(alpha=alpha, margin=margin))(w.float()).loss
            for alpha in (0.0, 1.0)
        ]
        ends.append(parts)
    assert ends[1][0] - ends[0][0] == pytest.approx(1, abs=1e-4)
    assert ends[1][1] - ends[0][1] == pytest.approx(-1, abs=1e-4)


def test_balanced_proximity_is_one_at_right_angles_to_the_text() -> None:
    t, w = (text(10, 16, seed=seed).double() for seed in (0, 1))
    t[:, 8:], w[:, :8] = 0, 0
    settings = ObjectiveSettings(alpha=0.0, semantic="proximity")
    assert Objective(exact_unit(t), settings)(exact_unit(w).float()).loss == pytest.approx(1)


@pytest.mark.parametrize("same", [1, 5])
def test_sampled_ranking_is_unbiased(same: int) -> None:
    t = text(20, 8).double()
    t[3 : 3 + same] = t[3]  # tied as seen from each of the others
    w = normalize(t + 0.3 * torch.randn(20, 8).double(), dim=1).float()
    exact = Objective(t, ObjectiveSettings(alpha=0.0))
    sampled = Objective(t, replace(exact.settings, ranking="sampled", samples=4000))
    assert sampled.scales == exact.scales
    draws = [sampled(w) for _ in range(100)]
    assert sum(d.loss for d in draws) / 100 == pytest.approx(exact(w).loss, rel=0.02)
    mean = torch.stack([d.gradient for d in draws]).mean(dim=0)
    reference = exact(w).gradient
    assert torch.nn.functional.cosine_similarity(mean.flatten(), reference.flatten(), dim=0) > 0.99
    assert float(mean.norm()) == pytest.approx(float(reference.norm()), rel=0.02)


def test_pure_separation_reaches_the_simplex_bound() -> None:
    t = text(12, 20)
    done = optimize_class_embeddings(t, alpha=1.0, tolerance=1e-5)
    found = done.diagnostics
    assert done.converged
    assert found.min_nearest > 0.998 * separation_bound(12, 20)
    assert found.simplex_bound == pytest.approx(math.sqrt(24 / 11))


def test_pure_semantics_keeps_the_order() -> None:
    t = text(30, 20)
    done = optimize_class_embeddings(t, alpha=0.0)
    assert done.converged
    assert done.history.loss[-1] < done.history.loss[0]
    assert done.diagnostics.orderings_kept > 0.97


def test_balance_moves_along_the_trade_off() -> None:
    t = text(40, 30)
    found = [optimize_class_embeddings(t, alpha=a).diagnostics for a in (0.1, 0.3, 0.5, 0.7, 0.9)]
    kept = [f.orderings_kept for f in found]
    nearest = [f.mean_nearest for f in found]
    assert kept == sorted(kept, reverse=True)
    assert nearest == sorted(nearest)


@pytest.mark.parametrize("key", FILES)
def test_real_embeddings_at_the_default_settings(key: str) -> None:
    """The band of METHOD: most orderings kept, much better separated, whatever the encoder."""
    t = load(key)
    before = diagnose(t)
    done = optimize_class_embeddings(t)
    after = done.diagnostics
    assert done.converged
    assert 0.87 <= after.orderings_kept <= 0.97
    assert after.mean_nearest > before.mean_nearest + 0.3
    assert after.min_nearest > 0.9
    assert after.mean_nearest < after.simplex_bound


@pytest.mark.parametrize(("classes", "dim"), [(20, 4096), (20, 300), (60, 16), (150, 40)])
def test_the_defaults_hold_for_other_sizes(classes: int, dim: int) -> None:
    t = text(classes, dim, crowding=1.7)
    done = optimize_class_embeddings(t)
    assert done.converged
    assert 0.85 <= done.diagnostics.orderings_kept < 1
    assert done.diagnostics.mean_nearest > diagnose(t).mean_nearest + 0.2


def test_turning_and_reordering_the_text_turns_and_reorders_the_result() -> None:
    t = text(25, 10)
    turn = torch.linalg.qr(torch.randn(10, 10)).Q
    order = torch.randperm(25)
    options: dict[str, Any] = {"max_steps": 40, "tolerance": 1e-9}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotConverged)
        plain = optimize_class_embeddings(t, **options).vectors
        turned = optimize_class_embeddings((t @ turn)[order], **options).vectors
    assert torch.allclose(turned, (plain @ turn)[order], atol=2e-3)


def test_wide_embeddings_are_optimised_in_their_span() -> None:
    t = text(12, 12)
    wide = torch.cat([t, torch.zeros(12, 200)], dim=1)
    turn = torch.linalg.qr(torch.randn(212, 212)).Q
    narrow = optimize_class_embeddings(t).diagnostics
    found = optimize_class_embeddings(wide @ turn).diagnostics
    assert found.mean_nearest == pytest.approx(narrow.mean_nearest, abs=0.01)
    assert found.orderings_kept == pytest.approx(narrow.orderings_kept, abs=0.02)
    space = Subspace((wide @ turn).double())
    assert space.start.shape == (12, 12)


def test_duplicated_vectors_are_parted_where_that_is_asked_for() -> None:
    t = text(12, 20)
    t[5] = t[3]
    assert text_order(t.double()).tied_pairs == 10  # seen from each of the other classes
    names = tuple(f"class {i}" for i in range(12))
    done = optimize_class_embeddings(ClassEmbeddings(names, t), part_equal=True)
    assert done.converged
    assert done.diagnostics.min_nearest > 0.8
    # Which way they part follows from their names, not from their place in the list.
    order = list(reversed(range(12)))
    turned = ClassEmbeddings(tuple(names[i] for i in order), t[order])
    again = optimize_class_embeddings(turned, part_equal=True)
    side = [
        (x.embeddings.select(["class 3", "class 5"]).vectors @ t[0]).tolist() for x in (done, again)
    ]
    assert (side[0][0] > side[0][1]) == (side[1][0] > side[1][1])


def test_what_the_text_does_not_tell_apart_stays_together() -> None:
    """The result is that of the different texts alone, each given to all that have it."""
    t = text(10, 20)
    t[4] = torch.nn.functional.normalize(t[3] + 1e-6 * t[0], dim=0)  # another batch's rounding
    row = [0, 1, 2, 3, 4, 5, 5, 6, 7, 8, 9, 0]
    for center in (False, True):
        done = optimize_class_embeddings(t[row], center=center).vectors
        assert torch.equal(done[3], done[4])
        assert torch.equal(done[5], done[6])
        assert torch.equal(done[0], done[11])
        distances = sphere_distances(done.double(), done.double())
        together = (distances < 0.1).sum(dim=1)
        assert together.tolist() == [2, 1, 1, 2, 2, 2, 2, 1, 1, 1, 1, 2]
    alone = optimize_class_embeddings(t[[0, 1, 2, 3, 5, 6, 7, 8, 9]]).vectors
    again = optimize_class_embeddings(t[row]).vectors
    assert torch.equal(again[[0, 1, 2, 3, 5, 7, 8, 9, 10]], alone)


def test_which_way_classes_part_follows_from_name_and_seed() -> None:
    t = text(3, 20)[[0, 0, 1]]
    parted = part_coincident(t, ("x", "y", "z"), 0)
    assert torch.allclose(parted[2], exact_unit(t)[2], atol=1e-12)
    assert (parted - t).norm(dim=1)[:2].tolist() == pytest.approx([1e-3, 1e-3], rel=0.2)
    assert not torch.equal(parted[0], parted[1])
    assert torch.equal(part_coincident(t, ("y", "x", "z"), 0), parted[[1, 0, 2]])
    assert not torch.equal(part_coincident(t, ("x", "y", "z"), 1)[0], parted[0])


def test_listing_does_not_matter_where_wide_texts_are_the_same() -> None:
    # More dimensions than classes: the work is done in coordinates, whose axes follow the listing.
    t = text(12, 30)
    t[5], t[9] = t[3], t[0]
    names = tuple(f"class {i}" for i in range(12))
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0)).tolist()
    turned = ClassEmbeddings(tuple(names[i] for i in order), t[order])
    done = optimize_class_embeddings(ClassEmbeddings(names, t), part_equal=True).vectors
    again = optimize_class_embeddings(turned, part_equal=True).embeddings.select(names).vectors
    assert torch.allclose(done, again, atol=0.02)


def test_all_classes_the_same() -> None:
    together = optimize_class_embeddings(torch.ones(4, 6))
    assert torch.equal(together.vectors, together.text.vectors)
    done = optimize_class_embeddings(torch.ones(4, 6), part_equal=True)
    assert done.converged
    assert done.diagnostics.min_nearest > 0.99 * separation_bound(4, 6)
    # All are tied: there is no order to keep, whichever way they part.
    assert done.history.semantic == pytest.approx((0.1,) * done.steps)


def test_one_and_two_classes() -> None:
    one = optimize_class_embeddings(text(1, 5))
    assert one.converged
    assert torch.equal(one.vectors, text(1, 5))
    two = optimize_class_embeddings(text(2, 5))
    assert two.diagnostics.min_nearest == pytest.approx(2, abs=1e-3)


def test_zero_margin_keeps_orders_as_a_constraint() -> None:
    done = optimize_class_embeddings(text(20, 30), margin=0.0)
    assert done.converged
    assert done.diagnostics.orderings_kept > 0.9
    assert torch.isfinite(done.vectors).all()


def test_sampled_comes_close_to_exact() -> None:
    t = text(25, 20)
    exact = optimize_class_embeddings(t).diagnostics
    found = optimize_class_embeddings(t, ranking="sampled", seed=1)
    assert found.diagnostics.mean_nearest == pytest.approx(exact.mean_nearest, abs=0.05)
    assert found.diagnostics.orderings_kept == pytest.approx(exact.orderings_kept, abs=0.05)
    again = optimize_class_embeddings(t, ranking="sampled", seed=1)
    assert torch.equal(found.vectors, again.vectors)


def test_proximity_stays_closer_than_ranking() -> None:
    t = text(25, 20)
    near = optimize_class_embeddings(t, semantic="proximity", alpha=0.3)
    assert near.converged
    assert near.diagnostics.cosine_mean > 0.9
    assert near.diagnostics.mean_nearest > diagnose(t).mean_nearest


@pytest.mark.filterwarnings("ignore::ezav.classes.NotConverged")
def test_the_first_step_turns_each_class_by_the_learning_rate() -> None:
    t = text(25, 20)
    done = optimize_class_embeddings(t, learning_rate=0.02, max_steps=2)
    chord = (done.vectors.double() - t.double()).norm(dim=1)
    assert torch.allclose(chord, torch.full_like(chord, 0.02), rtol=1e-3)


@pytest.mark.filterwarnings("ignore::ezav.classes.NotConverged")
def test_the_seed_decides_which_triplets_are_sampled() -> None:
    losses = [
        optimize_class_embeddings(
            text(25, 20), ranking="sampled", samples=500, seed=seed, max_steps=1
        ).history.loss
        for seed in (1, 1, 2)
    ]
    assert losses[0] == losses[1] != losses[2]


@pytest.mark.filterwarnings("ignore::ezav.classes.NotConverged")
def test_the_best_point_met_is_returned_not_the_last() -> None:
    t = text(25, 20)
    done = optimize_class_embeddings(t, alpha=0.0, learning_rate=2.0, max_steps=2)
    assert done.history.loss[1] > done.history.loss[0]
    assert torch.allclose(done.vectors, t, atol=1e-6)


@pytest.mark.filterwarnings("ignore::ezav.classes.NotConverged")
def test_centring_takes_the_mean_off_first() -> None:
    t = text(25, 20, crowding=3)
    done = optimize_class_embeddings(t, center=True, max_steps=40)
    plain = normalize(t.double() - t.double().mean(dim=0), dim=1).float()
    # A few steps only: rounding sends whole descents to optima a little apart.
    again = optimize_class_embeddings(plain, max_steps=40)
    assert torch.allclose(done.vectors, again.vectors, atol=2e-3)


def test_not_converging_is_said() -> None:
    with pytest.warns(NotConverged, match=r"25 classes has not converged.*`max_steps` \(now 15\)"):
        done = optimize_class_embeddings(text(25, 20), max_steps=15)
    assert not done.converged
    assert done.steps == 15
    assert done.embeddings.settings["optimized"]["converged"] is False


def test_results_carry_names_settings_and_history_and_are_reproducible(tmp_path: Path) -> None:
    t = ClassEmbeddings(tuple("abcdefgh"), text(8, 6), "encoder@1")
    done = optimize_class_embeddings(t, alpha=0.4)
    assert torch.equal(done.vectors, optimize_class_embeddings(t, alpha=0.4).vectors)
    assert torch.allclose(done.vectors.norm(dim=1), torch.ones(8), atol=1e-6)
    assert len(done.history.loss) == len(done.history.nearest) == done.steps
    done.save(tmp_path / "w.safetensors")
    loaded = ClassEmbeddings.load(tmp_path / "w.safetensors")
    assert torch.equal(loaded.vectors, done.vectors)
    assert loaded.names == t.names
    assert loaded.encoder == "encoder@1"
    assert loaded.settings["optimized"]["alpha"] == 0.4


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"alpha": 1.2}, "alpha is 1.2"),
        ({"alpha": -0.1}, "alpha is -0.1"),
        ({"alpha": math.nan}, "alpha is nan"),
        ({"margin": -1.0}, "margin is -1.0"),
        ({"samples": 0}, "cannot sample 0"),
        ({"semantic": "guess"}, "no setting 'guess'"),
        ({"max_steps": 0}, "must be positive"),
        ({"learning_rate": -1.0}, "must be positive"),
    ],
)
def test_bad_settings(options: dict[str, Any], words: str) -> None:
    with pytest.raises(EzavError, match=words):
        optimize_class_embeddings(text(5, 4), **options)


def test_bad_vectors() -> None:
    with pytest.raises(EzavError, match="row 1 is zero"):
        optimize_class_embeddings(torch.tensor([[1.0, 0], [0, 0], [0, 1]]))
    with pytest.raises(EzavError, match="dimension 1"):
        optimize_class_embeddings(torch.tensor([[1.0], [-1.0], [2.0]]))
    with pytest.raises(EzavError, match="centring leaves nothing"):
        optimize_class_embeddings(torch.ones(3, 4), center=True)
