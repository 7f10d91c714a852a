"""Class names as people write them: what text encoders read."""

from __future__ import annotations

import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ezav.encoders.names import readable_name
from tests.shared_data import shared


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("BrushingTeeth", "brushing teeth"),
        ("brushingTeeth", "brushing teeth"),
        ("brushing_teeth", "brushing teeth"),
        ("brushing-teeth", "brushing teeth"),
        ("Brushing__Teeth_", "brushing teeth"),
        ("ApplyEyeMakeup", "apply eye makeup"),
        ("DJMixing", "DJ mixing"),
        ("PlayingTV", "playing TV"),
        ("Shot2Put", "shot2 put"),
        ("ÜbenMitÄpfeln", "üben mit äpfeln"),
        ("alligators, crocodiles hissing", "alligators, crocodiles hissing"),
        ("hip-hop dancing", "hip-hop dancing"),
        ("eating at McDonald", "eating at McDonald"),
        ("dog_barking loudly", "dog barking loudly"),
        ("Archery", "Archery"),
        ("CPR", "CPR"),
        ("a", "a"),
        ("_", "_"),
        ("--", "--"),
        ("", ""),
        ("犬の鳴き声", "犬の鳴き声"),
    ],
)
def test_names_of_every_style(name: str, words: str) -> None:
    assert readable_name(name) == words


@given(st.text())
def test_only_separators_and_case_change(name: str) -> None:
    def letters(text: str) -> str:
        kept = "".join(
            c for c in text if not c.isspace() and c not in "_-\N{HYPHEN}\N{NON-BREAKING HYPHEN}"
        )
        return kept.casefold()

    assert letters(readable_name(name)) == letters(name.lower()) or letters(
        readable_name(name)
    ) == letters(name)


@given(st.text(st.characters(categories=["Lu", "Ll", "Nd", "Zs", "Pc", "Pd"])))
def test_what_is_readable_stays(name: str) -> None:
    once = readable_name(name)
    if len(once.split()) > 1:
        assert readable_name(once) == once


@given(st.lists(st.from_regex(r"[A-Z][a-z]{1,8}", fullmatch=True), min_size=2, max_size=6))
def test_camel_case_is_undone(parts: list[str]) -> None:
    words = " ".join(parts).lower()
    assert readable_name("".join(parts)) == words
    assert readable_name("_".join(parts)) == words
    assert readable_name("-".join(parts)) == words


OTHERWISE = {
    "BodyWeightSquats": "Bodyweight Squats",
    "CleanAndJerk": "Weight Lifting",
    "CuttingInKitchen": "Cut Kitchen",
    "PullUps": "Pullups",
    "PushUps": "Pushups",
    "TaiChi": "Taichi",
    "WalkingWithDog": "Walk Dog",
    "YoYo": "YoYo",
}
"""Where the authors of UCF-GZSL wrote other words than the name has, to find them in word2vec."""


def test_the_101_official_names_of_ucf_as_its_authors_split_them() -> None:
    path = shared("data", "official", "UCF", "class-split", "ucf_w2v_class_names.csv")
    with path.open(encoding="utf-8-sig") as file:
        rows = [(row["original"], row["manual"]) for row in csv.DictReader(file)]
    assert len(rows) == 101
    other = {name: words for name, words in rows if readable_name(name).lower() != words.lower()}
    assert other == OTHERWISE
