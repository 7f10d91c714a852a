"""Markdown tables, read back by a reader of its own."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ezav.markdown import escaped, markdown_rows

TEXT = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"]), max_size=12)


def cells_of(line: str) -> list[str]:
    """As the specification of tables says: cells end at a pipe that no backslash precedes."""
    assert line.startswith("|")
    assert line.endswith("|")
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


@given(st.lists(st.tuples(TEXT, TEXT), max_size=4))
def test_any_text_comes_back(rows):
    lines = markdown_rows(["a", ""], [[escaped(x) for x in row] for row in rows], "lr").split("\n")
    assert lines[1] == "|---|--:|"
    assert len(lines) == 2 + len(rows)
    for line, row in zip(lines[2:], rows, strict=True):
        shown = [re.sub(r"\\(.)", r"\1", cell) for cell in cells_of(line)]
        assert shown == [" ".join(text.split()) for text in row]


def test_a_bare_pipe_and_a_newline_stay_in_their_cell():
    assert markdown_rows(["x"], [["a|b\nc"]]).splitlines()[2] == r"| a\|b c |"


def test_other_lengths_are_refused():
    with pytest.raises(ValueError, match="2 cells, the table 1"):
        markdown_rows(["x"], [["a", "b"]])
    with pytest.raises(ValueError, match="names 3 columns of 1"):
        markdown_rows(["x"], [], "lrl")
