"""Rows of tables: seeds are averaged, settings never mixed, bad news never left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ezav.errors import EzavError
from ezav.protocol.result import RunResult
from ezav.reports.summary import METRICS, by_comparison, kind_of, notes, percent, summary_rows
from tests.reports.fake_runs import write_run


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    return write_run(tmp_path_factory.mktemp("runs") / "one")


def changed(result: RunResult, hm: float | None = None, **fields: object) -> RunResult:
    copy = result.model_copy(update=fields)
    if hm is not None:
        copy = copy.model_copy(update={"metrics": copy.metrics.model_copy(update={"HM": hm})})
    return copy


@given(st.lists(st.floats(0, 1), min_size=2, max_size=6))
@settings(deadline=None, max_examples=25)
def test_mean_and_sample_deviation_over_seeds(base: RunResult, values: list[float]) -> None:
    runs = [changed(base, hm, seed=seed) for seed, hm in enumerate(values)]
    (row,) = summary_rows(runs)
    assert row.seeds == tuple(range(len(values)))
    assert row.mean["HM"] == pytest.approx(np.mean(values), abs=1e-12)
    assert row.sd is not None
    assert row.sd["HM"] == pytest.approx(np.std(values, ddof=1), abs=1e-9)


def test_one_seed_has_no_deviation(base: RunResult) -> None:
    (row,) = summary_rows([base])
    assert row.sd is None
    assert "±" not in row.cell("HM")
    assert row.cell("HM") == percent(base.metrics.HM)


def test_seeds_are_sorted_whatever_the_order_given(base: RunResult) -> None:
    (row,) = summary_rows([changed(base, seed=seed) for seed in (4, 0, 2)])
    assert row.seeds == (0, 2, 4)


@pytest.mark.parametrize(
    "difference",
    [
        {"dataset": "other"},
        {"setting": "cls"},
        {"text_alignment": "published"},
        {"simulated": True},
        {"store_fingerprint": "0" * 16},
    ],
)
def test_what_cannot_be_compared_gets_a_table_of_its_own(
    base: RunResult, difference: dict[str, object]
) -> None:
    rows = summary_rows([base, changed(base, **difference), changed(base, seed=1)])
    assert [len(row.seeds) for row in rows] == [2, 1]
    assert [len(table) for table in by_comparison(rows)] == [1, 1]


def test_one_label_with_two_settings_is_two_rows_that_say_what_differs(base: RunResult) -> None:
    config = {"classes": {"source": "ceo", "alpha": 0.1, "shuffle": False}}
    other = {"classes": {"source": "ceo", "alpha": 0.9, "shuffle": False}}
    rows = summary_rows([changed(base, config=config), changed(base, config=other)])
    assert [row.label for row in rows] == [
        "ez_avgzl [classes.alpha=0.1]",
        "ez_avgzl [classes.alpha=0.9]",
    ]


def test_the_same_run_twice_is_refused(base: RunResult) -> None:
    with pytest.raises(EzavError, match="seed 0 and the same settings"):
        summary_rows([base, base])


def test_nothing_is_refused() -> None:
    with pytest.raises(EzavError, match="no results"):
        summary_rows([])


def test_kinds_come_from_the_method_and_the_config(base: RunResult) -> None:
    assert kind_of(base) == "trained"
    assert kind_of(changed(base, config={"classes": {"shuffle": True}})) == "shuffled"
    assert kind_of(changed(base, method="zero_shot")) == "frozen"
    assert kind_of(changed(base, method="eszsl", parameters=0)) == "trained"  # in closed form
    # A method this version does not know: frozen if it has no weights.
    assert kind_of(changed(base, method="unknown", parameters=0)) == "frozen"
    assert kind_of(changed(base, method="unknown", parameters=9)) == "trained"


def test_a_trained_row_below_a_frozen_one_is_told(base: RunResult) -> None:
    frozen = changed(base, 0.5, method="zero_shot", label="late fusion")
    below, above = (changed(base, hm, label=f"HM {hm}") for hm in (0.4, 0.6))
    found = notes(summary_rows([below, above, frozen]))
    assert len(found) == 1
    assert "'HM 0.4'" in found[0]
    assert "below the frozen baseline 'late fusion' (HM 50.0)" in found[0]
    # On another store the two are not compared.
    assert not notes(summary_rows([below, changed(frozen, store_fingerprint="0" * 16)]))


def test_a_row_not_above_its_shuffled_control_is_told(base: RunResult) -> None:
    shuffled = changed(base, 0.5, label="shuffled", config={"classes": {"shuffle": True}})
    assert any("shuffled control" in n for n in notes(summary_rows([changed(base, 0.5), shuffled])))
    assert not notes(summary_rows([changed(base, 0.51), shuffled]))


def test_a_row_below_chance_is_told(base: RunResult) -> None:
    assert any("below chance" in note for note in notes(summary_rows([changed(base, 0.0)])))


def test_rows_carry_every_metric(base: RunResult, tmp_path: Path) -> None:
    (row,) = summary_rows([base])
    for metric in METRICS:
        assert row.mean[metric] == getattr(base.metrics, metric)
