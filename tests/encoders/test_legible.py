"""Names that a text encoder cannot read, or cannot tell apart, are told."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import normalize

from ezav.classes.geometry import COINCIDENT
from ezav.encoders.legible import ALIKE, alike, remarks
from ezav.encoders.text import load_text_encoder
from tests.shared_data import shared


def test_names_outside_the_vocabulary() -> None:
    encoder = load_text_encoder()
    names = ["ឆ្កែ", "ឆ្មា", "violin", "dog"]
    told = remarks(encoder, names, encoder.encode(names))
    assert [line.split(":")[0] for line in told[:2]] == ["'ឆ្កែ'", "'ឆ្មា'"]
    assert "'ឆ្កែ', 'ឆ្មា' are one vector" in told[2]
    assert len(told) == 3


def test_names_that_are_cut_before_they_differ() -> None:
    encoder = load_text_encoder()
    long = "the sound of an animal somewhere in a park " * 40
    names = [long + "dog barks", long + "violin", "dog"]
    told = remarks(encoder, names, encoder.encode(names))
    assert sum("only the first" in line for line in told) == 2
    assert "one vector" in told[-1]


def test_the_reported_names() -> None:
    encoder = load_text_encoder()
    for folder, file in (
        ("14-names-unknown-to-the-encoder", "odd_names.txt"),
        ("15-text-cut-in-silence", "cn.txt"),
    ):
        text = shared("data", "reported", folder, file).read_text(encoding="utf-8")
        names = [line for line in text.splitlines() if line.strip()]
        assert remarks(encoder, names, encoder.encode(names))


def test_ordinary_names_are_left_alone() -> None:
    encoder = load_text_encoder()
    names = ["dog barking", "playing the violin", "Skateboarding", "tai chi"]
    assert remarks(encoder, names, encoder.encode(names)) == []


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30), st.integers(0, 100))
def test_alike_finds_what_a_loop_finds(which: list[int], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    rows = normalize(torch.randn(6, 4, generator=generator), dim=1)[which]
    groups: dict[int, list[int]] = {}
    for row, kind in enumerate(which):
        groups.setdefault(kind, []).append(row)
    expected = sorted(group for group in groups.values() if len(group) > 1)
    assert alike(rows) == expected


def test_rows_that_differ_by_rounding_are_one_vector() -> None:
    generator = torch.Generator().manual_seed(0)
    t = normalize(torch.randn(40, 8, generator=generator), dim=1)
    near = normalize(t[3] + 2e-5 * torch.randn(8, generator=generator), dim=0)
    far = normalize(t[4] + 1e-2 * torch.randn(8, generator=generator), dim=0)
    assert alike(torch.stack([*t, near, far])) == [[3, 40]]


def test_what_is_told_apart_is_what_class_embedding_optimization_keeps_together() -> None:
    assert ALIKE == COINCIDENT
