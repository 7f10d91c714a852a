"""Tables of answers against the recogniser's own answers, one file at a time."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyarrow import parquet

from ezav.answers import AnswerSettings, answer_files, correct
from ezav.answers.row import COLUMNS
from ezav.cli.main import main
from ezav.errors import EzavError, RefusedError
from ezav.recognizer import Recognizer
from tests.recognizer.small_run import write_video

Lights = tuple[Path, Path]
NAMES = ["a red lamp", "night", "blue light"]


@pytest.fixture
def folder(lights: Lights, tmp_path: Path) -> Path:
    """Ten of the videos, two folders deep, and a file that is none."""
    inside = tmp_path / "videos"
    for at, clip in enumerate(sorted(lights[0].glob("*/*.mp4"))[::3][:9]):
        place = inside / "deep" / clip.parent.name if at % 2 else inside
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(clip, place / f"{at}.mp4")
    (inside / "broken.mp4").write_bytes(b"no film")
    (inside / "notes.txt").write_text("not asked for")
    return inside


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def readings(recognizer: Recognizer, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are read from now on."""
    read: list[str] = []
    each = recognizer.reader.each

    def noted(paths, workers=None, look=None) -> Iterator:
        read.extend(Path(path).name for path in paths)
        return each(paths, workers, look)

    monkeypatch.setattr(recognizer.reader, "each", noted)
    return read


def test_every_format_says_what_predict_says_file_by_file(
    sure: Recognizer, folder: Path, tmp_path: Path
) -> None:
    outs = [tmp_path / f"answers{ending}" for ending in (".csv", ".json", ".parquet")]
    settings = AnswerSettings(workers=2)
    found = answer_files(sure, [folder], outs, settings=settings)
    assert (found.files, found.read, found.earlier) == (10, 10, 0)
    rows = table(outs[0])
    assert tuple(rows[0]) == COLUMNS
    files = sorted(p for p in folder.rglob("*.mp4"))
    assert sorted(row["file"] for row in rows) == sorted(
        p.relative_to(tmp_path).as_posix() for p in files
    )
    for row, of_json, of_parquet in zip(
        rows, json.loads(outs[1].read_text()), parquet.read_table(outs[2]).to_pylist(), strict=True
    ):
        (said,) = sure.predict(tmp_path / row["file"])
        assert row["among"] == "run"
        if said.error:
            assert (row["file"], row["error"]) == ("videos/broken.mp4", said.error)
            assert row["answer"] == row["probability"] == ""
            assert (of_json["probability"], of_parquet["probability"]) == (None, None)
            continue
        first, second = said.ranked[:2]
        assert (row["answer"], row["kind"], row["runner_up"]) == (
            first.name,
            first.kind,
            second.name,
        )
        assert of_json["probability"] == pytest.approx(first.probability, abs=1e-5)
        assert row["probability"] == (
            "" if first.probability is None else f"{of_json['probability']:.6f}"
        )
        assert float(row["margin"]) == pytest.approx(first.score - second.score, abs=1e-4)
        assert row["none_of_these"] == ("yes" if said.rejected else "no")
        assert of_json == of_parquet
        assert of_json["answer"] == row["answer"]
        assert of_json["none_of_these"] is said.rejected
    assert found.unread == {"videos/broken.mp4": next(r["error"] for r in rows if r["error"])}
    wanted = [row["answer"] for row in rows if row["answer"]]
    assert found.counts == {"run": {name: wanted.count(name) for name in set(wanted)}}


def test_the_same_call_reads_nothing_and_leaves_the_tables_alone(
    sure: Recognizer, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outs = [tmp_path / "a.csv", tmp_path / "a.html"]
    answer_files(sure, [folder], outs)
    before = [(out.stat().st_mtime_ns, out.read_bytes()) for out in outs]
    read = readings(sure, monkeypatch)
    again = answer_files(sure, [folder], outs)
    assert (read, again.read, again.earlier, again.written) == ([], 0, 10, ())
    assert [(out.stat().st_mtime_ns, out.read_bytes()) for out in outs] == before
    outs[0].unlink()
    assert answer_files(sure, [folder], outs).written == (outs[0],)
    assert outs[0].read_bytes() == before[0][1]
    assert read == []


def test_what_changed_is_read_again_and_nothing_else(
    sure: Recognizer, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "a.csv"
    answer_files(sure, [folder], [out])
    write_video(folder / "broken.mp4", ["red light"])
    write_video(folder / "new.mp4", ["blue light"])
    (folder / "0.mp4").unlink()
    read = readings(sure, monkeypatch)
    answer_files(sure, [folder], [out])
    assert sorted(read) == ["broken.mp4", "new.mp4"]
    said = {row["file"]: row["answer"] for row in table(out)}
    assert said["videos/broken.mp4"] == "red light"
    assert said["videos/new.mp4"] == "blue light"
    assert "videos/0.mp4" not in said
    assert len(said) == 10


def test_several_lists_are_answered_of_one_reading(
    sure: Recognizer, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = readings(sure, monkeypatch)
    out = tmp_path / "a.csv"
    answer_files(sure, [folder], [out], {"run": None, "mine": NAMES})
    assert len(read) == len(set(read)) == 10
    for row in table(out):
        names = NAMES if row["among"] == "mine" else None
        (said,) = sure.predict(tmp_path / row["file"], classes=names)
        assert row["answer"] == ("" if said.error else said.best.name)
    assert answer_files(sure, [folder], [out], {"mine": NAMES}).anew


def test_an_interrupted_call_goes_on(
    sure: Recognizer, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ezav.answers.work._BATCH", 1)

    def stop(done: int, total: int, unread: bool) -> None:
        if done == 4:
            raise KeyboardInterrupt

    out = tmp_path / "a.csv"
    with pytest.raises(KeyboardInterrupt):
        answer_files(sure, [folder], [out], on_progress=stop)
    assert not out.exists()
    read = readings(sure, monkeypatch)
    found = answer_files(sure, [folder], [out])
    assert (len(read), found.earlier) == (6, 4)
    answer_files(sure, [folder], [tmp_path / "whole.csv"])
    assert out.read_text() == (tmp_path / "whole.csv").read_text()


def test_a_killed_call_goes_on(
    sure: Recognizer, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ezav.answers.work._BATCH", 1)
    out = tmp_path / "a.csv"
    child = os.fork()
    if child == 0:
        try:
            answer_files(
                sure,
                [folder],
                [out],
                on_progress=lambda done, *_: (
                    os.kill(os.getpid(), signal.SIGKILL) if done == 3 else None
                ),
            )
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)
    journal = tmp_path / "a.csv.journal"
    with journal.open("ab") as file:  # what a kill in the middle of a line leaves
        file.write(b'{"file": "videos/1.mp4", "sta')
    found = answer_files(sure, [folder], [out])
    assert (found.read, found.earlier) == (7, 3)
    answer_files(sure, [folder], [tmp_path / "whole.csv"])
    assert out.read_text() == (tmp_path / "whole.csv").read_text()


def test_corrections_stay_when_answers_are_made_anew(
    sure: Recognizer, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "a.csv"
    answer_files(sure, [folder], [out])
    correct(out, {"videos/0.mp4": "a lighthouse"})
    answer_files(sure, [folder], [out], {"mine": NAMES})
    said = {row["file"]: row["correct"] for row in table(out)}
    assert said.pop("videos/0.mp4") == "a lighthouse"
    assert set(said.values()) == {""}
    before = out.read_text()
    with pytest.raises(RefusedError, match=r"'videos/0\.mp4', which is not among these clips"):
        answer_files(sure, [folder / "deep"], [out], {"mine": NAMES})
    assert out.read_text() == before


def test_what_is_not_ours_is_left_alone(sure: Recognizer, folder: Path, tmp_path: Path) -> None:
    foreign = tmp_path / "a.csv"
    foreign.write_text("name,age\nAda,36\n")
    with pytest.raises(RefusedError, match="is there and is no table of answers"):
        answer_files(sure, [folder], [foreign])
    assert foreign.read_text() == "name,age\nAda,36\n"
    (tmp_path / "b.csv.journal").write_text("dear diary\n")
    with pytest.raises(EzavError, match="no journal of answers"):
        answer_files(sure, [folder], [tmp_path / "b.csv"])
    assert (tmp_path / "b.csv.journal").read_text() == "dear diary\n"


def test_nothing_to_read_is_one_line_and_writes_nothing(sure: Recognizer, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "list.csv").write_text("path\n../elsewhere.mp4\n")
    out = tmp_path / "a.csv"
    for media, message in (
        ([tmp_path / "empty"], "holds no recordings"),
        ([tmp_path / "none.csv"], "there is no manifest"),
        ([tmp_path / "list.csv"], "leads out of the manifest's folder"),
        ([], "no clips are given"),
    ):
        with pytest.raises(EzavError, match=message):
            answer_files(sure, media, [out])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "list.csv"]


def test_a_manifest_lists_files_beside_it(sure: Recognizer, folder: Path, tmp_path: Path) -> None:
    (folder / "some.csv").write_text("path,class\n0.mp4,whatever\nbroken.mp4,else\n")
    answer_files(sure, [folder / "some.csv"], [tmp_path / "a.csv"])
    said = [row["file"] for row in table(tmp_path / "a.csv")]
    assert said == ["videos/0.mp4", "videos/broken.mp4"]


def test_the_command_writes_tables_and_goes_on_after_an_interrupt(
    lights: Lights,
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "a.csv"
    words = ["predict", str(lights[1]), str(folder), "--import", "--out", str(out), "--json"]
    with monkeypatch.context() as patched:
        patched.setattr("ezav.answers.table.write_text", _interrupt)
        assert main([*words[:-1], "--classes", "red light", "night"]) == 130
    assert "what was finished is kept" in capsys.readouterr().err
    assert not out.exists()
    assert main([*words, "--classes", "red light", "night"]) == 1  # one file is no recording
    told = json.loads(capsys.readouterr().out)
    assert told["answered"]["read"] == 0
    assert told["answered"]["earlier"] == 10
    assert list(told["answered"]["unread"]) == ["videos/broken.mp4"]
    assert {row["answer"] for row in table(out)} <= {"red light", "night", ""}


def test_several_lists_want_a_table(lights: Lights, folder: Path, capsys) -> None:
    lists = ["--classes", "red light", "night", "--classes", "dark room"]
    assert main(["predict", str(lights[1]), str(folder), *lists]) == 1
    assert "2 lists of names are given; name a table with --out" in capsys.readouterr().err


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
