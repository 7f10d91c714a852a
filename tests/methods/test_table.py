"""`ezav methods`: every registered method with what the table promises."""

from __future__ import annotations

import json

import pytest

from ezav.cli.main import main
from ezav.methods import registry


def test_the_table_has_a_full_row_for_every_method(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["methods", "--json"]) in (0, None)
    rows = json.loads(capsys.readouterr().out)["methods"]
    assert [row["name"] for row in rows] == registry.names()
    for row in rows:
        assert all(row[key] for key in ("paper", "year", "modalities", "text", "checked_against"))
    tokens = {row["name"]: row["tokens"] for row in rows}
    assert tokens["tcaf"] == tokens["perceiver"] == tokens["attention_fusion"] == "temporal"
    assert tokens["avca"] == "pooled"
    assert tokens["blending"] == "pooled or temporal"


def test_markdown_has_a_line_a_method(capsys: pytest.CaptureFixture[str]) -> None:
    main(["methods", "--markdown"])
    lines = capsys.readouterr().out.strip().splitlines()
    assert len(lines) == 2 + len(registry.names())
    assert {line.count("|") for line in lines} == {lines[0].count("|")}
