"""Published numbers: beside runs of the same data and alignment, apart otherwise, or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ezav.recipes import published_results
from ezav.reports.figures.comparison import comparison
from ezav.reports.published import Published, published_for
from ezav.reports.runs import LabelledRuns, Run
from ezav.reports.summary import summary_rows
from tests.reports.fake_runs import write_run


def found(folder: Path, how: str = "published", **fields: Any) -> tuple[Run, Published]:
    fields = {"dataset": "UCF", "setting": "cls", **fields}
    write_run(folder, splits={"how": how}, **fields)
    run = Run.read(folder)
    return run, published_for([LabelledRuns("ours", (run,))])


@pytest.mark.parametrize("alignment", ["by_name", "published"])
def test_text_alignments_never_share_a_chart(tmp_path: Path, alignment: str) -> None:
    run, published = found(tmp_path / "run", text_alignment=alignment)
    everything = published_results("ucf-cls")
    assert {*published.beside, *published.apart} == set(everything)
    assert all(row.text_alignment in (alignment, "unknown") for row in published.beside)
    assert all(row.text_alignment not in (alignment, "unknown") for row in published.apart)
    panel = comparison(summary_rows([run.result]), published)
    bars = [text.get_text() for text in panel.pictures[0].figure.axes[0].get_yticklabels()]
    assert len(bars) == 1 + len(published.beside)
    assert ("AVCA" in bars) == (alignment == "published")
    # The table below has them all, with the alignment in words.
    assert len(panel.table) == 1 + len(everything)
    assert "not measured here" in panel.table_title


def test_bars_are_the_published_numbers(tmp_path: Path) -> None:
    run, published = found(tmp_path / "run", text_alignment="published")
    figure = comparison(summary_rows([run.result]), published).pictures[0].figure
    widths = [bar.get_width() for bar in figure.axes[0].patches]  # type: ignore[attr-defined]
    expected = [run.result.metrics.HM, *(row.HM for row in published.beside)]
    assert widths == pytest.approx([100 * hm for hm in expected])
    assert 50.78 in [round(width, 2) for width in widths]  # TCaF


def test_only_the_same_data_set_and_setting(tmp_path: Path) -> None:
    _, published = found(tmp_path / "run", dataset="ActivityNet", setting="main")
    assert {row.suite for row in (*published.beside, *published.apart)} == {"activitynet-main"}


@pytest.mark.parametrize(
    ("how", "fields"),
    [("drawn", {}), ("published", {"simulated": True}), ("published", {"dataset": "mine"})],
)
def test_own_and_simulated_data_get_none(tmp_path: Path, how: str, fields: dict[str, Any]) -> None:
    _, published = found(tmp_path / "run", how=how, **fields)
    assert published == Published()
