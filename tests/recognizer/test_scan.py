"""Events of long recordings against the truth, and the files they are written to."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from ezav.cli import main as command_line
from ezav.errors import EzavError
from ezav.recognizer import Recognizer
from ezav.recognizer.event_files import WRITERS, as_csv, as_srt, as_vtt, write_events
from ezav.recognizer.scan import Event, ScanSettings, scan
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
    from ezav.recognizer.scan import _moments

    settings = ScanSettings(window=window, hop=hop, reject=False, shortest=0)
    found = list(_moments(sure, long_video, sure.candidates(None), settings, None))
    assert found[0].start == 0
    assert found[-1].end == pytest.approx(20.0, abs=0.2)
    assert all(a.end == pytest.approx(b.start) for a, b in pairwise(found))
    assert all(m.best >= 0 for m in found)


def test_thresholds_leave_out_weak_and_short_events(sure: Recognizer, long_video: Path) -> None:
    assert not list(scan(sure, long_video, None, replace(EVERYTHING, shortest=5.0)))
    every = list(scan(sure, long_video, None, EVERYTHING))
    middle = sorted(event.probability for event in every)[2]
    some = list(scan(sure, long_video, None, replace(EVERYTHING, min_probability=middle)))
    seconds = [sum(event.end - event.start for event in found) for found in (some, every)]
    assert 0 < seconds[0] < seconds[1]
    strict = Recognizer(
        sure.model,
        sure.text,
        sure.header,
        sure.result,
        replace(sure.calibration, reject_threshold_=math.inf),
    )
    assert not list(scan(strict, long_video))
    assert len(list(scan(strict, long_video, None, EVERYTHING))) == len(ORDER)


def test_only_the_named_classes_are_found(sure: Recognizer, long_video: Path) -> None:
    events = list(scan(sure, long_video, ["Green Light", "blue light"], EVERYTHING))
    assert {event.name for event in events} <= {"Green Light", "blue light"}
    green = next(event for event in events if event.name == "Green Light")
    assert green.start <= 5 < 7 <= green.end


def test_recordings_with_one_modality_and_none(sure: Recognizer, tmp_path: Path) -> None:
    silent = small_run.write_video(tmp_path / "a.mp4", ["red light"], 3.0, sound=False)
    assert list(scan(sure, silent, None, EVERYTHING))
    broken = tmp_path / "b.mp4"
    broken.write_text("nothing")
    with pytest.raises(EzavError, match=r"cannot scan .*not a media file"):
        list(scan(sure, broken))


@pytest.mark.parametrize(
    "values",
    [{"window": 0}, {"hop": 0.001}, {"hop": 3.0}, {"min_probability": 2}, {"shortest": -1}],
)
def test_bad_settings(values: dict[str, float]) -> None:
    with pytest.raises(EzavError):
        ScanSettings(**values)  # type: ignore[arg-type]


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
    assert "1\n00:00:00,500 --> 01:01:01,250\na & b <b> (new, 26%)\n\n2\n" in srt
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
    arguments = ["scan", str(lights[1]), str(long_video), "--no-reject", "--out", *out]
    assert command_line.main([*arguments, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    wanted = list(scan(Recognizer.load(lights[1]), long_video, None, EVERYTHING))
    assert [e["name"] for e in told["events"]] == [e.name for e in wanted]
    assert [e["start"] for e in told["events"]] == [e.start for e in wanted]
    assert json.loads((tmp_path / "events.json").read_text()) == told["events"]
    assert command_line.main(arguments) == 0
    assert command_line.main(["scan", str(lights[1]), str(long_video), "--out", "a.xls"]) == 1
    same = ["scan", str(lights[1]), str(long_video), "--out", str(long_video)]
    assert command_line.main(same) == 1
    assert long_video.stat().st_size > 1000
