"""Real recordings, from files to names, through the command line alone.

The clips pair pictures and sounds by class; with two unseen classes nothing here says how good
the method is, only that the path from media to names carries signal.
"""

from __future__ import annotations

import json

import pyarrow.compute as pc

from ezav.cli.main import main
from ezav.features import FeatureStore
from tests.shared_data import shared

KEPT = {"train": 6, "val_seen": 2, "test_seen": 3, "val_unseen": 5, "test_unseen": 5}
"""So many clips of each class."""


def test_extract_run_predict_on_real_recordings(tmp_path, capsys):
    real = shared("data", "real")
    store_path, run, manifest = tmp_path / "store", tmp_path / "run", tmp_path / "some.csv"
    head, *rows = (real / "manifest.csv").read_text().splitlines()
    of_class: dict[tuple[str, str], list[str]] = {}
    for path, name, split in (row.rsplit(",", 2) for row in rows):
        of_class.setdefault((name, split), []).append(f"{real / path},{name},{split}")
    some = [row for (_, split), found in of_class.items() for row in found[: KEPT[split]]]
    manifest.write_text("\n".join([head, *some]))
    extract = ["extract", str(manifest), "--out", str(store_path), "--allow-outside"]
    assert main([*extract, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["readable"], report["failures"]) == (86, [])
    assert (report["no_audio"], report["no_visual"]) == (0, 0)
    store = FeatureStore.open(store_path)
    expected = {"train": 36, "val_seen": 12, "test_seen": 18, "val_unseen": 10, "test_unseen": 10}
    assert store.splits == expected
    assert pc.all(pc.equal(store.index.column("status"), "ok")).as_py()
    for modality in ("audio", "visual"):
        assert pc.min(store.index.column(f"{modality}_tokens")).as_py() > 0
    train = ["run", "ez_avgzl", str(store_path), "--out", str(run), "--training.epochs", "25"]
    assert main([*train, "--json"]) == 0
    (result,) = json.loads(capsys.readouterr().out)["runs"]
    assert set(result["candidates"]["unseen"]) == {"chicken crowing", "playing guitar"}
    # Far above chance on seen classes: supervised, these features reach 88-96 %.
    assert result["metrics"]["S"] > 0.5 > result["chance"]["S"]

    clip = real / "clips" / "chicken crowing" / "chicken_crowing_00.mp4"
    broken = tmp_path / "broken.mp4"
    broken.write_text("no video at all")
    names = ["--classes", "chicken crowing", "helicopter", "a violin solo"]
    assert main(["predict", str(run), str(clip), str(broken), *names, "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    good, bad = answer["predictions"]
    kinds = {c["name"]: c["kind"] for c in good["ranked"]}
    assert kinds == {"chicken crowing": "unseen", "helicopter": "seen", "a violin solo": "new"}
    assert bad["error"]
    assert answer["unread"] == [str(broken)]
