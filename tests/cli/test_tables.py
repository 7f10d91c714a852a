"""Tables for people: a row a line in pipes, whole words on any terminal."""

from __future__ import annotations

import pytest

from ezav.cli.main import main
from ezav.cli.tables import laid_out
from ezav.encoders.registry import cards
from ezav.methods import registry

COLUMNS = ["name", "year", "paper"]
ROWS = [
    ["sje", "2015", "Akata, Reed and others, a-very-long-hyphenated-word-of-fifty-letters-and-mo"],
    ["视听", "2022", "Mercea"],
    ["none", "2025", ""],
]


@pytest.mark.parametrize("width", [10, 24, 40, 80, 200, None])
def test_every_word_stays_whole_at_every_width(width):
    lines = [line for line, _ in laid_out(COLUMNS, ROWS, 2, width)]
    words = {word for row in [COLUMNS, *ROWS] for cell in row for word in cell.split()}
    assert words - {"paper"} <= {word for line in lines for word in line.split()}


def test_columns_of_wide_letters_stand_in_line():
    lines = [line for line, _ in laid_out(COLUMNS, ROWS, 2, None)]
    assert lines[2] == "视听  2022  Mercea"  # each letter is two columns wide
    assert lines[3] == "none  2025"


def test_a_row_is_a_line_where_there_is_room():
    assert len(laid_out(COLUMNS, ROWS, 2, 200)) == len(laid_out(COLUMNS, ROWS, 2, None)) == 4
    assert len(laid_out(COLUMNS, ROWS, 2, 40)) > 4


def test_methods_in_a_pipe_are_a_line_each(capsys):
    assert main(["methods"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for name in registry.names():
        (line,) = [line for line in lines if line.split()[:1] == [name]]
        card = registry.get(name).card
        assert card.paper in line
        assert card.parity in line


def test_encoders_in_a_pipe_are_a_line_each(capsys):
    assert main(["encoders"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for card in cards():
        (line,) = [line for line in lines if line.split()[:2] == [card.kind, card.name]]
        assert card.licence in line
        assert card.source in line
        assert all(data in line for data in card.trained_on)
