"""Every door that a name or a table written by a person comes in by: one way of reading them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

from ezav.answers import corrections
from ezav.answers.media import media_files
from ezav.classes.embeddings import ClassEmbeddings
from ezav.encoders.descriptions import read_descriptions
from ezav.encoders.overlap import read_labels
from ezav.errors import EzavError
from ezav.extraction import list_videos
from ezav.features.importers.class_split import LISTS, read_class_split, read_table
from ezav.features.importers.files import _class_files
from ezav.features.importers.text import read_text
from ezav.features.sources import read_sources

Door = Callable[[Path, Sequence[str]], Sequence[str]]


def _write(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _folders(root: Path, names: Sequence[str]) -> Sequence[str]:
    for at, name in enumerate(names):
        _write(root / "videos" / name / f"{at}.mp4")
    return list_videos(root / "videos").classes


def _manifest(root: Path, names: Sequence[str]) -> Sequence[str]:
    rows = (f"{at}.mp4,{name}" for at, name in enumerate(names))
    return list_videos(_write(root / "m.csv", "path,class", *rows)).classes


def _groups(root: Path, names: Sequence[str]) -> Sequence[str]:
    rows = (f"{at}.mp4,{name}" for at, name in enumerate(names))
    return list(read_sources(_write(root / "g.csv", "path,source", *rows)).values())


def _answers(root: Path, names: Sequence[str]) -> Sequence[str]:
    rows = (f"{at}.mp4,{name}" for at, name in enumerate(names))
    return [one.correct for one in corrections(_write(root / "a.csv", "file,correct", *rows))]


def _described(root: Path, names: Sequence[str]) -> Sequence[str]:
    rows = (f"{name},a thing" for name in names)
    return list(read_descriptions(_write(root / "d.csv", "name,description", *rows)))


def _described_in_yaml(root: Path, names: Sequence[str]) -> Sequence[str]:
    rows = (f"? {name!a}\n: a thing".replace("'", '"') for name in names)
    return list(read_descriptions(_write(root / "d.yaml", *rows)))


def _labels(root: Path, names: Sequence[str]) -> Sequence[str]:
    return read_labels(_write(root / "l.csv", "name", *names))


def _class_lists(root: Path, names: Sequence[str]) -> Sequence[str]:
    _write(root / "all_class.txt", *names)
    rows = (f"{name},{name}" for name in names)
    _write(root / "ucf_w2v_class_names.csv", "original,manual", *rows)
    for part in LISTS.values():
        _write(root / "cls_split" / f"{part}.txt", *names)
    return read_class_split(root, "ucf", "cls").splits["train"]


def _class_files_of(root: Path, names: Sequence[str]) -> Sequence[str]:
    for name in names:
        _write(root / f"{name}.h5")
    return list(_class_files(root, ".h5"))


def _text_file(root: Path, names: Sequence[str]) -> Sequence[str]:
    vectors = torch.eye(len(names), 4)
    ClassEmbeddings(tuple(names), vectors, "word2vec").save(root / "t.safetensors")
    return read_text(root / "t.safetensors", "word2vec").names


DOORS: list[Door] = [
    _folders,
    _manifest,
    _groups,
    _answers,
    _described,
    _described_in_yaml,
    _labels,
    _class_lists,
    _class_files_of,
    _text_file,
]
OF_CLASSES = [door for door in DOORS if door not in (_groups, _answers, _labels)]
"""Where two names are two classes; labels are looked at when their encoder is used."""


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    "written",
    [
        "dog\u200b barking",
        "\ufeffdog barking",
        "dog\u00a0barking",
        "dog\u2003 barking",
        "dog\u00ad barking",
    ],
)
def test_what_cannot_be_seen_is_gone(tmp_path: Path, door: Door, written: str) -> None:
    assert sorted(door(tmp_path, [written, "cafe\u0301"])) == ["café", "dog barking"]


@pytest.mark.parametrize("door", OF_CLASSES)
@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        ("dog", "\uff44og", "FULLWIDTH LATIN SMALL LETTER D"),
        ("Dog", "dog", "two names of one class"),
        ("dog_barking", "dog barking", "two names of one class"),
    ],
)
def test_names_of_one_class_are_refused(
    tmp_path: Path, door: Door, one: str, other: str, said: str
) -> None:
    with pytest.raises(EzavError, match=said) as error:
        door(tmp_path, [one, other])
    assert "\n" not in str(error.value)


TABLES: dict[str, tuple[tuple[str, str], Callable[[Path], Sequence[str]]]] = {
    "manifest": (("path", "class"), lambda f: [one.class_name for one in list_videos(f).items]),
    "clips": (("path", "note"), lambda f: ["dog", "cat"][: len(media_files([f]))]),
    "groups": (("path", "source"), lambda f: list(read_sources(f).values())),
    "answers": (("file", "correct"), lambda f: [one.correct for one in corrections(f)]),
    "descriptions": (
        ("name", "description"),
        lambda f: [text for several in read_descriptions(f).values() for text in several],
    ),
    "labels": (("index", "name"), read_labels),
    "class names": (
        ("original", "manual"),
        lambda f: [row["manual"] for row in read_table(f, "original", "manual")],
    ),
}


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize(
    "style",
    [
        "{a},{b}\na.mp4,dog\nb.mp4,cat\n",
        "\ufeff{a},{b}\r\na.mp4,dog\r\nb.mp4,cat\r\n",
        "{A},{b}\na.mp4,dog\nb.mp4,cat\n",
        "{a}\u200b, {B} \na.mp4,dog\nb.mp4,cat\n",
        "{a};{b}\na.mp4;dog\nb.mp4;cat\n",
        '"{a}";"{b}"\n"a.mp4";"dog"\n"b.mp4";"cat"\n',
        "{a},{b}\na.mp4,dog\n\ufeff{A},{B}\nb.mp4,cat\n",
        "{wide},{b}\na.mp4,dog\nb.mp4,cat\n",
    ],
)
def test_tables_as_spreadsheets_write_them(tmp_path: Path, table: str, style: str) -> None:
    (first, second), read = TABLES[table]
    wide = "".join(chr(ord(letter) + 0xFEE0) for letter in first)
    text = style.format(a=first, b=second, A=first.upper(), B=second.title(), wide=wide)
    file = tmp_path / "table.csv"
    file.write_text(text, encoding="utf-8", newline="")
    assert list(read(file)) == ["dog", "cat"]


@pytest.mark.parametrize("table", [name for name in TABLES if name != "descriptions"])
def test_decimal_commas_stay_within_their_cell(tmp_path: Path, table: str) -> None:
    (first, second), read = TABLES[table]
    file = _write(tmp_path / "t.csv", f"margin;{first};{second}", "0,25;a.mp4;dog", "1,5;b.mp4;cat")
    assert list(read(file)) == ["dog", "cat"]


@pytest.mark.parametrize("table", [n for n in TABLES if n not in ("descriptions", "clips")])
def test_a_decimal_comma_that_splits_a_row_is_told(tmp_path: Path, table: str) -> None:
    (first, second), read = TABLES[table]
    file = _write(tmp_path / "t.csv", f"{first},{second},margin", "a.mp4,dog,0,25")
    with pytest.raises(EzavError, match=r"line 2 of .* has too many columns"):
        read(file)


def test_a_description_may_have_semicolons(tmp_path: Path) -> None:
    file = _write(tmp_path / "d.csv", "dog,it barks; it runs; it sleeps", "cat,it purrs")
    expected = {"dog": ("it barks; it runs; it sleeps",), "cat": ("it purrs",)}
    assert read_descriptions(file) == expected
