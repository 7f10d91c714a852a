"""The overlap report and the table of the encoders."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ezav.cli.main import main
from ezav.encoders.overlap import find_overlap, known_labels, read_labels
from ezav.encoders.registry import cards
from ezav.errors import EzavError
from tests.encoders import checkpoints
from tests.shared_data import class_lists

KINETICS = ["playing guitar", "applying cream", "riding a bike", "running on treadmill", "dunking"]


@pytest.mark.parametrize(
    ("name", "label", "kind"),
    [
        ("PlayingGuitar", "playing guitar", "same"),
        ("apply_cream", "applying cream", "same"),
        ("Riding bikes", "riding a bike", "same"),
        ("run on a treadmill", "running on treadmill", "same"),
        ("basketball dunking", "dunking", "part"),
        ("treadmill", "running on treadmill", "part"),
        ("playing chess", None, None),
        ("running", "running on treadmill", "part"),
        ("sea waves", None, None),
        ("playing", None, None),
    ],
)
def test_names_meet_by_their_words(name: str, label: str | None, kind: str | None) -> None:
    found = [(match.label, match.kind) for match in find_overlap([name], KINETICS)]
    assert found == ([] if label is None else [(label, kind)])


def test_labels_come_from_many_kinds_of_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Dog\n\nBark\nDog\n")
    (tmp_path / "b.csv").write_text(
        'index,mid,display_name\n0,/m/0,"Male speech, man"\n1,/m/1,Dog\n'
    )
    (tmp_path / "c.json").write_text('["Dog", "Bark"]')
    assert read_labels(tmp_path / "a.txt") == ("Dog", "Bark")
    assert read_labels(tmp_path / "b.csv") == ("Male speech, man", "Dog")
    assert read_labels(tmp_path / "c.json") == ("Dog", "Bark")
    folder = checkpoints.ast(tmp_path / "model")
    with pytest.raises(EzavError, match="holds no labels"):
        read_labels(folder)  # LABEL_0, LABEL_1 name nothing
    config = json.loads((folder / "config.json").read_text())
    config["id2label"] = {"0": "Bark", "1": "Speech"}
    (folder / "config.json").write_text(json.dumps(config))
    assert read_labels(folder) == ("Bark", "Speech")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("e.txt", " \n"),
        ("f.csv", "id,mid\n1,2\n"),
        ("g.json", "{"),
        ("h.json", "[1]"),
        ("i.json", '{"id2label": 3}'),
        ("j.json", "[" * 100_000),
    ],
)
def test_files_without_labels_are_refused(name: str, content: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(EzavError):
        read_labels(tmp_path / name)
    with pytest.raises(EzavError, match="cannot read"):
        read_labels(tmp_path / "absent.txt")


def test_the_table_lists_every_encoder(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["encoders", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["encoders"]
    assert [(row["kind"], row["name"]) for row in rows] == [(c.kind, c.name) for c in cards()]
    assert main(["encoders", "table", "--kind", "audio", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["encoders"]
    assert {row["kind"] for row in rows} == {"audio"}
    assert main(["encoders"]) == 0
    text = capsys.readouterr().out
    assert "statistics" in text
    assert "vjepa2" in text


def test_the_overlap_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    classes, labels = tmp_path / "classes.txt", tmp_path / "labels.txt"
    classes.write_text("dog barking\nsea waves\nplaying guitar\n")
    labels.write_text("Bark\nPlaying guitar\nSpeech\n")
    call = ["encoders", "overlap", "clip", "--classes", str(classes)]
    assert main([*call, "--labels", str(labels), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert [(m["class_name"], m["kind"]) for m in result["overlap"]] == [
        ("dog barking", "part"),
        ("playing guitar", "same"),
    ]
    assert (result["seen"], result["labels"]) == (1, {str(labels): 3})
    assert result["unknown"] == result["trained_on"] != []
    assert main([*call, "--labels", str(labels)]) == 0
    assert "2 of 3 classes" in capsys.readouterr().out
    assert main(call) == 0
    assert "is not known" in capsys.readouterr().out.replace("\n", " ")
    assert main(["encoders", "overlap", "asd", "--classes", str(classes)]) == 1
    assert main(["encoders", "overlap", "statistics", "--classes", str(classes)]) == 0
    assert "not learned" in capsys.readouterr().out


def test_training_data_that_is_known_is_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    classes = tmp_path / "classes.csv"  # as the published splits are: a line a clip
    classes.write_text("filename,label\na,PlayingGuitar\nb,PlayingGuitar\nc,Surfing\n")
    assert main(["encoders", "overlap", "videomae", "--classes", str(classes), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert [(m["class_name"], m["kind"]) for m in result["overlap"]] == [
        ("PlayingGuitar", "same"),
        ("Surfing", "part"),
    ]
    assert result["overlap"][0]["label"] == "playing guitar"
    assert (result["labels"], result["unknown"], result["seen"]) == ({"Kinetics-400": 400}, [], 1)
    assert main(["encoders", "overlap", "ast", "--classes", str(classes)]) == 0
    assert "AudioSet (527 labels)" in capsys.readouterr().out.replace("\n", " ")


@pytest.mark.parametrize(("name", "count"), [("AudioSet", 527), ("ImageNet-1k", 1000), ("UCS", 78)])
def test_label_lists_are_whole(name: str, count: int) -> None:
    labels = known_labels(name)
    assert len(labels) == count
    assert all(label == label.strip() != "" for label in labels)


def test_published_unseen_classes() -> None:
    """Some of UCF-GZSL's unseen classes are in Kinetics-400."""
    split = class_lists("ucf") / "cls_split" / "stage_2_test_unseen.csv"
    unseen = read_labels(split)
    found = find_overlap(unseen, known_labels("Kinetics-400"), "Kinetics-400")
    assert len(unseen) == 9
    assert [match.class_name for match in found if match.kind == "same"] == [
        "BrushingTeeth",
        "PlayingFlute",
    ]
    assert find_overlap(["Walkingthedog"], ["walking the dog"])[0].kind == "same"
