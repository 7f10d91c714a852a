"""What the published text order gets wrong, counted on the real class tables and files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from ezav.classes import ClassEmbeddings
from ezav.errors import EzavError
from ezav.features.importers.class_split import ClassSplit, read_class_split
from ezav.features.importers.text import align_text, misassignments, published_order, read_text
from tests.features.importers.small_benchmark import write_class_split
from tests.shared_data import class_lists, published_text


def real(dataset: str, setting: str = "cls", column: str = "manual") -> ClassSplit:
    return read_class_split(class_lists(dataset), dataset, setting, column)


@pytest.mark.parametrize(
    ("dataset", "column", "everything", "test_seen", "test_unseen"),
    [
        ("vggsound", "manual", (205, 309), (135, 207), (38, 64)),
        ("ucf", "manual", (79, 101), (31, 42), (4, 6)),
        ("activitynet", "manual", (8, 200), (7, 150), (1, 48)),
        ("ucf", "clip_class_name", (0, 101), (0, 42), (0, 6)),
    ],
)
def test_counts_on_the_real_tables(
    dataset: str,
    column: str,
    everything: tuple[int, int],
    test_seen: tuple[int, int],
    test_unseen: tuple[int, int],
) -> None:
    rows = {r.split: (r.wrong, r.classes) for r in misassignments(real(dataset, column=column))}
    assert rows["all"] == everything
    assert rows["test_seen"] == test_seen
    assert rows["test_unseen"] == test_unseen


def test_clean_and_jerk_is_given_cliff_diving() -> None:
    assert published_order(real("ucf"))["CleanAndJerk"] == "CliffDiving"


@pytest.mark.parametrize(
    ("dataset", "file"),
    [
        ("ucf", "word2vec/word_embeddings_ucf_normed.npy"),
        ("vggsound", "word2vec/word_embeddings_vggsound_normed.npy"),
        ("activitynet", "word2vec/word_embeddings_activity_normed.npy"),
        ("vggsound", "clap/wavcaps_word_embeddings_vggsound_normed.npy"),
        ("activitynet", "clip/word_embeddings_activitynet_normed.npy"),
    ],
)
def test_rows_of_the_real_text_files(dataset: str, file: str) -> None:
    """By name each class has its own vector; published, what sorting by manual name gives."""
    path = published_text(*file.split("/"))
    classes = real(dataset)
    rows = np.load(path, allow_pickle=True).item()  # our own file, not a user's
    text = read_text(path, "text")
    by_name = align_text(text, classes, "by_name")
    for name, vector in zip(by_name.names, by_name.vectors, strict=True):
        theirs = torch.from_numpy(rows[classes.text_names[name]])
        assert torch.allclose(vector, theirs / theirs.norm(), atol=1e-6), name
    matrix = np.stack([rows[key] for key in sorted(rows)])
    label = {name: row for row, name in enumerate(sorted(classes.text_names))}
    published = align_text(text, classes, "published")
    for name, vector in zip(published.names, published.vectors, strict=True):
        theirs = torch.from_numpy(matrix[label[name]])
        assert torch.allclose(vector, theirs / theirs.norm(), atol=1e-6), name
    same = torch.isclose(by_name.vectors, published.vectors).all(dim=1)
    given = published_order(classes)
    assert [bool(x) for x in same] == [given[name] == name for name in by_name.names]
    assert by_name.settings["text_alignment"] == "by_name"
    assert by_name.settings["text_names"][by_name.names[0]] == classes.text_names[by_name.names[0]]


def test_real_lists_resolve_their_one_odd_spelling() -> None:
    classes = real("ucf")
    assert classes.variants == {"HandStandPushups": "HandstandPushups"}
    assert len(classes.used) == 48
    assert len(real("ucf", "main").used) == 51
    assert not real("vggsound").variants
    assert len(real("vggsound").splits["test_unseen"]) == 64


def small(tmp_path: Path) -> ClassSplit:
    return read_class_split(write_class_split(tmp_path / "class-split"), "ucf", "cls")


def text_of(classes: ClassSplit) -> dict[str, torch.Tensor]:
    names = classes.text_names.values()
    return {name: torch.randn(4, generator=torch.Generator().manual_seed(7)) for name in names}


def test_missing_and_surplus_text_rows_are_named(tmp_path: Path) -> None:
    classes = small(tmp_path)
    rows = text_of(classes)
    less = {name: row for name, row in rows.items() if name != "Weight Lifting"}
    with pytest.raises(EzavError, match=r"no row 'Weight Lifting' \(for the class 'CleanAndJerk'"):
        align_text(ClassEmbeddings.from_mapping(less), classes)
    more = {**rows, "Rock Climbing": torch.ones(4)}
    with pytest.raises(EzavError, match="a row 'Rock Climbing' that is no class"):
        align_text(ClassEmbeddings.from_mapping(more), classes)


@pytest.mark.parametrize(
    ("file", "text", "word"),
    [
        ("cls_split/stage_1_train.txt", "Archery\nRowing\n", "'Rowing', which all_class.txt"),
        ("cls_split/stage_1_train.txt", "Archery\narchery\n", "'Archery' twice"),
        ("cls_split/stage_1_train.txt", "\n", "is empty"),
        ("all_class.txt", "Archery\nArchery\n", "twice"),
        ("ucf_w2v_class_names.csv", "original,manual\nArchery,Archery\n", "'BandMarching'"),
        ("ucf_w2v_class_names.csv", "class,name\nArchery,Archery\n", "columns original,manual"),
    ],
)
def test_broken_class_lists_are_named(tmp_path: Path, file: str, text: str, word: str) -> None:
    folder = write_class_split(tmp_path / "class-split")
    (folder / file).write_text(text)
    with pytest.raises(EzavError, match=word):
        read_class_split(folder, "ucf", "cls")
    (folder / file).unlink()
    with pytest.raises(EzavError, match=r"no (class list|table)"):
        read_class_split(folder, "ucf", "cls")


def test_a_spelling_that_fits_two_classes_is_refused() -> None:
    classes = ClassSplit({"Yo Yo": "a", "YoYo": "b"}, {}, {})
    assert classes.resolve("YoYo") == "YoYo"
    with pytest.raises(EzavError, match="may mean 'Yo Yo' or 'YoYo'"):
        classes.resolve("yoyo")
