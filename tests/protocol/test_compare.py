"""The paired bootstrap against identities and a naive loop."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from ezav.errors import EzavError
from ezav.metrics import gzsl_scores
from ezav.protocol.compare import _draw, paired_bootstrap
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
