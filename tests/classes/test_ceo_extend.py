"""New names among frozen ones: order, agreement, and the objective they minimise."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from ezav.classes import (
    ClassEmbeddings,
    NotConverged,
    extend_class_embeddings,
    optimize_class_embeddings,
    proximity_loss,
    ranking_loss,
    separation_loss,
)
from ezav.errors import EzavError
from tests.classes.test_ceo_optimize import text
from tests.classes.text_files import load


def split(classes: int = 30, dim: int = 20, new: int = 5) -> tuple[Tensor, Tensor, ClassEmbeddings]:
    """Old text embeddings, new ones of the same kind, and the old ones optimised."""
    t = text(classes + new, dim)
    return t[:classes], t[classes:], optimize_class_embeddings(t[:classes]).embeddings


def distances(t: Tensor) -> Tensor:
    """Of text embeddings; rounded, for those of equal rows differ by rounding."""
    return (torch.cdist(t.double(), t.double()) * 1e9).round() / 1e9


def test_the_order_of_names_and_the_other_names_do_not_matter() -> None:
    t, t_new, w = split()
    together = extend_class_embeddings(t_new, t, w)
    for order in itertools.islice(itertools.permutations(range(5)), 0, 120, 17):
        assert torch.equal(extend_class_embeddings(t_new[list(order)], t, w), together[list(order)])
    for row in range(5):
        alone = extend_class_embeddings(t_new[row : row + 1], t, w)
        assert torch.equal(alone[0], together[row])


def test_the_number_of_threads_does_not_matter() -> None:
    t, t_new, w = split()
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            results.append(extend_class_embeddings(t_new, t, w))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*results)


def test_old_classes_are_matched_by_name() -> None:
    t, t_new, w = split()
    named = ClassEmbeddings(w.names, t)
    turned = named.select(w.names[::-1])
    found = extend_class_embeddings(t_new, turned, w)
    assert torch.equal(found, extend_class_embeddings(t_new, named, w))


def test_the_order_of_the_old_classes_hardly_matters() -> None:
    t, t_new, w = split()
    turned = w.select(w.names[::-1])
    found = extend_class_embeddings(t_new, t.flip(0), turned)
    before = torch.cdist(extend_class_embeddings(t_new, t, w), w.vectors)
    assert torch.allclose(torch.cdist(found, w.vectors), before, atol=0.05)


def test_an_old_class_gets_exactly_its_own_embedding_again() -> None:
    t, _, w = split()
    frozen = w.vectors.clone()
    assert torch.equal(extend_class_embeddings(t[[7, 3]], t, w), w.vectors[[7, 3]])
    # Encoded in another batch, a name's text embedding differs by rounding.
    rounded = normalize(t[[7, 3]] + 1e-6 * torch.randn(2, t.shape[1]), dim=1)
    assert torch.equal(extend_class_embeddings(rounded, t, w), w.vectors[[7, 3]])
    apart = normalize(t[[7, 3]] + 1e-2 * torch.randn(2, t.shape[1]), dim=1)
    distance = (extend_class_embeddings(apart, t, w) - w.vectors[[7, 3]]).norm(dim=1)
    assert bool((distance > 0.1).all())
    assert torch.equal(w.vectors, frozen)


def test_a_crowded_old_class_gets_its_own_embedding_again_where_the_mean_is_taken_off() -> None:
    # Around one common direction, taking off the mean parts texts many times further than rounding.
    t = normalize(torch.ones(12, 8) + 0.02 * torch.randn(12, 8), dim=1)
    w = optimize_class_embeddings(t, center=True).embeddings
    rounded = normalize(t[[7, 3]] + 1e-5 * torch.randn(2, 8), dim=1)
    assert torch.equal(extend_class_embeddings(rounded, t, w), w.vectors[[7, 3]])


@pytest.mark.parametrize(("semantic", "same"), [("ranking", 1), ("ranking", 9), ("proximity", 1)])
def test_each_new_class_minimises_the_objective_of_one_more_class(semantic: str, same: int) -> None:
    """Against equation (4) on C+1 classes by the pure functions, descended by torch's Adam."""
    t, t_new, w = split(classes=18, dim=12, new=2)
    t[:same] = t[0]  # tied in text, not in w
    alpha, margin = 0.5, 0.1
    d_t = distances(t)
    if semantic == "ranking":
        scale = margin - float(ranking_loss(d_t, d_t, margin))
    else:
        scale = 2**0.5
    bound = (2**0.5 if len(t) > 13 else 0) + float(separation_loss(t))
    old = w.vectors.double()

    def objective(point: Tensor, row: Tensor) -> Tensor:
        every = torch.cat([old, normalize(point[None], dim=1)])
        words = torch.cat([t, row[None]]).double()
        if semantic == "ranking":
            loss = ranking_loss(torch.cdist(every, every), distances(words), margin)
        else:
            loss = proximity_loss(every, words)
        return (1 - alpha) * loss / scale + alpha * separation_loss(every) / bound

    found = extend_class_embeddings(
        t_new, t, w, alpha=alpha, margin=margin, semantic=semantic, tolerance=1e-5
    )
    for vector, row in zip(found.double(), t_new, strict=True):
        best = start = float(objective(row.double(), row))
        point = row.double().clone().requires_grad_()
        optimiser = torch.optim.Adam([point], lr=0.05)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 250)
        for _ in range(250):
            optimiser.zero_grad()
            loss = objective(point, row)
            loss.backward()
            optimiser.step()
            schedule.step()
            best = min(best, float(loss.detach()))
        assert float(objective(vector, row)) < best + 0.02 * (start - best)


def test_real_names_land_where_joint_optimization_would_put_them() -> None:
    everything = load("ucf word2vec")
    old, new = everything.select(everything.names[10:]), everything.select(everything.names[:10])
    w = optimize_class_embeddings(old).embeddings
    found = extend_class_embeddings(new, old, w)
    assert found.names == new.names
    joint = optimize_class_embeddings(everything).embeddings
    distance = torch.cdist(found.vectors, w.vectors)
    reference = torch.cdist(joint.select(new.names).vectors, joint.select(old.names).vectors)
    assert distance.amin(dim=1).mean() > 0.95 * reference.amin(dim=1).mean()
    in_text = torch.cdist(new.vectors, old.vectors)
    for row in range(10):
        pair = torch.stack([distance[row], in_text[row]]).argsort(dim=1).argsort(dim=1).double()
        assert torch.corrcoef(pair)[0, 1] > 0.7


def test_settings_are_read_from_the_optimised_embeddings() -> None:
    t, t_new, _ = split()
    w = optimize_class_embeddings(t, alpha=0.8, margin=0.2, center=True).embeddings
    read = extend_class_embeddings(t_new, t, w)
    said = extend_class_embeddings(t_new, t, w.vectors, alpha=0.8, margin=0.2, center=True)
    assert torch.allclose(read, said, atol=1e-3)
    assert not torch.allclose(read, extend_class_embeddings(t_new, t, w.vectors), atol=1e-2)


def test_centring_takes_the_mean_of_the_old_classes_off_the_new_names() -> None:
    t, t_new, _ = split()
    w = optimize_class_embeddings(t, center=True).embeddings
    mean = t.mean(dim=0)
    by_hand = (normalize(one - mean, dim=1) for one in (t_new, t))
    expected = extend_class_embeddings(*by_hand, w.vectors)
    assert torch.allclose(extend_class_embeddings(t_new, t, w), expected, atol=5e-3)


def test_the_recorded_reduction_holds_where_another_setting_is_given() -> None:
    t, t_new, _ = split()
    w = optimize_class_embeddings(t, reduction="mean").embeddings
    # The margin given is the recorded one: the scales are worked out anew, and come out the same.
    again = extend_class_embeddings(t_new, t, w, margin=0.1)
    assert torch.allclose(again, extend_class_embeddings(t_new, t, w), atol=1e-3)


def test_another_margin_than_the_recorded_one_has_scales_of_its_own() -> None:
    t, t_new, w = split()
    found = extend_class_embeddings(t_new, t, w, margin=0.3)
    assert torch.equal(found, extend_class_embeddings(t_new, t, w.vectors, margin=0.3))


def test_names_are_kept_and_limits_are_said() -> None:
    t, t_new, w = split(new=2)
    with pytest.warns(NotConverged) as said:
        found = extend_class_embeddings(ClassEmbeddings(("a", "b"), t_new), t, w, max_steps=15)
    assert ["'a'" in str(said[0].message), "'b'" in str(said[1].message)] == [True, True]
    assert found.names == ("a", "b")
    assert torch.allclose(found.vectors.norm(dim=1), torch.ones(2), atol=1e-6)


def test_what_cannot_be_extended() -> None:
    t, t_new, w = split(new=2)
    with pytest.raises(EzavError, match="29 text embeddings of dimension 20, but 30 class"):
        extend_class_embeddings(t_new, t[1:], w)
    with pytest.raises(EzavError, match="dimension 19, the old ones' 20"):
        extend_class_embeddings(t_new[:, 1:], t, w)
    with pytest.raises(EzavError, match="one old class only"):
        extend_class_embeddings(t_new, t[:1], w.vectors[:1])
    with pytest.raises(EzavError, match="row 0 is zero"):
        extend_class_embeddings(torch.zeros(1, 20), t, w)
