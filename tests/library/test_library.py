"""Moments found by an index against a loop over the windows of every file."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from ezav.cli.main import main
from ezav.errors import DamagedError, EzavError, NotFoundError, RefusedError, UnavailableError
from ezav.extraction.look import Look
from ezav.library import Library, LibrarySettings, find_like, find_text
from ezav.library.find import Moment
from ezav.library.index import FOLDER
from ezav.recognizer import Recognizer
from tests.recognizer.small_run import write_video

SETTINGS = LibrarySettings(window=1.5, hop=0.5, workers=2)
Hit = tuple[str, float, float, float]


@pytest.fixture(scope="module")
def frozen() -> Iterator[Recognizer]:
    with Recognizer.frozen() as recognizer:
        yield recognizer


def by_loop(recognizer: Recognizer, folder: Path, score: Callable[[object], float]) -> list[Hit]:
    """Every window of every file, the best first; one that overlaps a better one is left out."""
    hits: list[Hit] = []
    for file in sorted(folder.rglob("*.mp4")):
        name = file.relative_to(folder).as_posix()
        for clip in recognizer.reader.windows(file, SETTINGS.window, SETTINGS.hop):
            if not clip.error:
                hits.append((name, clip.start, clip.start + clip.duration, score(clip)))
    found: list[Hit] = []
    for hit in sorted(hits, key=lambda one: -one[3]):
        if not any(hit[0] == o[0] and hit[1] < o[2] and o[1] < hit[2] for o in found):
            found.append(hit)
    return found


def said(recognizer: Recognizer, text: str) -> Callable[[object], float]:
    return lambda clip: recognizer.predict([clip], classes=[text])[0].ranked[0].score


def same_moments(found: list[Moment], wanted: list[Hit], off: float) -> None:
    scores = [one.score for one in found]
    assert scores == sorted(scores, reverse=True)
    np.testing.assert_allclose(scores, [one[3] for one in wanted[: len(found)]], rtol=0, atol=off)
    for one in found:  # equal scores may stand in any order
        (hit,) = [w for w in wanted if w[0] == one.file and abs(w[1] - one.start) < 1e-6]
        assert (one.end, one.score) == (pytest.approx(hit[2]), pytest.approx(hit[3], abs=off))


def reads(recognizer: Recognizer, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are read from now on."""
    read: list[str] = []
    windows = recognizer.reader.windows

    def noted(path: Path, *rest: object) -> Iterator:
        read.append(Path(path).name)
        return windows(path, *rest)

    monkeypatch.setattr(recognizer.reader, "windows", noted)
    return read


@pytest.mark.parametrize("text", ["a red lamp", "snow: everything is white"])
def test_a_frozen_recogniser_finds_what_a_loop_over_the_windows_finds(
    frozen: Recognizer, folder: Path, text: str
) -> None:
    with Library(folder, frozen, SETTINGS) as library:
        assert library.update() == (4, 0)
        found = find_text(library, frozen.candidates([text]), 6)
    wanted = by_loop(frozen, folder, said(frozen, text))
    assert len(found) == 6
    same_moments(found, wanted, 5e-3)


def test_a_run_finds_by_its_own_scores_and_at_the_right_time(
    sure: Recognizer, folder: Path
) -> None:
    with Library(folder, sure, SETTINGS) as library:
        library.update()
        found = find_text(library, sure.candidates(["red light"]), 50)
    wanted = by_loop(sure, folder, said(sure, "red light"))
    assert len(found) == len(wanted)
    same_moments(found, wanted, 0.3)  # squared distances of tokens in half precision
    best = {one.file: one for one in reversed(found)}
    assert (best["a.mp4"].start, best["a.mp4"].end) == (3.0, pytest.approx(4.5, abs=0.1))
    assert best["deep/quiet.mp4"].start == 0.0


def test_moments_without_what_the_run_reads_are_not_told(
    sure: Recognizer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(sure.model.method), "modalities", ("audio",))
    with Library(folder, sure, SETTINGS) as library:
        library.update()
        found = find_text(library, sure.candidates(["red light"]), 99)
    assert {one.file for one in found} == {"a.mp4", "deep/b.mp4"}


def test_like_a_clip_is_the_mean_cosine_of_the_modalities(
    sure: Recognizer, folder: Path, lights: tuple[Path, Path]
) -> None:
    clip = next(lights[0].glob("green light/*.mp4"))
    (of_clip,) = sure.encode([clip])

    def cosine(window: object) -> float:
        total = 0.0
        for side in ("audio", "visual"):
            ours, theirs = (getattr(one, side) for one in (of_clip, window))
            if theirs is not None:
                a, b = ours.values.mean(axis=0), theirs.values.mean(axis=0)
                total += float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)) / 2
        return total

    with Library(folder, sure, SETTINGS) as library:
        library.update()
        found = find_like(library, clip, 5)
    assert (found[0].file, found[0].start) == ("deep/b.mp4", 1.5)
    same_moments(found, by_loop(sure, folder, cosine), 2e-3)


def test_only_what_is_new_or_has_changed_is_read_and_what_has_gone_is_forgotten(
    sure: Recognizer, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = reads(sure, monkeypatch)

    def call() -> tuple[tuple[int, int], list[str], set[str]]:
        read.clear()
        with Library(folder, sure, SETTINGS) as library:
            told = library.update()
            moments = find_text(library, sure.candidates(["red light"]), 99)
            parts = list((folder / FOLDER / "windows").iterdir())
            assert len(parts) == sum(one.parts for one in library.recordings)
        return told, sorted(read), {one.file for one in moments}

    files = {"a.mp4", "deep/b.mp4", "deep/quiet.mp4"}
    assert call() == ((4, 0), ["a.mp4", "b.mp4", "broken.mp4", "quiet.mp4"], files)
    assert call() == ((0, 0), [], files)
    write_video(folder / "new.mp4", ["red light"])
    assert call() == ((1, 0), ["new.mp4"], files | {"new.mp4"})
    shutil.move(folder / "a.mp4", tmp_path / "a.mp4")
    write_video(folder / "new.mp4", ["green light", "white light"])
    assert call() == ((1, 1), ["new.mp4"], {"deep/b.mp4", "deep/quiet.mp4", "new.mp4"})
    shutil.move(tmp_path / "a.mp4", folder / "a.mp4")
    assert call() == ((1, 0), ["a.mp4"], files | {"new.mp4"})
    assert call() == ((0, 0), [], files | {"new.mp4"})


def test_a_call_that_ends_early_keeps_what_it_read(
    sure: Recognizer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(done: int, total: int, left_out: bool) -> None:
        raise KeyboardInterrupt

    one = LibrarySettings(window=1.5, hop=0.5, workers=1)
    with Library(folder, sure, one) as library:
        with pytest.raises(KeyboardInterrupt):
            library.update(stop)
        kept = {recording.file for recording in library.recordings}
    assert len(kept) == 1
    with Library(folder, sure, SETTINGS) as library:
        assert library.update() == (3, 0)
        assert len(library.recordings) == 4


def test_what_cannot_be_read_says_why_and_is_read_again_when_asked(
    sure: Recognizer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Library(folder, sure, SETTINGS) as library:
        library.update()
        (broken,) = [one for one in library.recordings if one.error]
        assert broken.file == "broken.mp4"
        assert broken.windows == 0
    read = reads(sure, monkeypatch)
    with Library(folder, sure, LibrarySettings(window=1.5, hop=0.5, retry=True)) as library:
        assert library.update() == (1, 0)
    assert read == ["broken.mp4"]


def test_an_index_of_others_is_refused_and_stays(
    sure: Recognizer, frozen: Recognizer, folder: Path
) -> None:
    with Library(folder, sure, SETTINGS) as library:
        library.update()
        with pytest.raises(UnavailableError, match="another process"):
            Library(folder, sure, SETTINGS)
    with pytest.raises(RefusedError, match=r"is of .*Colour.*, not of efficientnet"):
        Library(folder, frozen, SETTINGS)
    with pytest.raises(RefusedError, match=r"1.5 s every 0.5 s, not of .* 2 s every 1 s"):
        Library(folder, sure)
    with Library(folder, sure, SETTINGS) as library:
        assert library.update() == (0, 0)


def test_links_are_not_followed_and_damage_is_told(
    sure: Recognizer, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    os.symlink(tmp_path / "elsewhere", folder / FOLDER)
    with pytest.raises(RefusedError, match="link"):
        Library(folder, sure, SETTINGS)
    assert not list((tmp_path / "elsewhere").iterdir())
    (folder / FOLDER).unlink()
    with Library(folder, sure, SETTINGS) as library:
        library.update()
        part = next((folder / FOLDER / "windows").iterdir())
        part.write_bytes(part.read_bytes()[:-20])
        with pytest.raises(DamagedError, match="delete the index"):
            find_like(library, folder / "a.mp4")


def test_an_index_that_others_wrote_is_not_believed(sure: Recognizer, folder: Path) -> None:
    with Library(folder, sure, SETTINGS) as library:
        library.update()
        found = find_like(library, folder / "a.mp4")
    journal = folder / FOLDER / "recordings.journal"
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    for line, row in zip(lines[1:], ({"number": 1 << 70}, {"number": "../1"}, {}, [])):
        line["rows"] = [line["rows"][0] | row] if row else [row] if row == {} else []
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with Library(folder, sure, SETTINGS) as library:
        assert library.update() == (4, 0)
        assert find_like(library, folder / "a.mp4") == found
    vectors = folder / FOLDER / "appearance.safetensors"
    kept = load_file(vectors)
    save_file(kept | {"values": kept["values"][:, :2].contiguous()}, vectors)
    with Library(folder, sure, SETTINGS) as library, pytest.raises(DamagedError, match="2 numbers"):
        find_like(library, folder / "a.mp4")
    save_file(kept, vectors)
    whole = vectors.read_bytes()
    size = int.from_bytes(whole[:8], "little")
    for longer in (8, 7):  # spaces in the header: with 7 of them the vectors lie at odd addresses
        head = (size + longer).to_bytes(8, "little") + whole[8 : 8 + size] + b" " * longer
        vectors.write_bytes(head + whole[8 + size :])
        with Library(folder, sure, SETTINGS) as library:
            assert find_like(library, folder / "a.mp4") == found
    vectors.write_bytes(b"nonsense")
    with Library(folder, sure, SETTINGS) as library:
        assert find_like(library, folder / "a.mp4") == found


def test_windows_have_the_same_tokens_whoever_looks_on(sure: Recognizer, folder: Path) -> None:
    look = Look(longest=1.0, count=2, short_side=48)
    plain = list(sure.reader.windows(folder / "a.mp4", 1.5, 0.5))
    seen = list(sure.reader.windows(folder / "a.mp4", 1.5, 0.5, look))
    assert len(plain) == len(seen) > 5
    for one, other in zip(plain, seen):
        assert one.shown is None
        assert other.shown is not None
        assert other.shown.frames is not None
        assert len(other.shown.frames.images) == 2
        for slot in ("audio", "visual"):
            np.testing.assert_array_equal(one.tokens[slot].values, other.tokens[slot].values)


def test_the_command_prints_and_writes_tables(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outs = [tmp_path / f"found{ending}" for ending in (".csv", ".json", ".html")]
    asked = ["find", "--frozen", str(folder), "a <red> lamp", "--count", "3", "--workers", "1"]
    assert main([*asked, "--out", *map(str, outs)]) == 0
    shown = capsys.readouterr()
    assert "4 recordings, 4 read now" in shown.out
    assert "broken.mp4" in shown.err
    with outs[0].open(newline="") as file:
        rows = list(csv.DictReader(file))
    of_json = json.loads(outs[1].read_text())
    assert [row["file"] for row in rows] == [row["file"] for row in of_json]
    assert [int(row["rank"]) for row in rows] == [1, 2, 3]
    assert all(row["file"] in shown.out for row in rows)
    page = outs[2].read_text()
    assert "a &lt;red&gt; lamp" in page
    assert page.count("data:image/jpeg;base64,") >= 3
    assert main([*asked, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["read"], told["recordings"], len(told["moments"])) == (0, 4, 3)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--frozen", "nowhere", "dog"], "there is no folder 'nowhere'"),
        (["--frozen", "empty", "dog"], "holds no recordings"),
        (["--frozen", "empty"], "1 words are given where a folder and a text"),
        (["--frozen", "empty", "a", "dog"], "into quotes"),
        (["--frozen", "empty", " "], "the text to look for is empty"),
        (["--frozen", "empty", "dog", "--like", "a.mp4"], "2 words are given where a folder is"),
        (["nowhere", "empty", "dog"], "no run at"),
        (["--frozen", "empty", "dog", "--count", "0"], "--count must be at least 1"),
        (["--frozen", "empty", "dog", "--workers", "0"], "workers must be at least 1, not 0"),
        (["--frozen", "empty", "dog", "--hop", "5"], "a hop of 5.0 s"),
        (["--frozen", "empty", "dog", "--out", "a.xlsx"], "'.xlsx'"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    assert main(["find", *arguments]) != 0
    (_line,) = [one for one in capsys.readouterr().err.splitlines() if words in one]
    assert not list(Path("empty").iterdir())


def test_more_than_one_name_and_clips_that_are_none_are_refused(
    sure: Recognizer, folder: Path
) -> None:
    with Library(folder, sure, SETTINGS) as library:
        with pytest.raises(EzavError, match="2 names are given"):
            find_text(library, sure.candidates(["red light", "blue light"]))
        with pytest.raises(EzavError, match=r"cannot read '.*nowhere.mp4': no such file"):
            find_like(library, folder / "nowhere.mp4")
    with pytest.raises(NotFoundError):
        Library(folder / "nowhere", sure)
