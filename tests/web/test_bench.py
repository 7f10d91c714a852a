"""What a visitor teaches: corrected, undone, another's answers untouched; and what is refused."""

from __future__ import annotations

import csv
import io
import threading
import weakref
import zipfile
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="not installed: pip install 'ezav[web]'")

from ezav.answers import corrections
from ezav.answers.row import COLUMNS, answer_of
from ezav.answers.table import as_csv
from ezav.cli.main import main
from ezav.errors import EzavError
from ezav.media import FrameSpec, read_clip
from ezav.naming import as_html
from ezav.recognizer import Recognizer
from ezav.recognizer.encoders import RunEncoders
from ezav.web import render
from ezav.web.bench import Bench
from ezav.web.example import write_example
from ezav.web.reading import Looked
from ezav.web.server import _visitors
from ezav.web.settings import WebSettings
from ezav.web.visitors import Visitors
from tests.recognizer import small_run
from tests.waiting import MINUTES
from tests.web.asking import Visitor
from tests.web.conftest import Page


@pytest.fixture(scope="module")
def recognizer(best_run: Path) -> Iterator[Recognizer]:
    with Recognizer.load(best_run, import_code=True) as found:
        yield found


@pytest.fixture(scope="module")
def looked(recognizer: Recognizer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Looked]:
    """Lights that no run has seen, two of each; and one that it knows."""
    folder = tmp_path_factory.mktemp("lamps")
    found = {}
    for colour in ("teal", "brown", "red light"):
        small_run.COLOURS.setdefault(colour, (20, 150, 150) if colour == "teal" else (120, 70, 20))
        small_run.TONES.setdefault(colour, 2000.0 if colour == "teal" else 2500.0)
        for number in range(2):
            name = f"{colour}-{number}.mp4"
            path = small_run.write_video(folder / name, [colour])
            (encoded,) = recognizer.encode([path])
            shown = read_clip(path, video=FrameSpec.uniform(8, short_side=64), audio=16_000)
            found[name] = Looked(encoded, shown)
    for colour in ("teal", "brown"):
        del small_run.COLOURS[colour], small_run.TONES[colour]
    return found


@pytest.fixture
def visitors(recognizer: Recognizer) -> Visitors:
    return _visitors(recognizer, WebSettings(max_clips=8))


def _answers(bench: Bench) -> list[tuple[str, str]]:
    return [(row["answer"], row["kind"]) for row in bench.state()["rows"]]


def test_what_one_teaches_changes_no_others_answers(
    visitors: Visitors, recognizer: Recognizer, looked: dict[str, Looked]
) -> None:
    mine, other = visitors.bench("mine", "a"), visitors.bench("other", "a")
    for bench in (mine, other):
        for name, one in looked.items():
            bench.add(name, one)
    before = _answers(other)
    assert _answers(mine) == before
    mine.correct(1, "a teal lamp")
    mine.correct(4, "A  teal lamp")
    mine.correct(4, "")
    assert [one["name"] for one in mine.state()["pending"]] == ["a teal lamp"]
    assert _answers(mine) == before, "nothing is learned without being asked"
    (said,) = mine.teach()
    assert str(said) == "a teal lamp: a new class, 1 clip (1 added)"
    assert _answers(mine)[:2] == [("a teal lamp", "taught")] * 2
    assert _answers(other) == before
    assert _answers(visitors.bench("new", "a")) == []
    assert "a teal lamp" not in recognizer.classes
    assert recognizer.taught == {}

    taught = Recognizer(recognizer.trained, reader=recognizer.reader)
    taught.teach({"a teal lamp": [looked["teal-0.mp4"].encoded]})
    wanted = taught.predict([one.encoded for one in looked.values()])
    got = [mine.clip(number).found for number in range(1, 7)]
    for a, b in zip(got, wanted, strict=True):
        assert a is not None
        assert [(c.name, c.score) for c in a.ranked[:5]] == [
            (c.name, pytest.approx(c.score, abs=1e-4)) for c in b.ranked
        ]

    mine.rename("a teal lamp", "turquoise")
    assert _answers(mine)[0] == ("turquoise", "taught")
    mine.unlearn("turquoise")
    assert _answers(mine) != _answers(visitors.bench("mine", "a")) or mine.recognizer.taught == {}
    mine.undo()
    mine.undo()
    assert _answers(mine)[0] == ("a teal lamp", "taught")
    mine.undo()
    assert _answers(mine) == before
    assert mine.state()["pending"] == [{"name": "a teal lamp", "clips": [1]}]
    with pytest.raises(EzavError, match="nothing to undo"):
        mine.undo()


def test_what_cannot_be_taught_is_said_and_all_is_as_it_was(
    visitors: Visitors, looked: dict[str, Looked]
) -> None:
    bench = visitors.bench("a", "a")
    with pytest.raises(EzavError, match="nothing is there to learn"):
        bench.teach()
    for file in ("one.mp4", "two.mp4"):  # one clip under two names
        bench.add(file, looked["teal-0.mp4"])
    bench.correct(1, "teal")
    bench.correct(2, "petrol")
    with pytest.raises(EzavError, match=r"'two\.mp4' shows 'teal' already"):
        bench.teach()
    assert bench.recognizer.taught == {}
    assert len(bench.state()["pending"]) == 2
    bench.correct(2, "TEAL")
    (said,) = bench.teach()
    assert (said.added, said.repeated) == (1, 1)
    with pytest.raises(EzavError, match="taught as 'teal' already"):
        bench.correct(1, "petrol")
    with pytest.raises(EzavError, match="another class"):
        bench.rename("teal", "red light")
    with pytest.raises(EzavError, match="no clip was shown of 'red light'"):
        bench.unlearn("red light")
    bench.add("broken.mp4", EzavError("not a media file"))
    with pytest.raises(EzavError, match="teach nothing"):
        bench.correct(3, "teal")
    with pytest.raises(EzavError):
        bench.correct(2, "x" * 900)
    for _ in range(5):
        bench.add("more.mp4", looked["brown-0.mp4"])
    with pytest.raises(EzavError, match="the table is full: 8 clips"):
        bench.add("one more.mp4", looked["brown-0.mp4"])
    bench.remove([3])
    bench.add("one more.mp4", looked["brown-0.mp4"])
    with pytest.raises(EzavError, match="one class"):
        bench.ask("red light\nRed light")
    assert len(bench.state()["choices"]) == 9


def test_the_table_is_that_of_predict_and_is_given_back(
    visitors: Visitors, recognizer: Recognizer, looked: dict[str, Looked], tmp_path: Path
) -> None:
    bench = visitors.bench("a", "a")
    files = {f"{number}/{name}": one for number, (name, one) in enumerate(looked.items())}
    for file, one in files.items():
        bench.add(file, one)
    told = recognizer.predict([one.encoded for one in looked.values()])
    wanted = [answer_of(one, file, "run") for file, one in zip(files, told, strict=True)]
    assert bench.table() == as_csv(wanted)
    bench.correct(2, "=teal")
    table = tmp_path / "answers.csv"
    table.write_text(bench.table())
    rows = list(csv.DictReader(io.StringIO(bench.table())))
    assert tuple(rows[0]) == COLUMNS
    (said,) = corrections(table)
    assert (said.file, said.correct) == (list(files)[1], "=teal")

    again = visitors.bench("b", "a")
    again.add(list(files)[1], looked["teal-1.mp4"])
    assert again.take_corrections(table.read_bytes()) == 1
    assert again.state()["pending"] == [{"name": "=teal", "clips": [1]}]
    for bad, why in (
        (b"file,answer\na,b\n", "does not begin with the columns"),
        (b"file,answer,correct\nnone.mp4,b,c\n", "corrects no clip that is here"),
        (b"\x00\xff", "answers"),
    ):
        with pytest.raises(EzavError, match=why):
            again.take_corrections(bad)


def test_names_that_are_typed_keep_what_was_taught(
    visitors: Visitors, looked: dict[str, Looked]
) -> None:
    bench = visitors.bench("a", "a")
    bench.ask("red light\nteal: a lamp of a bluish green")
    for name, one in looked.items():
        bench.add(name, one)
    bench.correct(1, "Teal")
    bench.correct(3, "brown")
    bench.teach()
    assert bench.names == "red light\nteal\nbrown"
    assert [answer for answer, _ in _answers(bench)] == [
        *("teal", "teal", "brown", "brown", "red light", "red light")
    ]
    with zipfile.ZipFile(io.BytesIO(bench.archive())) as archive:
        assert archive.read("classes.txt").decode() == "red light\nteal\nbrown\n"


@pytest.mark.parametrize("frozen", [False, True])
def test_names_are_read_once_and_those_before_are_not_kept(
    frozen: bool, recognizer: Recognizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    real = RunEncoders.encode_names

    def watched(self: Any, names: Any, *rest: Any, **options: Any) -> Any:
        read.append(len(names))
        return real(self, names, *rest, **options)

    monkeypatch.setattr(RunEncoders, "encode_names", watched)
    with Recognizer.frozen() if frozen else nullcontext(recognizer) as asked:
        bench = _visitors(asked, WebSettings()).bench("a", "a")
        path = write_example(tmp_path / "clock.mp4")
        (encoded,) = asked.encode([path])
        shown = read_clip(path, video=FrameSpec.uniform(8, short_side=64), audio=16_000)
        bench.add("clock.mp4", Looked(encoded, shown))
        names, before = [f"thing {n}" for n in range(50)], bench.size
        bench.ask("\n".join(names))
        assert read == [50]
        many = weakref.ref(bench.recognizer.candidates(names))
        assert read == [50]
        vectors = bench.recognizer.candidates(names).new_vectors.nbytes
        assert before + vectors < bench.size < before + 2 * vectors
        for bad in ("a\nA", "x" * 900):
            with pytest.raises(EzavError):
                bench.ask(bad)
        assert (bench.names, read) == ("\n".join(names), [50])
        bench.ask("one\ntwo")
        assert bench.size < before + vectors / 2
        assert many() is None


def test_the_command_line_opens_what_is_downloaded(
    visitors: Visitors,
    looked: dict[str, Looked],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bench = visitors.bench("a", "a")
    for name, one in looked.items():
        bench.add(name, replace(one))
    bench.correct(1, "teal")
    bench.teach()
    with zipfile.ZipFile(io.BytesIO(bench.archive())) as archive:
        archive.extractall(tmp_path)
    assert main(["verify", str(tmp_path / "recogniser")]) == 0
    capsys.readouterr()
    found = Recognizer.load(tmp_path / "recogniser", import_code=True)
    for number, one in enumerate(looked.values(), start=1):
        (wanted,) = found.predict([one.encoded], top_k=8)
        shown = bench.clip(number).found
        assert shown is not None
        assert [c.name for c in shown.ranked] == [c.name for c in wanted.ranked]


def test_who_is_away_is_forgotten(visitors: Visitors) -> None:
    there = visitors.bench("there", "a")
    visitors.bench("leaves", "a")
    visitors.leave("leaves")
    visitors.leave("nobody")
    now = there.used
    visitors.sweep(now + 10)
    back = visitors.bench("leaves", "a")  # loaded again
    visitors.sweep(now + 30)
    assert visitors.bench("leaves", "a") is back
    visitors.leave("leaves")
    visitors.sweep(now + 60)
    assert len(visitors) == 1
    visitors.sweep(now + 121 * 60)
    assert len(visitors) == 0


def test_two_visitors_at_one_server(page: Page, run_folder: Path) -> None:
    one, other = Visitor(page.address), Visitor(page.address)
    clip = run_folder.parent / "clip.mp4"
    row = one.give(clip, name="films/clip.mp4")
    assert row["file"] == "films/clip.mp4"
    assert [kept["file"] for kept in one("/api/state")["rows"]] == ["films/clip.mp4"]
    assert other("/api/state")["rows"] == []
    assert [who("/api/here", "POST") for who in (one, other)] == [{"clips": 1}, {"clips": 0}]
    assert "not in the table" in other.refusal("/api/clips/1/correct", "PUT", {"name": "a"})
    one("/api/clips/1/correct", "PUT", {"name": "a lamp"})
    assert one("/api/teach", "POST", {})["said"] == ["a lamp: a new class, 1 clip (1 added)"]
    assert "a lamp" not in other("/api/state")["choices"]
    assert "nothing is there to learn" in other.refusal("/api/teach").lower()
    status, table = one.ask("/api/answers.csv")
    assert status == 200
    assert table.decode().splitlines()[1].endswith(",a lamp")
    assert "cells" in one("/api/clips/1?why=1")["html"]
    assert one("/api/clips/remove", "POST", {})["rows"] == []


def test_names_are_refused_while_too_much_is_kept(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor = Visitor(page.address)
    assert visitor("/api/names", "PUT", "red light\nblue light")["names"]
    monkeypatch.setattr(Visitors, "kept", lambda self, client=None: 10**12)
    assert "too much is kept for you" in visitor.refusal("/api/names", "PUT", "a\nb").lower()
    assert visitor("/api/state")["names"] == "red light\nblue light"


def test_what_cannot_be_taught_says_so_on_the_page() -> None:
    """A run of an earlier version, which did not learn what clips are worth."""
    old = Recognizer.load(Path(__file__).parents[1] / "fixtures" / "ezav-0.1.0" / "run")
    assert "did not learn what clips of a class are worth" in old.unteachable
    assert as_html(old.unteachable) in render.page(old, WebSettings(), [])


def test_networks_run_in_as_many_threads_as_there_are_workers(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each thread that ever ran one keeps its scratch memory."""
    threads, ask, state = set(), Bench.ask, Bench.state
    answered = threading.Barrier(3)

    def asked(bench: Bench, names: str) -> None:
        threads.add(threading.get_ident())
        ask(bench, names)

    def told(bench: Bench, rows: bool = True) -> dict[str, Any]:
        answered.wait(MINUTES)  # whoever answers is not free for the next list of names
        return state(bench, rows)

    monkeypatch.setattr(Bench, "ask", asked)
    monkeypatch.setattr(Bench, "state", told)
    _at_once(3, lambda: Visitor(page.address)("/api/names", "PUT", "red light\nblue light"))
    assert len(threads) == WebSettings().workers == 1


def _at_once(times: int, done: Callable[[], object]) -> None:
    jobs = [threading.Thread(target=done) for _ in range(times)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()


def test_many_requests_of_one_visitor_at_once(page: Page, run_folder: Path) -> None:
    """Clips arrive while names change: each has an answer in the end, among the last names."""
    visitor, clip = Visitor(page.address), run_folder.parent / "clip.mp4"
    jobs = [threading.Thread(target=visitor.give, args=[clip]) for _ in range(3)]
    jobs += [threading.Thread(target=visitor, args=["/api/names", "PUT", "red light\nblue light"])]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    rows = visitor("/api/state")["rows"]
    assert sorted(row["number"] for row in rows) == [1, 2, 3]
    assert {row["answer"] for row in rows} <= {"red light", "blue light"}
