"""Names that look the same are the same; what cannot be seen acts nowhere."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ezav.errors import EzavError
from ezav.naming import clean, refuse_twins, same, shown

INVISIBLE = ["\u200b", "\ufeff", "\u2060", "\u00ad", "\x00", "\x1b", "\u200e", "\u202e"]
words = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=8)


@given(words, st.sampled_from(INVISIBLE), st.integers(0, 8))
def test_what_cannot_be_seen_makes_no_other_name(word: str, letter: str, at: int) -> None:
    assert clean(word[:at] + letter + word[at:]) == clean(word)


@given(st.text())
def test_clean_is_done_once_and_printable(name: str) -> None:
    once = clean(name)
    assert clean(once) == once
    assert unicodedata.is_normalized("NFC", once)
    assert once == " ".join(once.split())


@given(words, words, st.sampled_from([" ", "\u00a0", "\u3000", "_", "\t", "  "]))
def test_spaces_of_all_kinds_are_one(first: str, second: str, space: str) -> None:
    assert same(first + space + second) == same(f"{first} {second}")


@given(st.text(st.characters(categories=["L"]), min_size=1))
def test_composed_and_decomposed_are_one(name: str) -> None:
    assert same(unicodedata.normalize("NFD", name)) == same(unicodedata.normalize("NFC", name))


@pytest.mark.parametrize(
    ("one", "other", "told"),
    [
        ("dog", "DOG", "'dog' and 'DOG'"),
        ("dog", "ｄｏｇ", "FULLWIDTH"),
        ("ﬁre", "fire", "LIGATURE"),
    ],
)
def test_twins_are_refused_with_their_difference(one: str, other: str, told: str) -> None:
    with pytest.raises(EzavError, match=told):
        refuse_twins([one, other])


def test_joiners_stay_where_scripts_need_them() -> None:
    persian = "می‌خواهم"
    assert clean(persian) == persian
    assert clean("dog\u200dbarks") == "dogbarks"


@given(st.text())
def test_nothing_shown_acts(name: str) -> None:
    kinds = {unicodedata.category(letter) for letter in shown(name).replace("\u200d", "")}
    assert not kinds & {"Cc", "Zl", "Zp", "Cs"}
    assert "\u202e" not in shown(name)
