"""What a report says in words, and the map with its legend."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

from ezav.reports import write_report
from ezav.reports.figures.tsne import clip_map
from ezav.reports.runs import Run, label_runs
from tests.reports.fake_runs import write_run
from tests.reports.page_reader import Page

SVG = "{http://www.w3.org/2000/svg}"


def words(folder: Path) -> str:
    return " ".join(Page(write_report([folder], folder / "r.html").read_text()).text.split())


def test_it_says_what_it_is_better_than(tmp_path: Path) -> None:
    many = {"clips_per_class": 12, "skill": 1.0, "source": "raw"}
    write_run(tmp_path / "closed", method="eszsl", label="ESZSL", **many)
    write_run(tmp_path / "frozen", method="zero_shot", label="frozen", **many)
    write_run(tmp_path / "ours", label="ours", **{**many, "skill": 4.0})
    said = words(tmp_path)
    assert (
        "'ours' is better than guessing, the closed form 'ESZSL' and the frozen row 'frozen'."
    ) in said
    assert "NO BETTER" not in said


def test_it_says_what_it_is_not_better_than(tmp_path: Path) -> None:
    many = {"clips_per_class": 12, "source": "raw"}
    write_run(tmp_path / "frozen", method="zero_shot", label="frozen", skill=6.0, **many)
    write_run(tmp_path / "ours", label="ours", skill=2.0, **many)
    said = words(tmp_path)
    assert "'ours' is better than guessing. It was right for" in said
    assert "NO BETTER THAN the frozen row 'frozen'" in said


def test_the_closed_form_itself_is_said_to_be_it(tmp_path: Path) -> None:
    write_run(tmp_path / "closed", method="eszsl", label="ESZSL", skill=5.0, source="raw")
    assert "It is the closed form itself" not in words(tmp_path)
    write_run(tmp_path / "ours", label="ours", skill=1.0)
    assert "It is the closed form itself: no other trained row validates better." in words(tmp_path)


def test_every_number_on_the_map_has_its_name_beside_it(tmp_path: Path) -> None:
    names = [f"kind {chr(97 + i)}" for i in range(9)]
    write_run(tmp_path / "run", names=names, unseen=3)
    run = Run.read(tmp_path / "run")
    found = clip_map(label_runs([run])[0])
    assert found is not None
    drawn, legend = (
        [text.text or "" for text in ElementTree.fromstring(picture.svg).iter(f"{SVG}text")]
        for picture in found.pictures
    )
    numbers = [str(number) for number in range(1, 10)]
    assert sorted(text for text in drawn if text.isdecimal()) == numbers
    seen = [name for name in names if name in run.result.candidates["seen"]]
    unseen = [f"{name}  (unseen)" for name in names if name not in seen]
    assert dict(zip(legend[::2], legend[1::2])) == dict(zip(numbers, seen + unseen))
