"""Stores and runs that version 0.1 wrote: they open, answer as they did there, and are served."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from ezav.cli.main import main
from ezav.features import FeatureStore
from ezav.recognizer import Recognizer
from tests.web.asking import predict

OLD = Path(__file__).parents[1] / "fixtures" / "ezav-0.1.0"
SAID = json.loads((OLD / "said.json").read_text(encoding="utf-8"))
"""What that version answered for `clip.mp4`, and the fingerprint that it gave the store."""


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A copy: nothing that is done with it reaches the fixture."""
    return shutil.copytree(OLD, tmp_path / "old")


def test_a_store_opens_and_is_the_same(old: Path) -> None:
    store = FeatureStore.open(old / "store")
    assert store.header.created_with == "ezav 0.1.0"
    assert store.fingerprint == SAID["fingerprint"]
    assert len(store.classes) == 8
    assert len(store.select("test_unseen")) == 6
    assert main(["verify", str(old / "store")]) == 0


def test_a_run_answers_as_it_did(old: Path) -> None:
    recognizer = Recognizer.load(old / "run")
    assert recognizer.calibration.temperature_ == SAID["temperature"]
    (found,) = recognizer.predict(old / "clip.mp4")
    for one, (name, kind, score) in zip(found.ranked, SAID["ranked"]):
        assert (one.name, one.kind) == (name, kind)
        assert one.score == pytest.approx(score, abs=1e-4)
    assert found.duration == pytest.approx(SAID["duration"])


def test_a_new_run_can_be_made_of_an_old_store(old: Path, tmp_path: Path) -> None:
    store, run = str(old / "store"), str(tmp_path / "run")
    assert main(["run", "eszsl", store, "--out", run, "--folds", "0"]) == 0
    assert Recognizer.load(run).result.store_fingerprint == SAID["fingerprint"]


def test_a_run_is_served(old: Path) -> None:
    pytest.importorskip("starlette", reason="not installed: pip install 'ezav[web]'")
    from ezav.web.server import serving
    from ezav.web.settings import WebSettings

    recognizer = Recognizer.load(old / "run")
    with serving(recognizer, WebSettings(port=0), []) as address:
        found = predict(address, old / "clip.mp4", [name for name, _, _ in SAID["ranked"]])
    assert next(one["name"] for one in found["ranked"]) == SAID["ranked"][0][0]
