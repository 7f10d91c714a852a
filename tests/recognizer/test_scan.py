"""Events of long recordings against the truth, and the files they are written to."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ezav.cli import main as command_line
from ezav.errors import EzavError
from ezav.extraction.encoded import EncodedClip
from ezav.extraction.gather import Gathered
from ezav.media import Clip
from ezav.recognizer import Recognizer
from ezav.recognizer.event_files import WRITERS, as_csv, as_srt, as_vtt, write_events
from ezav.recognizer.events import Event, ScanSettings
from ezav.recognizer.reading import ClipReader
from ezav.recognizer.scan import scan
from ezav.recognizer.segment import Segmenter
from tests.recognizer import small_run

ORDER = ["red light", "green light", "dark room", "blue light", "purple light"]
EVERYTHING = ScanSettings(reject=False)


@pytest.fixture(scope="module")
def long_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("long")
    return small_run.write_video(folder / "long.mp4", ORDER, seconds=4.0)


def test_the_events_are_where_they_are(sure: Recognizer, long_video: Path) -> None:
    told: list[tuple[float, float | None]] = []
    events = list(scan(sure, long_video, None, EVERYTHING, lambda *x: told.append(x)))
    assert [event.name for event in events] == ORDER
    for number, event in enumerate(events):
        assert event.start == pytest.approx(4 * number, abs=0.75)
        assert event.end == pytest.approx(4 * (number + 1), abs=0.75)
        assert 0.3 < event.probability <= 1
    done = [seconds for seconds, _ in told]
    assert done == sorted(done)
    assert done[-1] == pytest.approx(20.0, abs=0.2)
    assert told[-1][1] == pytest.approx(20.0, abs=0.2)


@pytest.mark.parametrize(("window", "hop"), [(1.0, 1.0), (3.0, 0.5), (0.7, 0.3), (30.0, 10.0)])
def test_moments_cover_the_recording_without_gap_or_overlap(
    sure: Recognizer, long_video: Path, window: float, hop: float
) -> None:
    from ezav.recognizer.scan import _Job, _moments

    cut = ScanSettings(window=window, hop=hop, reject=False, shortest=0)
    job = _Job(sure, long_video, sure.candidates(None), cut, cut.settled(None))
    found = list(_moments(job))
    assert found[0].start == 0
    assert found[-1].end == pytest.approx(20.0, abs=0.2)
    assert all(a.end == pytest.approx(b.start) for a, b in pairwise(found))
    assert all(m.states is not None for m in found)


def test_thresholds_leave_out_weak_and_short_events(sure: Recognizer, long_video: Path) -> None:
    assert not list(scan(sure, long_video, None, replace(EVERYTHING, shortest=5.0)))
    every = list(scan(sure, long_video, None, EVERYTHING))
    middle = sorted(event.probability for event in every)[2]
    some = list(scan(sure, long_video, None, replace(EVERYTHING, min_probability=middle)))
    assert some == [event for event in every if event.probability >= middle]
    calibration = replace(sure.calibration, reject_threshold_=1e3)
    strict = Recognizer(replace(sure.trained, calibration=calibration), import_code=True)
    assert not list(scan(strict, long_video))
    assert len(list(scan(strict, long_video, None, EVERYTHING))) == len(ORDER)


def test_only_the_named_classes_are_found(sure: Recognizer, long_video: Path) -> None:
    events = list(scan(sure, long_video, ["Green Light", "blue light"], EVERYTHING))
    assert {event.name for event in events} <= {"Green Light", "blue light"}
    green = next(event for event in events if event.name == "Green Light")
    assert green.start <= 5 < 7 <= green.end


def test_recordings_with_one_modality_and_none(
    sure: Recognizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = small_run.write_video(tmp_path / "a.mp4", ["red light"], 3.0, sound=False)
    assert list(scan(sure, silent, None, EVERYTHING))
    with monkeypatch.context() as patch:
        patch.setattr(Recognizer, "reads", ("audio",))
        with pytest.raises(EzavError, match=r"cannot scan .*reads audio features only"):
            list(scan(sure, silent, None, EVERYTHING))
    broken = tmp_path / "b.mp4"
    broken.write_text("nothing")
    with pytest.raises(EzavError, match=r"cannot scan .*not a media file"):
        list(scan(sure, broken))


def test_what_is_wrong_with_a_recording_is_said_once(
    lights: tuple[Path, Path],
    long_video: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    read = ClipReader.windows
    wrong = [("picture damaged",), (), ("picture damaged", "sound [x] truncated")]

    def damaged(*arguments: Any) -> Iterator[EncodedClip]:
        for number, clip in enumerate(read(*arguments)):
            yield replace(clip, warnings=wrong[number % 3])

    arguments = ["scan", "--import", str(lights[1]), str(long_video)]
    assert command_line.main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["warnings"] == []
    monkeypatch.setattr(ClipReader, "windows", damaged)
    assert command_line.main([*arguments, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["warnings"] == ["picture damaged", "sound [x] truncated"]
    assert command_line.main(arguments) == 0
    assert capsys.readouterr().out.count("  warning: sound [x] truncated\n") == 1


def test_a_recording_that_is_shorter_than_it_says_is_told() -> None:
    gathered = Gathered(Path("a.mp4"), {})
    gathered.add(Clip("a.mp4", truncated=True))
    (warning,) = gathered.result(use_damaged=True).warnings
    assert "shorter than the file says" in warning


@pytest.mark.parametrize(
    "values",
    [
        {"window": 0},
        {"hop": 0.001},
        {"hop": 3.0},
        {"min_probability": 2},
        {"shortest": -1},
        {"change": float("nan")},
    ],
)
def test_bad_settings(values: dict[str, float]) -> None:
    with pytest.raises(EzavError):
        ScanSettings(**values).settled(None)  # type: ignore[arg-type]


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 7), st.integers(2, 3), st.floats(0, 3), st.integers(0, 10_000))
def test_the_path_is_the_best_of_all(moments: int, states: int, cost: float, seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    emissions = torch.randn(moments, states, generator=draw, dtype=torch.float64)

    def worth(path: tuple[int, ...]) -> float:
        changes = sum(a != b for a, b in pairwise(path))
        return float(emissions[torch.arange(moments), list(path)].sum()) - cost * changes

    segmenter = Segmenter(cost)
    found = tuple(state for row in emissions for state in segmenter.add(row))
    found += tuple(segmenter.finish())
    assert worth(found) == pytest.approx(max(map(worth, product(range(states), repeat=moments))))


def test_states_are_given_as_soon_as_they_are_decided_and_memory_is_flat() -> None:
    draw = torch.Generator().manual_seed(0)
    emissions = torch.randn(3000, 4, generator=draw)
    emissions[:, 0] += (torch.arange(3000) // 40 % 2 == 0) * 3.0
    streamed, whole, most = Segmenter(2.0), Segmenter(2.0), 0
    found: list[int] = []
    for row in emissions:
        found += streamed.add(row)
        most = max(most, len(streamed._back))
    found += streamed.finish()
    whole._decided = lambda: iter(())  # type: ignore[method-assign]
    wanted = [state for row in emissions for state in whole.add(row)] + list(whole.finish())
    assert found == wanted
    assert most < 100
    undecided = Segmenter(1e6)
    given_early = sum(len(list(undecided.add(torch.zeros(3)))) for _ in range(2000))
    assert given_early > 1400
    assert len(list(undecided.finish())) == 2000 - given_early


NASTY = [
    Event(start=0.5, end=3661.25, name="a & b <b>", kind="new", probability=0.256, score=-1.5),
    Event(start=3662, end=3663, name='say "x", --> y', kind="seen", probability=1, score=2),
]


def test_csv_and_json_read_back() -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(NASTY))))
    assert [row["class"] for row in rows] == [event.name for event in NASTY]
    assert float(rows[0]["end"]) == 3661.25
    assert json.loads(WRITERS[".json"](NASTY)) == [event.as_dict() for event in NASTY]


def test_subtitles_hold_their_form() -> None:
    vtt, srt = as_vtt(NASTY), as_srt(NASTY)
    assert vtt.startswith("WEBVTT\n\n")
    assert "00:00:00.500 --> 01:01:01.250\na &amp; b &lt;b&gt; (new, 26%)\n" in vtt
    assert "1\n00:00:00,500 --> 01:01:01,250\na & b ＜b＞ (new, 26%)\n\n2\n" in srt
    for text in (vtt, srt):
        assert len(re.findall("-->", text)) == 2
    assert as_vtt([]) == "WEBVTT\n"


def test_the_endings(tmp_path: Path) -> None:
    for ending in WRITERS:
        write_events(NASTY, tmp_path / f"events{ending.upper()}")
        assert (tmp_path / f"events{ending.upper()}").read_text()
    with pytest.raises(EzavError, match="end the name with"):
        write_events(NASTY, tmp_path / "events.xls")


def test_the_command(
    lights: tuple[Path, Path],
    long_video: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(command_line.COMMANDS, "scan", "")
    out = [str(tmp_path / name) for name in ("events.vtt", "events.json")]
    arguments = ["scan", "--import", str(lights[1]), str(long_video), "--no-reject", "--out", *out]
    assert command_line.main([*arguments, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    wanted = list(scan(Recognizer.load(lights[1], import_code=True), long_video, None, EVERYTHING))
    assert [e["name"] for e in told["events"]] == [e.name for e in wanted]
    assert [e["start"] for e in told["events"]] == [e.start for e in wanted]
    assert json.loads((tmp_path / "events.json").read_text()) == told["events"]
    assert command_line.main(arguments) == 0
    assert (
        command_line.main(["scan", "--import", str(lights[1]), str(long_video), "--out", "a.xls"])
        == 1
    )
    same = ["scan", "--import", str(lights[1]), str(long_video), "--out", str(long_video)]
    assert command_line.main(same) == 1
    assert long_video.stat().st_size > 1000
    capsys.readouterr()
    # Before anything is read: hours of scanning would be lost.
    monkeypatch.setattr(ClipReader, "windows", lambda *_: pytest.fail("it is read"))
    (tmp_path / "a.json").mkdir()
    for path in (tmp_path / "a.json", tmp_path / "events.vtt" / "b.csv"):
        assert command_line.main([*same[:-1], str(path)]) == 1
        assert f"cannot write '{path}'" in capsys.readouterr().err


@pytest.mark.parametrize("row", [0, -1], ids=["one long event", "hours of none of these"])
def test_what_lasts_for_hours_is_not_held(
    sure: Recognizer, monkeypatch: pytest.MonkeyPatch, row: int
) -> None:
    import weakref

    from ezav.recognizer import scan as module

    alive: weakref.WeakSet[torch.Tensor] = weakref.WeakSet()
    most = 0

    def moments(*_: object) -> Iterator[module._Moment]:
        nonlocal most
        for number in range(3000):
            states = torch.full((len(sure.classes) + 1,), 0.01)
            states[row] = 0.9
            alive.add(states)
            most = max(most, len(alive))
            yield module._Moment(number / 2, number / 2 + 0.5, states, states[:-1], states[:-1])

    monkeypatch.setattr(module, "_moments", moments)
    events = list(scan(sure, "film"))
    found = [(e.start, e.end, e.name) for e in events]
    assert found == ([(0, 1500, sure.classes[0])] if row == 0 else [])
    assert most < 600


def test_a_run_that_is_no_better_than_a_guess_says_so_where_it_scans(
    lights: tuple[Path, Path],
    long_video: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Recognizer, "caution", "NO BETTER THAN GUESSING")
    arguments = ["scan", "--import", str(lights[1]), str(long_video)]
    assert command_line.main(arguments) == 0
    assert capsys.readouterr().out.endswith("this run: NO BETTER THAN GUESSING\n")
    assert command_line.main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["caution"] == "NO BETTER THAN GUESSING"
