"""Terminal, Markdown and CSV tables say the same numbers and survive strange labels."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from rich.console import Console

from ezav.protocol.result import RunResult
from ezav.reports.tables import (
    METRICS,
    csv_table,
    markdown_table,
    rich_table,
    summary_rows,
    to_csv,
)
from tests.reports.fake_runs import write_run


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[RunResult]:
    folder = tmp_path_factory.mktemp("runs")
    runs = [write_run(folder / f"a{seed}", label="ours", seed=seed) for seed in range(3)]
    runs += [
        write_run(folder / f"b{seed}", label="theirs", skill=1, seed=seed) for seed in range(3)
    ]
    return runs


def printed(results: list[RunResult], width: int = 80) -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(rich_table(summary_rows(results)))
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def test_the_three_tables_agree(results: list[RunResult]) -> None:
    rows = summary_rows(results)
    read = list(csv.DictReader(io.StringIO(csv_table(rows))))
    terminal, markdown = printed(results).replace("±", "± "), markdown_table(rows)
    for row, line in zip(rows, read):
        assert line["label"] == row.label
        for metric in METRICS:
            mean, sd = float(line[f"{metric}_mean"]), float(line[f"{metric}_sd"])
            cell = f"{100 * mean:.1f} ± {100 * sd:.1f}"
            assert cell in terminal
            assert cell in markdown
        assert float(line["HM_chance"]) == row.chance.HM


def test_a_terminal_of_80_columns_is_enough(results: list[RunResult]) -> None:
    lines = printed(results).splitlines()
    assert max(map(len, lines)) <= 80
    assert sum("ours" in line for line in lines) == 1
    assert "3 seeds" in lines[0]
    assert any(line.strip().startswith("chance") for line in lines)


def test_labels_are_text_not_markup(results: list[RunResult]) -> None:
    strange = [results[0].model_copy(update={"label": "[bold]a|b*_`<i>[/bold]"})]
    assert "[bold]a|b*_`<i>[/bold]" in printed(strange, 120)
    emoji = results[0].model_copy(update={"label": "a:dog:b", "dataset": "my:cat:data [/b]"})
    assert "a:dog:b" in printed([emoji])
    assert printed([emoji]).startswith("my:cat:data [/b]")
    (line,) = [x for x in markdown_table(summary_rows(strange)).splitlines() if "bold" in x]
    assert r"\[bold\]a\|b\*\_\`\<i\>" in line
    read = list(csv.DictReader(io.StringIO(csv_table(summary_rows(strange)))))
    assert read[0]["label"] == "[bold]a|b*_`<i>[/bold]"


def test_settings_get_separate_tables_and_simulated_data_is_named(
    results: list[RunResult],
) -> None:
    mixed = [*results, results[0].model_copy(update={"setting": "cls", "simulated": True})]
    markdown = markdown_table(summary_rows(mixed))
    first, second = markdown.split("\n\n**toy, setting cls**")
    assert "SIMULATED" not in first
    assert "SIMULATED DATA" in second
    assert markdown.count("| chance |") == 2
    terminal = printed(mixed)
    assert terminal.count("chance") == 2
    assert terminal.count("SIMULATED DATA") == 1


def test_bad_news_stands_below_the_table(results: list[RunResult], tmp_path: Path) -> None:
    frozen = write_run(tmp_path / "f", label="frozen rule", method="zero_shot", skill=6)
    mixed = [*results, frozen]
    for text in (printed(mixed), markdown_table(summary_rows(mixed))):
        assert "below the frozen" in " ".join(text.split())


def test_names_are_no_formulas_in_a_spreadsheet_and_numbers_stay_numbers() -> None:
    cells = ['=HYPERLINK("http://x","y")', "+1 (555)", "-loud", "@home", "-0.5", "+2", "dog", -3]
    (read,) = csv.reader(io.StringIO(to_csv([cells])))
    assert read == ["'" + cell for cell in cells[:4]] + ["-0.5", "+2", "dog", "-3"]


@pytest.mark.parametrize("width", [60, 72, 80, 100, 10_000])
@pytest.mark.parametrize("seeds", [[0], [0, 1, 2]])
def test_no_word_and_no_number_is_broken(width, seeds, tmp_path):
    label = "attention_fusion, raw text of two encoders"
    results = [write_run(tmp_path / f"{s}", label=label, seed=s) for s in seeds]
    results.append(write_run(tmp_path / "f", label="zero-shot", method="zero_shot", history=1))
    rows = summary_rows(results)
    console = Console(width=width, file=io.StringIO(), highlight=False)
    console.print(rich_table(rows))
    shown = console.file.getvalue()
    words = {word for row in rows for word in row.marked_label.split()}
    assert words <= set(shown.split())
    cells = [row.cell(metric) for row in rows for metric in METRICS]
    numbers = {part for cell in cells for part in cell.split(" ± ")}
    assert numbers <= set(shown.replace("±", " ").split())
    table = shown.split("note:")[0].splitlines()
    assert max(map(len, table)) <= width
    if width > 1000:  # in a pipe: title, heading, two rows, chance
        assert len(table) == 5
