"""Numbers other papers report, to print beside ours: data with a source, never a result of ours."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

from ezav.features.header import Header

TextOrder = Literal["by_name", "published", "unknown"]

_SETTINGS = {
    "main": "main",
    "cls": "cls",
    "main temporal": "main",
    "cls temporal": "cls",
    "CLIP/CLAP": "clipclap",
}
"""A store's setting -> the setting under which papers report it."""

_AVCA = "Mercea et al., CVPR 2022, and its code's README"
_TCAF = "Mercea et al., ECCV 2022, and its code's README"
_CLIPCLAP = "Kurzendörfer et al., CVPR Workshops 2024"
_EZ = "Mo & Morgado, ECCV 2024, from a secondary source; the cls setting is inferred"


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


def suite_name(dataset: str, setting: str) -> str:
    """A store's dataset and setting as one word, the key of recipes and published numbers.

    Example:
        >>> suite_name("UCF simulated", "CLIP/CLAP"), suite_name("VGGSound", "cls temporal")
        ('ucf-clipclap', 'vggsound-cls')
    """
    first = (dataset.split() or [""])[0]  # a data set of one's own may be called anything
    return f"{first.lower()}-{_SETTINGS.get(setting, setting.lower())}"


def suite_of(header: Header) -> str:
    """The suite a store stands for, empty for data of one's own.

    The store must say that its splits are the published ones, or that it simulates them: a folder
    of one's own videos may be called "UCF" as well.
    """
    published = header.splits is not None and header.splits.how == "published"
    return suite_name(header.dataset, header.setting) if published or header.simulated else ""


def published_results(suite: str | None = None) -> tuple[PublishedResult, ...]:
    """Published rows, of one suite or all; none for a suite that nobody reports.

    Example:
        >>> best = max(published_results("ucf-cls"), key=lambda row: row.HM)
        >>> best.method, best.HM, best.text_alignment
        ('EZ-AVGZL', 0.5824, 'unknown')
    """
    return tuple(row for row in _all() if suite is None or row.suite == suite)


_TEMPORAL = ("TCaF", "Attention Fusion", "Perceiver")
_DATASETS = ("vggsound", "ucf", "activitynet")

# METHOD: HM, ZSL in % on VGGSound, UCF, ActivityNet.
_TABLES: dict[str, dict[str, tuple[tuple[float, float], ...]]] = {
    "main": {
        "ALE": ((0.53, 5.48), (23.66, 16.32), (3.94, 7.90)),
        "SJE": ((2.15, 4.06), (26.50, 18.93), (5.57, 7.08)),
        "DeViSE": ((2.08, 5.59), (23.56, 16.09), (4.91, 8.53)),
        "APN": ((5.11, 4.49), (20.61, 16.44), (7.27, 6.34)),
        "f-VAEGAN-D2": ((1.77, 1.91), (11.37, 11.11), (2.87, 2.40)),
        "CJME": ((6.17, 5.16), (12.48, 8.29), (5.12, 5.84)),
        "AVGZSLNet": ((5.83, 5.28), (18.05, 13.65), (6.44, 5.40)),
        "AVCA": ((6.31, 6.00), (27.15, 20.01), (12.13, 9.13)),
    },
    "cls": {
        "ALE": ((3.23, 4.97), (35.37, 32.30), (1.55, 6.16)),
        "SJE": ((4.69, 3.22), (24.28, 32.47), (2.35, 4.35)),
        "DeViSE": ((3.64, 4.72), (31.98, 35.48), (0.33, 5.84)),
        "APN": ((6.29, 6.50), (18.35, 29.69), (3.58, 3.97)),
        "CJME": ((3.68, 3.72), (28.65, 29.01), (7.32, 6.29)),
        "AVGZSLNet": ((5.26, 4.81), (36.51, 31.51), (8.30, 6.39)),
        "Attention Fusion": ((4.95, 3.37), (24.97, 20.21), (5.18, 4.88)),
        "Perceiver": ((4.93, 3.44), (34.11, 28.12), (6.92, 4.47)),
        "AVCA": ((8.31, 6.91), (41.34, 37.72), (9.92, 7.58)),
        "TCaF": ((8.77, 7.41), (50.78, 44.64), (12.20, 7.96)),
    },
    "clipclap": {
        "CJME": ((7.45, 6.84), (25.87, 20.46), (11.64, 9.92)),
        "AVGZSLNet": ((4.71, 5.44), (42.67, 35.66), (12.70, 12.39)),
        "AVCA": ((11.26, 8.16), (36.69, 38.67), (21.76, 20.88)),
        "Hyper-multiple": ((11.87, 8.47), (41.56, 40.28), (20.90, 22.18)),
    },
}

# S, U, HM, ZSL in %.
_FULL: dict[str, dict[str, tuple[tuple[float, float, float, float], ...]]] = {
    "cls": {
        "EZ-AVGZL": (
            (17.26, 8.68, 11.55, 8.92),
            (78.32, 46.35, 58.24, 48.27),
            (38.52, 12.85, 19.27, 13.01),
        ),
    },
    "clipclap": {
        "ClipClap": (
            (29.68, 11.12, 16.18, 11.53),
            (77.14, 43.91, 55.97, 46.96),
            (45.98, 20.06, 27.93, 22.76),
        ),
    },
}

_SOURCES = {"main": _AVCA, "cls": _TCAF, "clipclap": _CLIPCLAP}


@cache
def _all() -> tuple[PublishedResult, ...]:
    rows = []
    for setting in _TABLES:
        for method, pairs in _TABLES[setting].items():
            for dataset, (hm, zsl) in zip(_DATASETS, pairs, strict=True):
                rows.append(_row(method, dataset, setting, None, None, hm, zsl))
        for method, fours in _FULL.get(setting, {}).items():
            for dataset, four in zip(_DATASETS, fours, strict=True):
                rows.append(_row(method, dataset, setting, *four))
    return tuple(rows)


def _row(
    method: str,
    dataset: str,
    setting: str,
    s: float | None,
    u: float | None,
    hm: float,
    zsl: float,
) -> PublishedResult:
    suite = f"{dataset}-{setting}"
    order: TextOrder = "published"
    if method == "EZ-AVGZL":
        order = "unknown"  # its code was never released
    elif suite == "ucf-clipclap":
        order = "by_name"  # ClipClap's UCF table sorts both names alike
    return PublishedResult(
        method=method,
        suite=suite,
        S=None if s is None else s / 100,
        U=None if u is None else u / 100,
        HM=hm / 100,
        ZSL=zsl / 100,
        source=_EZ if method == "EZ-AVGZL" else _SOURCES[setting],
        text_alignment=order,
        temporal=method in _TEMPORAL,
    )
