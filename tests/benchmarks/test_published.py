"""The published numbers are those of the project's own sheet."""

from __future__ import annotations

import re

import pytest

from ezav.benchmarks.published import published_results, suite_name
from tests.shared_data import FIXTURES

SETTINGS = {"Main features": "main", "cls features": "cls", "CLIP/CLAP features": "clipclap"}


def test_rows_are_those_of_the_sheet() -> None:
    expected = {}
    setting = None
    for line in (FIXTURES / "published.md").read_text().splitlines():
        for heading, name in SETTINGS.items():
            if line.startswith(heading):
                setting = name
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if setting and len(cells) == 4 and re.match(r"[\d.]+ / [\d.]+$", cells[1]):
            for dataset, cell in zip(("vggsound", "ucf", "activitynet"), cells[1:], strict=True):
                hm, zsl = map(float, cell.split("/"))
                expected[cells[0], f"{dataset}-{setting}"] = (hm, zsl)
        elif line.startswith("#"):
            setting = None
    assert len(expected) == 69
    ours = {(r.method, r.suite): r for r in published_results() if r.method != "EZ-AVGZL"}
    assert ours.keys() == expected.keys()
    for key, row in ours.items():
        assert pytest.approx(expected[key]) == (100 * row.HM, 100 * row.ZSL)
        assert row.source


def test_harmonic_means_agree_where_s_and_u_are_given() -> None:
    rows = [row for row in published_results() if row.S is not None and row.U is not None]
    assert len(rows) == 6
    for row in rows:
        assert row.S is not None
        assert row.U is not None
        assert pytest.approx(row.HM, abs=2e-4) == 2 * row.S * row.U / (row.S + row.U)


def test_suites_have_names_a_store_gives() -> None:
    known = {row.suite for row in published_results()}
    for dataset in ("UCF", "VGGSound", "ActivityNet simulated"):
        for setting in ("main", "cls", "cls temporal", "CLIP/CLAP"):
            assert suite_name(dataset, setting) in known
    assert not published_results("toy-main")


@pytest.mark.parametrize("dataset", ["", " ", "1", "my videos"])
def test_a_data_set_of_any_name_is_no_suite(dataset: str) -> None:
    assert not published_results(suite_name(dataset, ""))
