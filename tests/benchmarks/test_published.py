"""The published numbers are those of the project's own sheet."""

from __future__ import annotations

import re

import pytest

from ezav.benchmarks.published import published_results, suite_name
from tests.shared_data import shared


def test_rows_are_those_of_the_sheet() -> None:
    text = shared("METHOD.md").read_text().split("## 6.")[1]
    expected = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 5 and re.match(r"[\d.]+ / [\d.]+$", cells[1]):
            setting = {"CLIP/CLAP": "clipclap"}.get(cells[4], cells[4])
            for dataset, cell in zip(("vggsound", "ucf", "activitynet"), cells[1:4], strict=True):
                hm, zsl = map(float, cell.split("/"))
                expected[cells[0], f"{dataset}-{setting}"] = (hm, zsl)
    assert len(expected) == 63
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
