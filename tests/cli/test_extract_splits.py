"""`ezav extract` with a closed set and with groups, from generated videos to the store's splits."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from ezav.cli.main import main
from ezav.features import FeatureStore
from tests.recognizer.small_run import COLOURS, write_video

CLIPS = 6
QUICK = ("--visual", "statistics", "--audio", "statistics")


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every two clips of a class come from one recording."""
    folder = tmp_path_factory.mktemp("videos")
    with open(folder / "clips.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "class", "recording"])
        for name in sorted(COLOURS):
            for number in range(CLIPS):
                path = f"{name}/{number}.mp4"
                write_video(folder / path, [name])
                rows.writerow([path, name, f"{name} {number // 2}"])
    return folder / "clips.csv"


def test_of_a_closed_set_every_class_is_trained_on(manifest: Path, tmp_path: Path) -> None:
    out = tmp_path / "store"
    assert (
        main(["extract", str(manifest.parent), "--out", str(out), "--unseen", "none", *QUICK]) == 0
    )
    store = FeatureStore.open(out)
    trained, tested = store.split_classes("train"), store.split_classes("test_seen")
    assert set(trained) == set(tested) == set(COLOURS)
    assert store.split_classes("test_unseen") == ()


def test_no_recording_is_on_two_sides(manifest: Path, tmp_path: Path) -> None:
    out = tmp_path / "store"
    given = ["extract", str(manifest), "--out", str(out), "--groups", "recording", *QUICK]
    assert main(given) == 0
    rows = FeatureStore.open(out).index.select(["class", "source", "split"]).to_pylist()
    of: dict[str, set[str]] = {}
    for row in rows:
        of.setdefault(row["source"], set()).add(row["split"])
    assert len(of) == len(COLOURS) * CLIPS // 2
    assert all(len(splits) == 1 for splits in of.values())
    assert len({row["split"] for row in rows}) > 2


def test_a_column_that_is_not_there(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "store"
    given = ["extract", str(manifest), "--out", str(out), "--groups", "tape", *QUICK]
    assert main(given) == 1
    said = capsys.readouterr().err.strip()
    assert "path,class,tape" in said
    assert "\n" not in said
    assert not out.exists()
