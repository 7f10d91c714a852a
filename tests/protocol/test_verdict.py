"""What is said of a run, against results made by hand and guesses that are simulated."""

from __future__ import annotations

import json
import math

import pytest
import torch

from ezav.metrics import per_class_recall
from ezav.protocol.chance import chance
from ezav.protocol.evaluation import Evaluation
from ezav.protocol.result import ClassResult, Control, Metrics, RunResult
from ezav.protocol.verdict import Verdict, no_better_than, verdict


def result(
    seen: list[tuple[int, int]], unseen: list[tuple[int, int]], zsl: list[int] | None = None
) -> RunResult:
    """A run from (right, clips) of each class; `zsl` says how many are right among the unseen."""
    zsl = [right for right, _ in unseen] if zsl is None else zsl
    classes = [
        ClassResult(name=f"s{n}", seen=True, clips=clips, recall=right / clips)
        for n, (right, clips) in enumerate(seen)
    ]
    classes += [
        ClassResult(
            name=f"u{n}", seen=False, clips=clips, recall=right / clips, zsl_recall=among / clips
        )
        for n, ((right, clips), among) in enumerate(zip(unseen, zsl))
    ]
    s, u = (sum(r / c for r, c in side) / len(side) for side in (seen, unseen))
    among = sum(one / c for one, (_, c) in zip(zsl, unseen)) / len(unseen)
    hm = 2 * s * u / (s + u) if s + u else 0.0
    metrics = Metrics(S=s, U=u, HM=hm, ZSL=among, AUSUC=s * u)
    return RunResult(
        method="m",
        dataset="d",
        setting="",
        text_alignment="by_name",
        seed=0,
        gamma=0.0,
        epoch=1,
        metrics=metrics,
        validation=metrics,
        chance=chance(len(seen), len(unseen)),
        per_class=classes,
        candidates={"seen": ["s0"], "unseen": ["u0"]},
        parameters=1,
        timing={},
        versions={},
        store_fingerprint="",
        config={},
        training={},
    )


def told(*runs: RunResult) -> Verdict:
    found = verdict(runs)
    assert found is not None
    return found


def test_the_sentence_counts_clips() -> None:
    found = told(result([(9, 10), (7, 10), (8, 10), (6, 10)], [(5, 8)]))
    # The best guess: p = 2/(2+1) on seen classes: S = 1/6 of 40 clips, U = 1/3 of 8.
    assert found.sentence == (
        "right for 30 of 40 clips of the 4 classes it was trained on (guessing: 7), "
        "and for 5 of 8 clips of the 1 class it was not (guessing: 3)"
    )
    assert found.better_than_guessing
    assert found.warning == ""


def test_the_recogniser_at_chance_of_the_trial_is_told() -> None:
    """Ten classes, HM 11.2 % against 11.1 %."""
    found = told(result([(1, 10)] * 8, [(1, 8), (1, 8)]))
    assert found.hm == pytest.approx(0.1111, abs=1e-4)
    assert not found.better_than_guessing
    assert "NO BETTER THAN GUESSING: HM 11.1%" in found.warning


def test_what_is_right_on_seen_classes_only_is_told() -> None:
    assert "NO BETTER" in told(result([(10, 10)] * 8, [(0, 10), (0, 10)])).warning
    half = told(result([(9, 10)] * 8, [(8, 10), (1, 10)], zsl=[9, 1]))
    assert half.better_than_guessing
    assert "AMONG CLASSES IT WAS NOT TRAINED ON: 50.0%" in half.warning


def test_seeds_are_averaged() -> None:
    one, other = result([(4, 10)] * 3, [(2, 10)]), result([(8, 10)] * 3, [(4, 10)])
    found = told(one, other)
    assert (found.seen.right, found.unseen.right) == pytest.approx((18, 3))
    assert found.seeds == 2
    assert found.hm == pytest.approx((one.metrics.HM + other.metrics.HM) / 2)
    assert found.sentence.endswith("(mean of 2 seeds)")


@pytest.mark.parametrize(("seen", "unseen", "clips"), [(8, 2, 8), (4, 1, 20), (20, 6, 5)])
def test_few_guesses_are_called_better_than_guessing(seen: int, unseen: int, clips: int) -> None:
    """Of guesses that never look at the clip about one in forty is above the limit."""
    draw = torch.Generator().manual_seed(0)
    best = chance(seen, unseen)
    called = 0
    for _ in range(2000):
        rights = [
            torch.binomial(torch.full((count,), float(clips)), torch.full((count,), p), draw)
            for count, p in ((seen, best.S), (unseen, best.U))
        ]
        sides = [[(int(right), clips) for right in side] for side in rights]
        called += told(result(*sides)).better_than_guessing
    assert called / 2000 < 0.06


@pytest.mark.parametrize(("seen", "unseen", "clips"), [(8, 2, 8), (4, 1, 20), (20, 6, 5)])
def test_the_error_is_that_of_repeated_tests(seen: int, unseen: int, clips: int) -> None:
    """Standard deviation of HM over many draws of clips, where 6 of 10 are right."""
    draw = torch.Generator().manual_seed(1)
    every = [
        torch.binomial(torch.full((2000, n), float(clips)), torch.full((2000, n), 0.6), draw)
        for n in (seen, unseen)
    ]
    s, u = (one.mean(1) / clips for one in every)
    spread = float((2 * s * u / (s + u)).std())
    errors = [
        told(result(*([(int(r), clips) for r in side[row]] for side in every))).hm_error
        for row in range(200)
    ]
    assert sum(errors) / 200 == pytest.approx(spread, rel=0.15)


def test_no_better_than_another_row() -> None:
    seen, targets = torch.tensor([True, True, False]), torch.arange(3).repeat(40)
    names = ("a", "b", "c")
    clips = tuple(map(str, range(120)))
    draw = torch.Generator().manual_seed(0)

    def row(skill: float) -> Evaluation:
        scores = torch.randn(120, 3, generator=draw)
        scores[torch.arange(120), targets] += skill
        return Evaluation(scores, targets, seen, names, clips)

    good, bad, alike = row(3.0), row(0.3), row(3.0)
    assert float(per_class_recall(good.scores.argmax(1), targets, 3).mean()) > 0.8
    assert no_better_than(good, bad, (0, 0), "the frozen row") == ""
    assert "NO BETTER THAN the frozen row: HM -" in no_better_than(
        bad, good, (0, 0), "the frozen row"
    )
    assert no_better_than(good, alike, (0, 0), "the frozen row")


def test_a_run_that_is_no_better_than_a_control_says_so_last() -> None:
    good = result([(9, 10)] * 4, [(8, 10)] * 3)
    above = Control(HM=0.5, above=0.3, low=0.1, high=0.5)
    level = Control(HM=0.8, above=0.02, low=-0.05, high=0.09)
    fine = good.model_copy(update={"controls": {"shuffled": above, "frozen": above}})
    assert told(fine).warning == ""
    assert told(fine).against.endswith("names shuffled 50.0%, frozen encoders 50.0%")
    for name, words in (("shuffled", "NAMES OF THE NEW CLASSES"), ("frozen", "FROZEN ENCODERS")):
        one = good.model_copy(
            update={"controls": {"shuffled": above, "frozen": above, name: level}}
        )
        assert words in told(one).warning
        assert "HM +2.0% (95 % of resampled clips: -5.0% to +9.0%)" in told(one).warning
    worse = result([(1, 10)] * 4, [(1, 10)] * 3).model_copy(update={"controls": {"frozen": level}})
    assert told(worse).warning.startswith("NO BETTER THAN GUESSING:")  # the worst is said


def test_controls_are_means_over_the_seeds_that_all_have_them() -> None:
    one = result([(9, 10)] * 4, [(8, 10)] * 3)
    first = one.model_copy(
        update={"controls": {"frozen": Control(HM=0.4, above=0.1, low=-0.1, high=0.2)}}
    )
    second = one.model_copy(
        update={"controls": {"frozen": Control(HM=0.6, above=0.5, low=0.3, high=0.6)}}
    )
    assert told(first, second).controls["frozen"].low == pytest.approx(0.1)
    assert pytest.approx(0.5) == told(first, second).controls["frozen"].HM
    assert told(first, one).controls == {}


def test_without_unseen_classes_the_mean_recall_is_what_counts() -> None:
    classes = [
        ClassResult(name=f"s{n}", seen=True, clips=10, recall=right / 10)
        for n, right in enumerate([9, 8, 7, 10])
    ]
    nan = float("nan")
    metrics = Metrics(S=0.85, U=nan, HM=nan, ZSL=nan, AUSUC=nan)
    closed = result([(9, 10)], [(8, 10)]).model_copy(
        update={
            "per_class": classes,
            "metrics": metrics,
            "chance": chance(4, 0),
            "candidates": {"seen": ["s0", "s1", "s2", "s3"], "unseen": []},
        }
    )
    found = told(closed)
    assert found.sentence == (
        "right for 34 of 40 clips of the 4 classes it was trained on (guessing: 10); "
        "of classes it was not trained on nothing was tested"
    )
    assert found.warning == ""
    again = RunResult.model_validate_json(closed.model_dump_json())  # null in JSON, nan here
    assert again.metrics.S == 0.85
    assert math.isnan(again.metrics.HM)
    assert "NaN" not in json.dumps(closed.model_dump(mode="json")["metrics"])
    lost = closed.model_copy(
        update={
            "per_class": [one.model_copy(update={"recall": 0.3}) for one in classes],
            "metrics": metrics.model_copy(update={"S": 0.3}),
        }
    )
    assert told(lost).warning.startswith("NO BETTER THAN GUESSING: mean recall 30.0%")
