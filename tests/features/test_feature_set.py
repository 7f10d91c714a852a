"""Gathering, averaging and selecting ragged features, against a loop over clips."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ezav.features.feature_set import FeatureSet, Ragged
from ezav.features.tokens import Tokens

Clips = list[tuple[Tensor, Tensor] | None]


def make_clips(lengths: list[int], dim: int = 3, seed: int = 0) -> Clips:
    generator = torch.Generator().manual_seed(seed)
    return [
        (torch.randn(n, dim, generator=generator), torch.rand(n, generator=generator))
        if n
        else None
        for n in lengths
    ]


lengths_and_index = st.lists(st.integers(0, 5), min_size=1, max_size=8).flatmap(
    lambda lengths: st.tuples(
        st.just(lengths), st.lists(st.integers(0, len(lengths) - 1), min_size=1, max_size=10)
    )
)


@given(lengths_and_index)
@settings(deadline=None, max_examples=60)
def test_gather_equals_a_loop_over_clips(case: tuple[list[int], list[int]]) -> None:
    lengths, index = case
    clips = make_clips(lengths)
    features = Ragged.from_clips(clips, dim=3)
    tokens = features.gather(torch.tensor(index))
    assert tokens.values.shape == (len(index), max(1, *(lengths[i] for i in index), 0), 3)
    for row, i in enumerate(index):
        n = lengths[i]
        assert tokens.mask[row].tolist() == [True] * n + [False] * (tokens.mask.shape[1] - n)
        assert not tokens.values[row, n:].any()
        assert not tokens.times[row, n:].any()
        if (clip := clips[i]) is not None:
            assert torch.equal(tokens.values[row, :n], clip[0])
            assert torch.equal(tokens.times[row, :n], clip[1])


@given(lengths_and_index)
@settings(deadline=None, max_examples=60)
def test_pooled_gather_is_the_mean_over_tokens(case: tuple[list[int], list[int]]) -> None:
    lengths, index = case
    features = Ragged.from_clips(make_clips(lengths), dim=3)
    pooled = features.gather(torch.tensor(index), pooled=True)
    whole = features.gather(torch.tensor(index))
    assert pooled.values.shape == (len(index), 1, 3)
    assert torch.equal(pooled.present, whole.present)
    torch.testing.assert_close(pooled.values[:, 0], whole.mean())


@given(lengths_and_index)
@settings(deadline=None, max_examples=40)
def test_subset_holds_the_same_clips(case: tuple[list[int], list[int]]) -> None:
    lengths, index = case
    clips = make_clips(lengths)
    picked = Ragged.from_clips(clips, dim=3).subset(torch.tensor(index))
    expected = Ragged.from_clips([clips[i] for i in index], dim=3)
    assert torch.equal(picked.values, expected.values)
    assert torch.equal(picked.offsets, expected.offsets)
    assert torch.equal(picked.times, expected.times)


def test_one_token_a_clip_is_gathered_by_plain_indexing() -> None:
    values = torch.randn(5, 4, dtype=torch.float16)
    features = Ragged.pooled(values)
    for pooled in (False, True):
        tokens = features.gather(torch.tensor([4, 0]), pooled)
        assert tokens.values.dtype == torch.float32
        assert torch.equal(tokens.values[:, 0], values[[4, 0]].float())
        assert tokens.mask.all()


def test_pooled_features_may_lack_clips() -> None:
    features = Ragged.pooled(torch.ones(3, 2), torch.tensor([True, False, True]))
    assert features.lengths.tolist() == [1, 0, 1]
    assert features.gather(torch.arange(3)).present.tolist() == [True, False, True]


def test_what_is_missing_is_masked_and_zero() -> None:
    tokens = Tokens.pooled(torch.ones(2, 3), torch.tensor([True, False]))
    for one, present in ((tokens, [True, False]), (tokens.without(), [False, False])):
        assert one.present.tolist() == present
        assert one.values.any(dim=2)[:, 0].tolist() == present


def test_means_do_not_depend_on_how_many_tokens_are_taken_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clips = make_clips([3, 0, 4, 1, 7])
    whole = Ragged.from_clips(clips).means
    monkeypatch.setattr("ezav.features.feature_set._TOKENS_AT_ONCE", 2)
    torch.testing.assert_close(Ragged.from_clips(clips).means, whole)


def test_half_precision_is_averaged_in_single() -> None:
    values = torch.full((4000, 1), 60000.0, dtype=torch.float16)
    features = Ragged.from_clips([(values, torch.zeros(4000))])
    assert features.means.item() == pytest.approx(60000, rel=1e-3)


def test_feature_set_subset_by_mask_and_by_index() -> None:
    features = Ragged.from_clips(make_clips([2, 0, 1]), dim=3)
    whole = FeatureSet(
        features, features, torch.tensor([2, 0, 1]), ("a", "b", "c"), ("x", "y", "z")
    )
    by_mask = whole.subset(torch.tensor([True, False, True]))
    by_index = whole.subset(torch.tensor([0, 2]))
    for part in (by_mask, by_index):
        assert part.clips == ("a", "c")
        assert part.labels.tolist() == [2, 1]
        assert part.classes == whole.classes
        assert torch.equal(part.audio.values, features.values)


def test_parts_of_different_numbers_are_refused() -> None:
    one, two = Ragged.pooled(torch.ones(1, 2)), Ragged.pooled(torch.ones(2, 2))
    with pytest.raises(ValueError, match="differ in number"):
        FeatureSet(one, two, torch.zeros(2).long(), ("a", "b"), ("x",))
    with pytest.raises(ValueError, match="ragged"):
        Ragged(torch.ones(2, 3), torch.tensor([0, 2]), torch.zeros(3))
