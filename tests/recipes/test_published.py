"""The published numbers are those of the project's own sheet, said once in the recipe files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import ezav.methods
from ezav.recipes import load_recipe, published_results, suite_name
from ezav.recipes.recipe import recipe_names
from tests.shared_data import FIXTURES

SETTINGS = {"Main features": "main", "cls features": "cls", "CLIP/CLAP features": "clipclap"}
DATASETS = ("vggsound", "ucf", "activitynet")


def test_rows_are_those_of_the_sheet() -> None:
    expected = {}
    setting = None
    for line in (FIXTURES / "published.md").read_text().splitlines():
        for heading, name in SETTINGS.items():
            if line.startswith(heading):
                setting = name
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if setting and len(cells) == 4 and re.match(r"[\d.]+ / [\d.]+$", cells[1]):
            for dataset, cell in zip(DATASETS, cells[1:], strict=True):
                hm, zsl = map(float, cell.split("/"))
                expected[cells[0], f"{dataset}-{setting}"] = (hm, zsl)
        elif line.startswith("#"):
            setting = None
    assert len(expected) == 72
    ours = {(r.method, r.suite): r for r in published_results() if r.method != "EZ-AVGZL"}
    assert ours.keys() == expected.keys()
    for key, row in ours.items():
        assert pytest.approx(expected[key]) == (100 * row.HM, 100 * row.ZSL)
        assert row.source


def test_harmonic_means_agree_where_s_and_u_are_given() -> None:
    rows = [row for row in published_results() if row.S is not None and row.U is not None]
    assert len(rows) == 9
    for row in rows:
        assert row.S is not None
        assert row.U is not None
        assert pytest.approx(row.HM, abs=2e-4) == 2 * row.S * row.U / (row.S + row.U)


def test_text_alignment_and_time_are_those_of_the_code_that_made_the_numbers() -> None:
    for row in published_results():
        if row.method == "EZ-AVGZL":  # its code was never released
            assert row.text_alignment == "unknown"
        else:  # UCF's own table of ClipClap's code alone sorts clips and names alike
            by_name = row.suite == "ucf-clipclap"
            assert row.text_alignment == ("by_name" if by_name else "published")
        assert row.temporal == (row.method in ("TCaF", "Attention Fusion", "Perceiver"))


def test_suites_have_names_a_store_gives() -> None:
    known = {row.suite for row in published_results()}
    for dataset in ("UCF", "VGGSound", "ActivityNet simulated"):
        for setting in ("main", "cls", "cls temporal", "CLIP/CLAP"):
            assert suite_name(dataset, setting) in known
    assert not published_results("toy-main")


@pytest.mark.parametrize("dataset", ["", " ", "1", "my videos"])
def test_a_data_set_of_any_name_is_no_suite(dataset: str) -> None:
    assert not published_results(suite_name(dataset, ""))


def readme_numbers(method: str) -> dict[str, list[float]]:
    """Suite -> the numbers that a method's README shows, in its order."""
    text = (Path(ezav.methods.__path__[0]) / method / "README.md").read_text()
    _, _, section = text.partition("## Published numbers")
    found = {}
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("| ").split("|")]
        if not re.search(r"\d \/ \d", line):
            continue
        setting = "cls" if len(cells) == 3 else cells.pop(0).split(",")[0]  # EZ-AVGZL's has no name
        setting = {"CLIP/CLAP": "clipclap"}.get(setting, setting)
        for dataset, cell in zip(DATASETS, cells, strict=True):
            if "/" in cell:
                found[f"{dataset}-{setting}"] = [float(number) for number in cell.split("/")]
    return found


@pytest.mark.parametrize("method", sorted({load_recipe(name).method for name in recipe_names()}))
def test_readmes_show_what_the_recipes_say(method: str) -> None:
    published = {
        suite: [x for x in (one.published.S, one.published.U) if x is not None]
        + [one.published.HM, one.published.ZSL]
        for suite, one in load_recipe(method).settings.items()
        if one.published is not None
    }
    assert readme_numbers(method) == published


def test_only_data_of_ones_own_bound_an_epoch_by_passes() -> None:
    """Published settings are as published; theirs by default are too long for small sets."""
    found = 0
    for name in recipe_names():
        for suite, setting in load_recipe(name).settings.items():
            bound = setting.training.get("max_passes_per_epoch")
            fixed = suite == "default" and "batches_per_epoch" in setting.training
            assert bound == (16 if fixed else None), (name, suite)
            found += fixed
    assert found == 18
