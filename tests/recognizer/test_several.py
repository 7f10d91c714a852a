"""Each class on its own: all names of a clip, events that overlap, and what has no thresholds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import pytest
import torch

from ezav.cli import main as command_line
from ezav.errors import EzavError
from ezav.protocol.several import Several
from ezav.recognizer import Recognizer
from ezav.recognizer.events import ScanSettings
from tests.recognizer import small_run

SEVERAL = ScanSettings(several=True, window=2.0, change=0.5)


def _with(recognizer: Recognizer, **changed: Any) -> Recognizer:
    calibration = replace(recognizer.calibration, **changed)
    return Recognizer(replace(recognizer.trained, calibration=calibration), import_code=True)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The picture of a red light for six seconds, and the hum of a blue one in the last four."""
    folder = tmp_path_factory.mktemp("both")
    red = small_run.write_video(folder / "red.mp4", ["red light"], seconds=6.0, sound=False)
    hum = small_run.write_video(folder / "hum.mp4", ["blue light"], seconds=4.0, picture=False)
    out = folder / "both.mkv"
    with av.open(str(red)) as seen, av.open(str(hum)) as heard, av.open(str(out), "w") as film:
        parts = [(seen, 0.0), (heard, 2.0)]
        streams = [film.add_stream_from_template(source.streams[0]) for source, _ in parts]
        for (source, later), stream in zip(parts, streams):
            for packet in source.demux():
                if packet.dts is not None:
                    packet.pts += round(later / packet.time_base)
                    packet.dts += round(later / packet.time_base)
                    packet.stream = stream
                    film.mux(packet)
    return out


@pytest.fixture(scope="module")
def several(lights: tuple[Path, Path], sure: Recognizer) -> Recognizer:
    """Scores, and so thresholds, of the recogniser that knows every light."""
    from ezav.features import FeatureStore
    from ezav.protocol.evaluation import Evaluation

    clips = FeatureStore.open(lights[0].parent / "store").select()
    scores = sure.score(clips, sure.candidates(None))
    names = sure.classes
    row = torch.tensor([names.index(name) for name in clips.classes])
    evaluation = Evaluation(
        scores, row[clips.labels], torch.zeros(len(names), dtype=torch.bool), names, clips.clips
    )
    return _with(sure, several=Several.fit([evaluation], 0.0))


def test_a_clip_has_all_its_names_and_a_list_of_one_is_answered(
    several: Recognizer, lights: tuple[Path, Path]
) -> None:
    clip = next((lights[0] / "red light").glob("*.mp4"))
    (one,) = several.predict(clip, several=True, top_k=3)
    assert one.names == ("red light",)
    assert (one.several, one.rejected, one.none) == (1, False, None)
    assert len(one.ranked) == 3
    (yes,) = several.predict(clip, classes=["red light"], several=True)
    (no,) = several.predict(clip, classes=["green light"], several=True)
    assert yes.names == ("red light",)
    assert yes.best.probability == pytest.approx(one.best.probability)
    assert no.names == ()
    assert no.rejected
    everything = _with(several, several=replace(several.calibration.several, cut=-1e9))
    (all_of_them,) = everything.predict(clip, several=True, top_k=1)
    assert set(all_of_them.names) == set(several.classes)


def test_events_of_two_classes_overlap(several: Recognizer, both: Path) -> None:
    easy = replace(several.calibration.several, cut=-1e9)
    events = list(_with(several, several=easy).scan(both, ["red light", "blue light"], SEVERAL))
    assert sorted(event.name for event in events) == ["blue light", "red light"]
    assert events[0].start < events[1].end
    assert events[1].start < events[0].end
    strict = replace(several.calibration.several, cut=1e9)
    assert not list(_with(several, several=strict).scan(both, None, SEVERAL))
    alone = list(several.scan(both, ["red light"], SEVERAL))
    assert [event.name for event in alone] in ([], ["red light"])


def test_events_of_one_class_are_those_of_that_class_alone(
    several: Recognizer, tmp_path: Path
) -> None:
    order = ["red light", "green light", "dark room"]
    film = small_run.write_video(tmp_path / "film.mp4", order, seconds=4.0)
    every = list(several.scan(film, None, SEVERAL))
    assert set(order) <= {event.name for event in every}
    for name in order:
        mine = [event for event in every if event.name == name]
        assert list(several.scan(film, [name], SEVERAL)) == mine
        longest = max(mine, key=lambda event: event.end - event.start)
        assert longest.start == pytest.approx(4 * order.index(name), abs=1.0)
        assert longest.end == pytest.approx(4 * order.index(name) + 4, abs=1.0)


def test_a_class_that_is_called_otherwise_keeps_its_threshold(
    several: Recognizer, lights: tuple[Path, Path]
) -> None:
    clip = next((lights[0] / "red light").glob("*.mp4"))
    made = replace(several.calibration.several, offsets={"red light": -3.0})
    asked = _with(several, several=made)
    before = asked.predict(clip, several=True)[0].best
    plain = _with(several, several=replace(made, offsets={})).predict(clip, several=True)[0].best
    assert before.probability < plain.probability
    asked.rename("red light", "signal")
    after = asked.predict(clip, several=True)[0].best
    assert (after.name, after.probability) == ("signal", before.probability)


def test_what_does_not_go_together_is_said(
    several: Recognizer, lights: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    clip = next((lights[0] / "red light").glob("*.mp4"))
    for name in ("together", "explain"):
        with pytest.raises(EzavError, match=f"`several` and `{name}`"):
            several.predict(clip, several=True, **{name: True})
    with pytest.raises(EzavError, match="`several` without `reject`"):
        ScanSettings(several=True, reject=False)
    before = _with(several, several=None)
    for ask in (
        lambda: before.predict(clip, several=True),
        lambda: list(before.scan(clip, None, SEVERAL)),
    ):
        with pytest.raises(EzavError, match="of an earlier ezav"):
            ask()
    untaught = Recognizer.frozen()
    with pytest.raises(EzavError, match="learned from clips with labels"):
        untaught.predict(clip, classes=["red light", "rain"], several=True)
    run = ["--import", str(lights[1]), str(clip)]
    assert command_line.main(["predict", "--several", "--explain", *run]) == 1
    assert "both --several and --explain are given" in capsys.readouterr().err
    assert command_line.main(["scan", "--several", "--no-reject", *run]) == 1
    assert "each class is told against none of these" in capsys.readouterr().err


def test_the_commands_tell_several(
    lights: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip, run = next((lights[0] / "red light").glob("*.mp4")), str(lights[1])
    assert command_line.main(["predict", "--several", "--json", "--import", run, str(clip)]) == 0
    (told,) = json.loads(capsys.readouterr().out)["predictions"]
    (wanted,) = Recognizer.load(run, import_code=True).predict(clip, several=True)
    assert told["several"] == len(wanted.names)
    assert [one["name"] for one in told["ranked"]] == [one.name for one in wanted.ranked]
    out = tmp_path / "answers.json"
    arguments = ["predict", "--import", run, str(clip), "--out", str(out)]
    assert command_line.main([*arguments, "--several"]) == 0
    (row,) = json.loads(out.read_text())
    names = [one["name"] for one in told["ranked"][: told["several"]]]
    assert row["also"] == "; ".join(names[1:])
    assert row["none_of_these"] is not bool(names)
    assert command_line.main(arguments) == 0  # another question: answered anew
    assert json.loads(out.read_text())[0]["also"] == ""
    capsys.readouterr()
    arguments = ["scan", "--several", "--json", "--import", run, str(clip)]
    assert command_line.main(arguments) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["window"], told["change"], told["chosen"]) == (2.0, 0.5, [])
