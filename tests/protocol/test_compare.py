"""The paired bootstrap against identities and a naive loop."""

from __future__ import annotations

import dataclasses
import itertools
import statistics

import pytest
import torch

from ezav.errors import EzavError
from ezav.metrics import gzsl_scores, harmonic_mean
from ezav.protocol.compare import _draw, paired_bootstrap, shuffled_bootstrap
from ezav.protocol.evaluation import Evaluation


def evaluation(signal: float, seed: int = 0, clips: int = 120, classes: int = 6) -> Evaluation:
    generator = torch.Generator().manual_seed(seed)
    targets = torch.randint(0, classes, (clips,), generator=generator)
    scores = torch.randn(clips, classes, generator=generator)
    scores[torch.arange(clips), targets] += signal
    return Evaluation(
        scores,
        targets,
        torch.arange(classes) < 4,
        tuple(f"c{i}" for i in range(classes)),
        tuple(f"clip{i}" for i in range(clips)),
    )


def test_a_run_against_itself_differs_by_nothing():
    run = evaluation(1.0)
    for one in paired_bootstrap(run, run, (0.1, 0.1), draws=50).values():
        assert (one.value, one.low, one.high, one.share_better) == (0, 0, 0, 0)


def test_values_are_the_metrics_and_order_does_not_matter():
    a = evaluation(2.0)
    b = dataclasses.replace(a, scores=evaluation(0.5, seed=0).scores)
    found = paired_bootstrap(a, b, (0.2, -0.1), draws=200)
    ours = gzsl_scores(a.scores, a.targets, a.seen, 0.2)
    theirs = gzsl_scores(b.scores, b.targets, b.seen, -0.1)
    for name, one in found.items():
        assert one.value == pytest.approx(getattr(ours, name) - getattr(theirs, name))
        assert one.low <= one.value <= one.high
    assert found["HM"].share_better > 0.95
    rows = torch.randperm(len(a.clips))
    columns = torch.randperm(len(a.classes))
    shuffled = Evaluation(
        b.scores[rows][:, columns],
        columns.argsort()[b.targets[rows]],
        b.seen[columns],
        tuple(b.classes[i] for i in columns),
        tuple(b.clips[i] for i in rows),
    )
    assert paired_bootstrap(a, shuffled, (0.2, -0.1), draws=200) == found


def test_classes_without_clips_do_not_count():
    a, b = (evaluation(signal) for signal in (2.0, 0.5))
    kept = (a.targets != 1) & (a.targets != 5)  # a seen and an unseen class
    few = [
        dataclasses.replace(
            e,
            scores=e.scores[kept],
            targets=e.targets[kept],
            clips=tuple(c for c, k in zip(e.clips, kept.tolist()) if k),
        )
        for e in (a, b)
    ]
    ours, theirs = (gzsl_scores(e.scores, e.targets, e.seen, 0.1) for e in few)
    for name, one in paired_bootstrap(*few, (0.1, 0.1), draws=2).items():
        assert one.value == pytest.approx(getattr(ours, name) - getattr(theirs, name))


def test_the_interval_is_that_of_a_naive_loop():
    a = evaluation(1.0)
    b = dataclasses.replace(a, scores=evaluation(0.2, seed=0).scores)
    found = paired_bootstrap(a, b, (0.0, 0.0), draws=100, seed=3)
    generator = torch.Generator().manual_seed(3)
    values = []
    for _ in range(100):
        index = _draw(a.targets, generator)
        hm = [gzsl_scores(e.scores[index], e.targets[index], e.seen, 0.0).HM for e in (a, b)]
        values.append(hm[0] - hm[1])
    expected = torch.quantile(torch.tensor(values).double(), torch.tensor([0.025, 0.975]).double())
    assert [found["HM"].low, found["HM"].high] == pytest.approx(expected.tolist())


def test_a_draw_keeps_the_number_of_clips_of_each_class():
    targets = evaluation(0.0).targets
    index = _draw(targets, torch.Generator().manual_seed(0))
    assert torch.equal(torch.bincount(targets[index]), torch.bincount(targets))
    assert len(set(index.tolist())) < len(index)
    draws = [_draw(targets, torch.Generator().manual_seed(seed)) for seed in range(40)]
    assert set(torch.cat(draws).tolist()) == set(range(len(targets)))


def test_runs_that_give_a_clip_different_classes_are_refused():
    a = evaluation(1.0)
    corrected = a.targets.clone()
    corrected[3] = (corrected[3] + 1) % len(a.classes)
    with pytest.raises(EzavError, match="another class"):
        paired_bootstrap(a, dataclasses.replace(a, targets=corrected), (0.0, 0.0))


def test_runs_of_different_clips_are_refused():
    with pytest.raises(EzavError, match="different clips"):
        paired_bootstrap(evaluation(1.0), evaluation(1.0, clips=60), (0.0, 0.0))


def test_shuffled_names_are_the_mean_over_all_permutations():
    """Against the columns of the unseen classes in every order, counted one by one."""
    run = evaluation(1.5, classes=7)  # three unseen
    found = shuffled_bootstrap(run, gamma=0.3, draws=20)
    unseen = (~run.seen).nonzero()[:, 0].tolist()
    scores = []
    for order in itertools.permutations(unseen):
        columns = list(range(4)) + list(order)
        scores.append(gzsl_scores(run.scores[:, columns], run.targets, run.seen, 0.3))
    own = gzsl_scores(run.scores, run.targets, run.seen, 0.3)
    u, zsl = (statistics.fmean(getattr(one, name) for one in scores) for name in ("U", "ZSL"))
    assert found["S"].value == 0
    assert found["U"].value == pytest.approx(own.U - u)
    assert found["ZSL"].value == pytest.approx(own.ZSL - zsl)
    assert found["HM"].value == pytest.approx(own.HM - harmonic_mean(own.S, u))


def test_a_recogniser_that_does_not_read_names_is_not_above_its_shuffled_self():
    run = evaluation(0.0, clips=600)
    run.scores[:, :4] += 3.0 * (run.targets[:, None] == torch.arange(4))  # the trained classes
    one = shuffled_bootstrap(run, gamma=1.5)["HM"]
    assert one.low <= 0 <= one.high
    other = shuffled_bootstrap(evaluation(2.0), gamma=0.0)["HM"]
    assert other.low > 0


def test_one_unseen_class_has_nothing_to_be_shuffled_with():
    run = dataclasses.replace(evaluation(1.0), seen=torch.arange(6) < 5)
    with pytest.raises(EzavError, match="one unseen class"):
        shuffled_bootstrap(run, gamma=0.0)


def test_the_numbers_do_not_depend_on_how_many_draws_are_computed_at_once(monkeypatch):
    a, b = (evaluation(signal) for signal in (2.0, 0.5))
    whole = paired_bootstrap(a, b, (0.0, 0.0), draws=30)
    monkeypatch.setattr("ezav.protocol.compare._AT_ONCE", 7 * len(a.targets))
    assert paired_bootstrap(a, b, (0.0, 0.0), draws=30) == whole
