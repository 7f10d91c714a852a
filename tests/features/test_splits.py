"""Drawn and given splits: every clip in one place, and a benchmark in both stages."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ezav.errors import EzavError
from ezav.features.splits import (
    SPLITS,
    STAGE_1,
    STAGE_2,
    check_splits,
    draw_splits,
    given_splits,
)


def folder(counts: list[int]) -> tuple[list[str], list[str]]:
    """Clips and classes of a user's folder with so many clips in each class."""
    pairs = [(f"{c:03d}/{n}", f"{c:03d}") for c, count in enumerate(counts) for n in range(count)]
    return [clip for clip, _ in pairs], [name for _, name in pairs]


def classes_of(splits: dict[str, str], clips: list[str], classes: list[str]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for clip, name in zip(clips, classes):
        found[splits[clip]].add(name)
    return found


@given(st.lists(st.integers(3, 12), min_size=4, max_size=40), st.integers(0, 5))
@settings(deadline=None, max_examples=60)
def test_a_draw_makes_a_benchmark_in_both_stages(counts: list[int], seed: int) -> None:
    clips, classes = folder(counts)
    splits = draw_splits(clips, classes, seed=seed)
    assert set(splits) == set(clips)
    found = classes_of(splits, clips, classes)
    assert set(found) == set(SPLITS)
    # Stage 1: validation tells seen from unseen, and sees nothing of what is trained on.
    assert found["val_seen"] <= found["train"]
    assert not found["train"] & found["val_unseen"]
    # Stage 2: every class it trains on is tested, and no other is called seen.
    trained = found["train"] | found["val_seen"] | found["val_unseen"]
    assert found["test_seen"] == trained
    assert not trained & found["test_unseen"]


@given(st.integers(4, 60))
@settings(deadline=None, max_examples=20)
def test_shares_are_sensible_for_few_and_many_classes(number: int) -> None:
    clips, classes = folder([20] * number)
    found = classes_of(draw_splits(clips, classes), clips, classes)
    unseen, val = len(found["test_unseen"]), len(found["val_unseen"])
    assert unseen == max(1, number // 4)
    assert 1 <= val <= 0.3 * (number - unseen) + 1
    assert len(found["train"]) >= 2


def test_shares_of_clips() -> None:
    clips, classes = folder([20] * 12)
    splits = draw_splits(clips, classes)
    counts = Counter((name, splits[clip]) for clip, name in zip(clips, classes))
    assert {n for (_, split), n in counts.items() if split == "test_seen"} == {4}
    assert {n for (_, split), n in counts.items() if split == "val_seen"} == {3}
    assert {n for (_, split), n in counts.items() if split == "train"} == {13}
    assert {n for (_, split), n in counts.items() if split == "val_unseen"} == {16}


def test_a_draw_is_the_same_for_a_seed_and_any_order() -> None:
    clips, classes = folder([7] * 15)
    draws = [draw_splits(clips, classes, seed=seed) for seed in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]
    assert draw_splits(clips[::-1], classes[::-1], seed=0) == draws[0]


def test_more_clips_leave_the_classes_where_they_were() -> None:
    clips, classes = folder([6] * 15)
    more, names = folder([9] * 15)
    before = classes_of(draw_splits(clips, classes), clips, classes)
    after = classes_of(draw_splits(more, names), more, names)
    assert before["test_unseen"] == after["test_unseen"]
    assert before["val_unseen"] == after["val_unseen"]


def test_classes_of_two_clips_train_and_test() -> None:
    clips, classes = folder([2, 2, 2, 2, 2, 9, 9, 9, 9, 9])
    splits = draw_splits(clips, classes, seed=1)
    for name in ("000", "001", "002", "003", "004"):
        where = sorted(splits[clip] for clip, other in zip(clips, classes) if other == name)
        assert where in (
            ["test_seen", "train"],
            ["test_seen", "val_unseen"],
            ["test_unseen", "test_unseen"],
        )


def test_named_unseen_classes_may_have_a_single_clip() -> None:
    clips, classes = folder([1, 5, 5, 5, 1])
    splits = draw_splits(clips, classes, unseen=["000", "004"])
    assert classes_of(splits, clips, classes)["test_unseen"] == {"000", "004"}


@pytest.mark.parametrize(
    ("counts", "unseen", "message"),
    [
        ([], None, "0 classes, but at least 4"),
        ([9], None, "1 class, but at least 4"),
        ([9, 9, 9], None, "3 classes, but at least 4"),
        ([9, 9, 1, 9, 1], None, "class '002', '004' has a single clip; give it more"),
        ([9, 9, 9, 9, 1], ["000"], "class '004' has a single clip"),
        ([9, 9, 9, 9], ["000", "001"], "2 classes besides the unseen ones, but at least 3"),
        ([9, 9, 9, 9], ["cat"], "no clip has the unseen class 'cat'; the classes are '000'"),
        ([9], [], "1 class, but at least 2"),
    ],
)
def test_folders_that_make_no_benchmark(
    counts: list[int], unseen: list[str] | None, message: str
) -> None:
    with pytest.raises(EzavError, match=message):
        draw_splits(*folder(counts), unseen=unseen)


def test_a_clip_twice_and_an_empty_class_name() -> None:
    clips, classes = folder([5] * 5)
    with pytest.raises(EzavError, match="'000/0' is listed twice"):
        draw_splits([*clips, "000/0"], [*classes, "001"])
    with pytest.raises(EzavError, match="empty class name"):
        draw_splits([*clips, "odd"], [*classes, " "])


GIVEN = {
    "a1": "train", "a2": "val_seen", "a3": "test_seen", "b1": "train", "b2": "test_seen",
    "c1": "val_unseen", "c2": "test_seen", "d1": "test_unseen",
}  # fmt: skip


def test_given_splits_are_kept() -> None:
    clips = list(GIVEN)
    assert given_splits(clips, [c[0] for c in clips], list(GIVEN.values())) == GIVEN


def test_published_splits_need_not_test_every_seen_class() -> None:
    splits = {clip: split for clip, split in GIVEN.items() if clip != "c2"}
    check_splits(splits, {clip: clip[0] for clip in splits})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"a2": "dev"}, "unknown split 'dev'"),
        ({"d1": "train", "d2": "test_unseen"}, "'d' is both seen and unseen in stage 2"),
        ({"a3": "val_unseen"}, "'a' is both seen and unseen in stage 1"),
        ({"c2": "test_unseen"}, "'c' is both seen and unseen in stage 2"),
        ({"e1": "val_seen"}, "'e' is in val_seen but has no training clip in stage 1"),
        ({"e1": "test_seen"}, "'e' is in test_seen but has no training clip in stage 2"),
        ({"d1": "test_seen", "d2": "train"}, "'test_unseen' has no clip"),
        ({"b1": "val_unseen", "b2": "val_unseen"}, "1 class in the split 'train'"),
    ],
)
def test_given_splits_that_make_no_benchmark(change: dict[str, str], message: str) -> None:
    splits = {**GIVEN, **change}
    with pytest.raises(EzavError, match=message):
        check_splits(splits, {clip: clip[0] for clip in splits})


def test_the_stages_use_every_split_and_mix_none() -> None:
    assert set(STAGE_1.train) | set(STAGE_1.evaluation) == {"train", "val_seen", "val_unseen"}
    assert set(STAGE_2.train) | set(STAGE_2.evaluation) == set(SPLITS)
    for stage in (STAGE_1, STAGE_2):
        assert not set(stage.train) & set(stage.evaluation)
