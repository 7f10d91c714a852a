"""Numbers other papers report, to print beside ours: data with a source, never a result of ours."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from ezav.recipes.recipe import (
    PublishedNumbers,
    Reported,
    TextOrder,
    shipped_recipes,
)

_TABLES = {
    "main": "Mercea et al., CVPR 2022, and its code's README",
    "cls": "Mercea et al., ECCV 2022, and its code's README",
    "clipclap": "Kurzendörfer et al., CVPR Workshops 2024",
}
"""A setting -> the paper whose table has all methods; a recipe may name another source."""
_BY_NAME = {"ucf-clipclap"}
"""Suites whose loader sorts clips and class text alike; the others' pair them in another order."""


@dataclass(frozen=True, slots=True)
class PublishedResult:
    """One row of a paper, as fractions.

    Attributes:
        method: as the paper calls it.
        suite: data set and setting, "ucf-cls" and so on (see `suite_name`).
        S, U: None where the source gives only HM and ZSL.
        HM, ZSL: as reported.
        source: who reports it.
        text_alignment: whose class got which text embedding in the code that made the number:
            "published" is the permuted order of the released loaders.
        temporal: the method used temporal features of the setting.
    """

    method: str
    suite: str
    S: float | None
    U: float | None
    HM: float
    ZSL: float
    source: str
    text_alignment: TextOrder
    temporal: bool = False


def published_results(suite: str | None = None) -> tuple[PublishedResult, ...]:
    """Published rows, of one suite or all, the worst HM first; none where nobody reports any.

    They are what the recipes that come with ezav have under `published`.

    Example:
        >>> best = published_results("ucf-cls")[-1]
        >>> best.method, best.HM, best.text_alignment
        ('EZ-AVGZL', 0.5824, 'unknown')
    """
    return tuple(row for row in _all() if suite is None or row.suite == suite)


@cache
def _all() -> tuple[PublishedResult, ...]:
    rows = [
        _row(recipe.reported, suite, setting.published)
        for recipe in shipped_recipes()
        for suite, setting in recipe.settings.items()
        if recipe.reported is not None and setting.published is not None
    ]
    return tuple(sorted(rows, key=lambda row: (row.suite, row.HM)))


def _row(reported: Reported, suite: str, numbers: PublishedNumbers) -> PublishedResult:
    by_name: TextOrder = "by_name" if suite in _BY_NAME else "published"
    return PublishedResult(
        method=reported.name,
        suite=suite,
        S=None if numbers.S is None else numbers.S / 100,
        U=None if numbers.U is None else numbers.U / 100,
        HM=numbers.HM / 100,
        ZSL=numbers.ZSL / 100,
        source=reported.source or _TABLES[suite.split("-")[-1]],
        text_alignment=reported.text_alignment or by_name,
        temporal=reported.temporal,
    )
