"""What another version of ezav left is kept and gone on with, where its format can be read."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch

import ezav
from ezav.benchmarks.runner import Job, is_done, run_jobs
from ezav.cli.main import main
from ezav.features.store import FeatureStore
from ezav.manifest import MANIFEST
from ezav.methods.ez_avgzl.config import EzAvgzlConfig
from ezav.protocol import TwoStageProtocol, read_result, two_stage
from ezav.protocol.kept import difference
from ezav.protocol.result import RunResult
from ezav.reports.summary import summary_rows
from ezav.training.checkpoint import Checkpoint
from ezav.training.config import TrainingConfig
from tests import worlds

PROTOCOL = TwoStageProtocol(
    method="ez_avgzl",
    config=EzAvgzlConfig(width=16, hidden=16, heads=2, head_dim=8, mlp=16),
    training=TrainingConfig(epochs=3, batch_size=32),
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    return worlds.store(tmp_path_factory.mktemp("versions") / "tiny")


def job(store: FeatureStore, folder: Path, **changes: Any) -> Job:
    protocol = dataclasses.replace(PROTOCOL, **changes)
    return Job(protocol=protocol, store=store.path, folder=folder, label="ours")


def edit(folder: Path, **changes: Any) -> None:
    path = folder / "result.json"
    (folder / MANIFEST).unlink(missing_ok=True)
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def as_an_earlier_version_wrote_it(folder: Path) -> None:
    """Of another version, from before two of today's settings."""
    data = json.loads((folder / "result.json").read_text())
    del data["config"]["classes"]["samples"], data["training"]["precision"]
    versions = {**data["versions"], "ezav": "0.0.1"}
    edit(folder, config=data["config"], training=data["training"], versions=versions)


def test_a_run_of_another_version_is_kept(
    store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [job(store, tmp_path / f"{seed}", seed=seed) for seed in (0, 1)]
    before = run_jobs(jobs[:1], processes=1)
    as_an_earlier_version_wrote_it(jobs[0].folder)
    after = run_jobs(jobs, processes=1)
    assert after[0].metrics == before[0].metrics
    assert (after[0].versions["ezav"], after[1].versions["ezav"]) == ("0.0.1", ezav.__version__)
    (row,) = summary_rows([read_result(one.folder) for one in jobs])
    assert row.seeds == (0, 1)
    monkeypatch.setattr("ezav.benchmarks.runner.run_job", lambda one: pytest.fail("ran again"))
    monkeypatch.setattr("ezav.__version__", "99.0")
    assert run_jobs(jobs, processes=1) == after


@pytest.mark.parametrize(
    "change",
    [
        {"config": {"of_a_later_version": 1}},
        {"training": {"epochs": 3, "of_a_later_version": 1}},
        {"version": 99},
    ],
)
def test_a_run_that_cannot_be_read_is_not_taken_for_the_one_asked_for(
    store: FeatureStore, tmp_path: Path, change: dict[str, Any]
) -> None:
    one = job(store, tmp_path / "run")
    run_jobs([one], processes=1)
    assert is_done(one, store)
    edit(one.folder, **change)
    assert is_done(one, store) is None


def test_a_setting_of_another_value_differs_though_others_are_missing(
    store: FeatureStore, tmp_path: Path
) -> None:
    one = job(store, tmp_path / "run")
    (result,) = run_jobs([one], processes=1)
    as_an_earlier_version_wrote_it(one.folder)
    config = dataclasses.replace(
        PROTOCOL.config, classes=dataclasses.replace(PROTOCOL.config.classes, samples=9)
    )
    asked = dataclasses.replace(PROTOCOL, config=config)
    found: RunResult = read_result(one.folder)
    assert difference(found, PROTOCOL, store, "ours") == ""
    assert difference(found, asked, store, "ours") == "config"
    assert found.config == result.config


class Stop(Exception):
    pass


@pytest.mark.parametrize("stage", [1, 2])
def test_training_goes_on_from_the_state_of_another_version(
    store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: int
) -> None:
    monkeypatch.setattr(two_stage, "Checkpoint", lambda path, key: Checkpoint(path, key, 0.0))
    whole = PROTOCOL.fit(store)
    told: list[int] = []

    def stop_after_one(number: int, epochs: int, epoch: object) -> None:
        told.append(number)
        if told.count(stage) == 2 or (stage == 2 and number == 2):
            raise Stop

    state = tmp_path / "state"
    with pytest.raises(Stop):
        PROTOCOL.fit(store, stop_after_one, checkpoint=state)
    monkeypatch.setattr("ezav.__version__", "99.0")
    again: list[int] = []
    resumed = PROTOCOL.fit(store, lambda number, *_: again.append(number), checkpoint=state)
    assert again.count(1) == (2 if stage == 1 else 0), "stage 1 began anew"
    assert torch.equal(resumed.test().scores, whole.test().scores)
    # A state that this version could not go on from is left.
    monkeypatch.setattr(two_stage, "STATE_VERSION", two_stage.STATE_VERSION + 1)
    anew: list[int] = []
    PROTOCOL.fit(store, lambda number, *_: anew.append(number), checkpoint=state)
    assert anew.count(1) == 3


def test_the_seeds_of_another_version_are_kept(
    tmp_path: Path, store: FeatureStore, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "runs"
    run = ["run", "ez_avgzl", str(store.path), "--out", str(out), "--seeds", "2"]
    run += ["--training.epochs", "1", "--config.width", "16", "--training.batches-per-epoch", "2"]
    assert main(run) == 0
    as_an_earlier_version_wrote_it(out / "seed-0")
    written = (out / "seed-0" / "result.json").read_bytes()
    capsys.readouterr()
    assert main(run) == 0
    told = capsys.readouterr().err
    assert "seed-0, by ezav 0.0.1)" in told
    assert "seed 1: done already, kept" in told
    assert (out / "seed-0" / "result.json").read_bytes() == written
