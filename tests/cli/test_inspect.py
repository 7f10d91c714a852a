"""ezav inspect: the tokens' parts sum to the score; what cannot be inspected is said."""

from __future__ import annotations

import dataclasses
import json

import pytest

from ezav.cli.main import main
from ezav.features.redraw import redrawn
from ezav.features.sources import read_sources
from ezav.features.store import FeatureStore
from ezav.protocol import TwoStageProtocol, write_run
from ezav.protocol.run_folder import read_evaluation_file
from tests import worlds
from tests.methods.test_prior import WORLD_HEAD
from tests.protocol.test_two_stage import CONFIG, TRAINING


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inspect")
    store = worlds.store(folder / "store")
    for name, config in (("ez_avgzl", CONFIG), ("eszsl", None)):
        fitted = TwoStageProtocol(method=name, config=config, training=TRAINING).fit(store)
        write_run(fitted, folder / name)
    config = dataclasses.replace(CONFIG, prior="frozen")
    with pytest.MonkeyPatch.context() as patch:  # the store's encoders know no labels
        patch.setattr("ezav.protocol.stages.label_head", lambda *_: WORLD_HEAD)
        patch.setattr("ezav.methods.ez_avgzl.method.best_weight", lambda *_: 0.75)
        fitted = TwoStageProtocol(method="ez_avgzl", config=config, training=TRAINING).fit(store)
        write_run(fitted, folder / "prior")
    return folder


@pytest.mark.parametrize("name", ["ez_avgzl", "prior"])
def test_parts_sum_to_the_score_of_the_run(trained, capsys, name):
    run = trained / name
    stored = read_evaluation_file(run / "test.safetensors")
    clip = stored.clips[3]
    status = main(
        ["inspect", str(run), "--store", str(trained / "store"), "--clips", clip, "--json"]
    )
    assert status == 0
    found = json.loads(capsys.readouterr().out)
    gamma = json.loads((run / "result.json").read_text())["gamma"]
    assert found["gamma"] == gamma
    assert gamma  # else the score and the stacked score are one
    (one,) = found["clips"]
    assert one["label"] == stored.classes[int(stored.targets[3])]
    assert {c["name"] for c in one["classes"]} >= {one["label"]}
    for part in one["classes"]:
        column = stored.classes.index(part["name"])
        total = part["prior"] + sum(token["contribution"] for token in part["tokens"])
        assert bool(part["prior"]) == (name == "prior")
        assert total == pytest.approx(float(stored.scores[3, column]), abs=1e-4)
        assert part["score"] == pytest.approx(total, abs=1e-5)
        assert part["stacked"] == pytest.approx(total - gamma * bool(stored.seen[column]), abs=1e-5)
        assert sum(token["attention"] for token in part["tokens"]) == pytest.approx(1, abs=1e-5)
        assert [t["kind"] for t in part["tokens"]] == ["class token", "audio", "visual"]
    recalls = [c["recall"] for c in found["classes"] if c["recall"] is not None]
    assert recalls == sorted(recalls)


@pytest.mark.parametrize(
    ("run", "more", "said"),
    [
        ("eszsl", ["--store", "{store}"], "does not attend token by token"),
        ("ez_avgzl", ["--store", "{store}", "--clips", "nowhere"], "no readable clip 'nowhere'"),
        ("ez_avgzl", ["--clips", "a.mp4"], "the run needs the visual encoder"),
        ("ez_avgzl", ["--store", "{store}", "--count", "0"], "--count must be at least 1, not 0"),
        ("ez_avgzl", ["--count", "-1"], "--count must be at least 1, not -1"),
        ("nothing", [], "no run at"),
    ],
)
def test_mistakes_are_one_line(trained, capsys, run, more, said):
    more = [one.format(store=trained / "store") for one in more]
    assert main(["inspect", str(trained / run), *more]) != 0
    error = capsys.readouterr().err.strip()
    assert said in error
    assert "Traceback" not in error


@pytest.mark.parametrize("told", ["unseen", "both"])
def test_a_run_whose_splits_were_drawn_anew_is_inspected(trained, tmp_path, capsys, told):
    """With other unseen classes, and with whole sources: the test clips are those of the run."""
    store = FeatureStore.open(trained / "store")
    clips = store.index.column("clip").to_pylist()
    table = tmp_path / "groups.csv"
    rows = "".join(f"{clip},tape {at // 2}\n" for at, clip in enumerate(clips))
    table.write_text(f"path,source\n{rows}")
    unseen = store.split_classes("train")[:2]
    sources = None if told == "unseen" else read_sources(table)
    view = redrawn(store, unseen, sources)
    fitted = TwoStageProtocol(method="ez_avgzl", config=CONFIG, training=TRAINING).fit(view)
    run = tmp_path / "run"
    write_run(fitted, run)
    arguments = ["inspect", str(run), "--store", str(trained / "store"), "--json"]
    groups = [] if told == "unseen" else ["--groups", str(table)]
    assert main([*arguments, *groups]) == 0
    found = json.loads(capsys.readouterr().out)
    stored = read_evaluation_file(run / "test.safetensors")
    labels = dict(zip(stored.clips, (stored.classes[at] for at in stored.targets.tolist())))
    assert len(found["clips"]) == 5
    assert all(labels[one["clip"]] == one["label"] for one in found["clips"])
    if groups:
        assert main(arguments) == 1
        assert "`groups`" not in (said := capsys.readouterr().err)
        assert "--groups" in said
