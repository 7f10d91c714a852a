"""Clips in the error gallery: found through the store or a folder, never outside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ezav.errors import EzavError
from ezav.features.redraw import redrawn
from ezav.reports import write_report
from ezav.reports.media_files import MediaFiles
from tests import worlds
from tests.reports.fake_runs import write_run
from tests.shared_data import shared


def test_paths_lead_only_into_the_folder_of_videos(tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    (videos / "dog").mkdir(parents=True)
    (videos / "dog/a.mp4").touch()
    (tmp_path / "secret.mp4").touch()
    find = MediaFiles.open(None, videos, {}).finder("any store")
    assert find is not None
    assert find("dog/a.mp4") == (videos / "dog/a.mp4").resolve()
    assert find("dog/b.mp4") is None
    assert find("../secret.mp4") is None
    assert find(str(tmp_path / "secret.mp4")) is None


def test_without_store_and_videos_nothing_is_looked_for() -> None:
    assert MediaFiles.open(None, None, {}).finder("any") is None


def test_a_store_of_other_runs_is_refused(tmp_path: Path) -> None:
    worlds.store(tmp_path / "store")
    write_run(tmp_path / "run")
    with pytest.raises(EzavError, match="no run of this report was made on the store"):
        write_report([tmp_path / "run"], tmp_path / "r.html", store=tmp_path / "store")


def test_a_run_with_other_splits_finds_the_clips_of_its_store(tmp_path: Path) -> None:
    store = worlds.store(tmp_path / "store")
    closed = redrawn(store, unseen=())
    media = MediaFiles.open(tmp_path / "store", None, {closed.fingerprint: ()})
    assert media.paths
    assert media.fingerprints == {closed.fingerprint}


def test_mistakes_show_their_clips_and_say_what_is_missing(tmp_path: Path) -> None:
    source = shared("data", "odd_media")
    videos = tmp_path / "videos"
    run = tmp_path / "run"
    write_run(run, skill=0.0, classes=4, unseen=2, clips_per_class=5)
    from ezav.reports.figures.mistakes import mistakes
    from ezav.reports.runs import Run

    files = ("plain.mp4", "no_audio.mp4", "audio_only.mp4")
    for mistake, name in zip(mistakes(Run.read(run)), files):
        path = videos / mistake.clip
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((source / name).read_bytes())
    html = write_report([run], tmp_path / "r.html", videos=videos).read_text()
    assert html.count('class="card"') == 3
    assert html.count("data:image/jpeg;base64,") == 2
    assert html.count('alt="spectrogram of ') == 2
    assert "no sound: no audio stream" in html
    assert "no picture: " in html
    assert "of them were not found" in html
