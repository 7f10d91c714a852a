"""The sampler: balanced in expectation, whole passes when uniform, negatives of other classes."""

from __future__ import annotations

import pytest
import torch

from ezav.errors import EzavError
from ezav.training.sampler import Sampler

LABELS = torch.tensor([0] * 50 + [1] * 5 + [2] * 20)


def sampler(balanced: bool = True, seed: int = 0, labels=LABELS, classes=3) -> Sampler:
    generator = torch.Generator().manual_seed(seed)
    return Sampler(labels, classes, balanced=balanced, generator=generator)


def test_balanced_draws_classes_and_clips_equally_often():
    index = sampler().epoch(400, 60).flatten()
    share = torch.bincount(LABELS[index]) / len(index)
    assert torch.allclose(share, torch.full((3,), 1 / 3), atol=0.02)
    of_small = torch.bincount(index, minlength=75)[50:55] / len(index)
    assert torch.allclose(of_small, torch.full((5,), 1 / 15), atol=0.01)


def test_uniform_gives_every_clip_once_a_pass():
    index = sampler(balanced=False).epoch(None, 25).flatten()
    assert sorted(index.tolist()) == list(range(75))


def test_uniform_fills_the_last_batch_from_another_permutation():
    index = sampler(balanced=False).epoch(None, 50).flatten()
    assert sorted(index[:75].tolist()) == list(range(75))
    assert len(set(index[75:].tolist())) == 25
    assert not torch.equal(index[75:], index[:25])


def test_negatives_are_of_another_class_and_every_clip_is_reached():
    draws = sampler(seed=1)
    index = torch.arange(75).repeat(100)
    other = draws.negatives(index)
    assert bool((LABELS[other] != LABELS[index]).all())
    of_first = LABELS[other[LABELS[index] == 0]]
    assert (of_first == 1).float().mean() == pytest.approx(0.5, abs=0.03)
    assert set(other.tolist()) == set(range(75))


def test_a_class_without_clips_and_a_lone_class_are_refused():
    with pytest.raises(EzavError, match="no clip"):
        sampler(classes=4)
    with pytest.raises(EzavError, match="two training classes"):
        sampler(labels=torch.zeros(4, dtype=torch.long), classes=1).negatives(torch.tensor([0]))


def test_same_seed_same_batches():
    assert torch.equal(sampler(seed=5).epoch(3, 8), sampler(seed=5).epoch(3, 8))
    assert not torch.equal(sampler(seed=5).epoch(3, 8), sampler(seed=6).epoch(3, 8))
