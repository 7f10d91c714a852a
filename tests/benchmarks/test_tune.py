"""Tuning: by validation alone, resumable, and the best is a recipe that bench accepts."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import signal
import statistics
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from ezav.benchmarks.bench import plan
from ezav.benchmarks.runner import run_jobs
from ezav.benchmarks.search import search_for
from ezav.benchmarks.space import Choice, Range, combinations, holds, read_space, space_of
from ezav.benchmarks.study import ask, open_study, suggest, take_up
from ezav.benchmarks.tune import as_given, best_of, tune, write_search
from ezav.cli.main import COMMANDS, main
from ezav.errors import DamagedError, EzavError
from ezav.features import FeatureStore
from ezav.methods import registry
from ezav.protocol import TwoStageProtocol
from ezav.recipes import load_recipe
from tests import worlds

pytest.importorskip("optuna", reason="optuna is not installed")

RECIPE = """
method: ez_avgzl
source: tests
settings:
  default:
    config: {width: 16, hidden: 16, heads: 2, head_dim: 8, mlp: 16, classes: {source: raw}}
    training: {epochs: 2, batch_size: 32, batches_per_epoch: 2, learning_rate: 0.002}
"""
SPACE = {
    "training.learning_rate": Range(low=1e-4, high=1e-2, log=True),
    "config.layers": Choice(choices=(0, 1)),
    "config.similarity": Choice(choices=("attention", "cosine")),
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    return worlds.store(tmp_path_factory.mktemp("tune") / "tiny")


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "mine.yaml"
    path.write_text(RECIPE)
    return path


@pytest.fixture
def search(store, recipe):
    return search_for(store, recipe, SPACE, [0, 1])


def validation_hm(store, protocol, seeds):
    """By the full protocol, whose history holds every epoch's HM."""
    hms = []
    for seed in seeds:
        fitted = dataclasses.replace(protocol, seed=seed).fit(store)
        hms.append(max(epoch.HM for epoch in fitted.history_))
    return statistics.fmean(hms)


def test_the_objective_is_the_validation_hm_and_test_clips_are_never_read(
    store, search, tmp_path, monkeypatch
):
    real_select = FeatureStore.select

    def select(self, *splits, **kwargs):
        assert not any(split.startswith("test") for split in splits), "test clips were read"
        return real_select(self, *splits, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(FeatureStore, "select", select)
        trials = tune(search, tmp_path, 3, processes=1)
    assert [trial.state for trial in trials] == ["complete"] * 3
    for trial in trials:
        protocol = search.protocol_of(trial.settings)
        assert pytest.approx(validation_hm(store, protocol, (0, 1))) == trial.HM
        assert pytest.approx(statistics.fmean(trial.hms)) == trial.HM
    best = best_of(trials)
    assert max(trial.HM for trial in trials) == best.HM
    # The first trial is the recipe as it is.
    assert trials[0].settings["training.learning_rate"] == pytest.approx(0.002)
    assert trials[0].settings["config.layers"] == 1


def test_a_search_goes_on_and_runs_again_what_a_kill_cut_short(search, tmp_path):
    first = tune(search, tmp_path, 2, processes=1)
    cut = open_study(tmp_path).ask()  # a trial that never ends, as after a kill
    tried = cut.suggest_float("training.learning_rate", 1e-4, 1e-2, log=True)
    told = []
    after = tune(search, tmp_path, 4, processes=1, on_trial=lambda *one: told.append(one))
    assert after[:2] == first
    assert len(after) == 4
    assert [trial for trial, _ in told] == after
    assert [kept for _, kept in told] == [True, True, False, False]
    assert tried in [trial.settings["training.learning_rate"] for trial in after[2:]]
    assert len({json.dumps(trial.settings) for trial in after}) == 4, "a sampler repeats itself"
    assert tune(search, tmp_path, 4, processes=1) == after


def test_processes_that_ask_at_once_get_trials_of_their_own(tmp_path):
    queued = [{"training.learning_rate": rate / 1000} for rate in range(1, 25)]
    take_up(open_study(tmp_path), queued[0], queued[1:])
    with ThreadPoolExecutor(6) as pool:
        trials = list(pool.map(lambda _: ask(tmp_path)[1].number, queued))
    assert sorted(trials) == list(range(len(queued)))


def test_processes_that_ask_at_once_draw_different_settings(tmp_path):
    take_up(open_study(tmp_path), {"training.learning_rate": 0.001}, [])
    space = {"training.learning_rate": Range(low=1e-4, high=1e-2, log=True)}
    with ThreadPoolExecutor(6) as pool:
        asked = list(pool.map(lambda _: ask(tmp_path)[1], range(6)))
    rates = {suggest(space, trial)["training.learning_rate"] for trial in asked}
    assert len(rates) == 6


def test_a_space_of_choices_is_tried_out_each_once(store, recipe, tmp_path, monkeypatch):
    hms = iter([0.1, 0.3, 0.2, 0.2])
    monkeypatch.setattr(
        TwoStageProtocol, "validate", lambda protocol, store: SimpleNamespace(HM=next(hms))
    )
    space = {
        "config.classes.source": Choice(choices=("ceo", "raw")),
        "config.classes.alpha": Choice(
            choices=(0.05, 0.2, 0.5), when={"config.classes.source": "ceo"}
        ),
    }
    search = search_for(store, recipe, space, [0])
    study = open_study(tmp_path)
    take_up(study, {"config.classes.source": "raw"}, combinations(space) or [])
    study.ask()  # the first trial, cut short before it began
    study.set_user_attr("key", search.key())
    trials = tune(search, tmp_path, 9, processes=1)
    tried = [tuple(trial.settings.values()) for trial in trials]
    assert tried[-1] == ("raw",)
    assert sorted(tried[:-1]) == [("ceo", 0.05), ("ceo", 0.2), ("ceo", 0.5)]
    assert best_of(trials).HM == 0.3
    assert as_given(search, trials) == trials[-1]


def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_process_is_one_line(search, tmp_path, monkeypatch, store):
    monkeypatch.setattr("ezav.benchmarks.tune.run_trial", die)
    with pytest.raises(EzavError, match=r"a process died.*fewer `processes`"):
        tune(search, tmp_path, 2, processes=2)
    monkeypatch.setattr("ezav.benchmarks.runner.run_job", die)
    with pytest.raises(EzavError, match=r"a process died.*fewer `processes`"):
        run_jobs(plan(store, ["eszsl"], [0, 1], tmp_path / "bench"), processes=2)


def test_a_search_that_goes_on_is_left_alone(search, tmp_path):
    told = []

    def again(trial, kept):
        with pytest.raises(EzavError, match="another process goes on with the search"):
            tune(search, tmp_path, 2, processes=1)
        told.append(trial.state)

    for trials in (1, 2):
        tune(search, tmp_path, trials, processes=trials, on_trial=again)
    assert told == ["complete"] * 3


def test_one_process_gives_the_same_search_again(search, tmp_path):
    assert tune(search, tmp_path / "a", 3, processes=1) == tune(
        search, tmp_path / "b", 3, processes=1
    )


def test_a_folder_of_another_search_is_refused(store, recipe, search, tmp_path):
    tune(search, tmp_path, 1, processes=1)
    other = search_for(store, recipe, SPACE, [0, 1, 2])
    with pytest.raises(EzavError, match="another `out`"):
        tune(other, tmp_path, 2, processes=1)


def test_settings_that_diverge_fail_alone(store, recipe, tmp_path):
    wild = search_for(store, recipe, {"training.learning_rate": Choice(choices=(0.002, 1e30))}, [0])
    trials = tune(wild, tmp_path / "some", 6, processes=1)
    failed = [trial for trial in trials if trial.state == "fail"]
    assert failed
    assert all(trial.settings["training.learning_rate"] == 1e30 for trial in failed)
    assert "loss became" in failed[0].error
    assert best_of(trials).settings["training.learning_rate"] == 0.002


def test_hopeless_first_seeds_end_a_trial(store, recipe, tmp_path, monkeypatch):
    """Trials below the median of the others after one seed do not run the other two."""
    hms = iter([0.5] * 15 + [0.1] + [0.6] * 3)
    monkeypatch.setattr(
        TwoStageProtocol, "validate", lambda protocol, store: SimpleNamespace(HM=next(hms))
    )
    rates = {"training.learning_rate": Range(low=1e-4, high=1e-2)}
    search = search_for(store, recipe, rates, [0, 1, 2])
    trials = tune(search, tmp_path, 7, processes=1)
    assert [len(trial.hms) for trial in trials] == [3] * 5 + [1, 3]
    assert [trial.state for trial in trials] == ["complete"] * 5 + ["pruned", "complete"]
    assert trials[5].HM is None
    assert best_of(trials).number == 6


def test_the_best_is_a_recipe_that_bench_and_run_take(store, recipe, tmp_path, monkeypatch, capsys):
    space = tmp_path / "space.yaml"
    space.write_text(
        "training.learning_rate: {low: 0.0001, high: 0.01, log: true}\n"
        "config.layers: {choices: [0, 1]}\n"
        "config.classes.alpha: {low: 0.1, high: 0.9, when: {config.layers: 7}}\n"
    )
    monkeypatch.setitem(COMMANDS, "tune", "")
    out = tmp_path / "search"
    arguments = ["tune", str(store.path), "--method", str(recipe), "--space", str(space)]
    arguments += ["--out", str(out), "--trials", "2", "--seeds", "2", "--processes", "2"]
    assert main([*arguments, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    rows = list(csv.DictReader((out / "trials.csv").open()))
    hms = [float(row["validation_HM"]) for row in rows if row["state"] == "complete"]
    assert told["best"]["HM"] == max(hms)
    assert all(row["config.classes.alpha"] == "" for row in rows), "its condition never held"
    setting = load_recipe(told["recipe"]).setting("anything")
    assert setting.config["layers"] == told["best"]["settings"]["config.layers"]
    assert setting.config["width"] == 16
    assert setting.config["classes"] == {"source": "raw"}
    results = run_jobs(plan(store, [told["recipe"]], [0, 1], tmp_path / "bench"), processes=1)
    assert statistics.fmean(r.validation.HM for r in results) == pytest.approx(max(hms))
    assert main(["run", told["recipe"], str(store.path), "--out", str(out / "run"), "--json"]) == 0
    (run,) = json.loads(capsys.readouterr().out)["runs"]
    assert (run["label"], run["method"]) == (Path(told["recipe"]).stem, "ez_avgzl")
    assert run["validation"]["HM"] == pytest.approx(results[0].validation.HM)
    assert main(arguments) == 0
    assert "let 'ezav bench' judge" in capsys.readouterr().out


def test_a_recipe_outside_the_space_is_still_the_first_trial(store, recipe, tmp_path):
    narrow = {
        "config.layers": Choice(choices=(3, 4)),
        "training.learning_rate": Range(low=0.5, high=0.9),
    }
    trials = tune(search_for(store, recipe, narrow, [0]), tmp_path, 1, processes=1)
    assert trials[0].settings == {"config.layers": 1, "training.learning_rate": 0.002}


@pytest.mark.parametrize("name", registry.names())
def test_every_declared_space_holds_settings_of_the_method(store, name, tmp_path):
    if not registry.get(name).trainable:
        with pytest.raises(EzavError, match="no declared space"):
            space_of(name)
    else:
        search = search_for(store, name, space_of(name), [0])
        study = open_study(tmp_path)
        take_up(study, {}, [])
        values = suggest(search.space, study.ask())
        assert set(values) == {path for path, one in search.space.items() if holds(one, values)}


def test_whole_ends_hold_a_recipe_that_is_not_whole(store, recipe):
    space = {"config.classes.margin": Range(low=0, high=1)}  # the recipe's is 0.1
    one = search_for(store, recipe, space, [0]).space["config.classes.margin"]
    assert (type(one.low), type(one.high)) == (float, float)


def test_a_range_that_cannot_hold_the_recipe_is_refused(store):
    for path, one in (
        ("training.weight_decay", Range(low=1e-6, high=1e-3, log=True)),
        ("training.gradient_clip", Range(low=0.1, high=10.0)),
    ):
        with pytest.raises(EzavError, match="cannot hold the recipe's own"):
            search_for(store, "ale", {path: one}, [0])


def test_a_setting_of_the_blended_method_must_be_in_the_recipe(store, tmp_path, capsys):
    space, recipe = tmp_path / "space.yaml", tmp_path / "mine.yaml"
    space.write_text("config.trained_config.out_dim: {choices: [16, 32]}\n")
    recipe.write_text(
        "{method: blending, source: tests, settings: {default: {config: "
        "{trained: clipclap, trained_config: {out_dim: 64}}}}}"
    )
    command = ["tune", str(store.path), "--trials", "1", "--space", str(space)]
    command += ["--out", str(tmp_path / "out"), "--method"]
    assert main([*command, "blending"]) == 1
    assert "'config.trained_config.out_dim', which the recipe does not" in capsys.readouterr().err
    found = search_for(store, recipe, read_space(space), [0]).space
    assert found["config.trained_config.out_dim"].choices == (16, 32, 64)


def test_nothing_is_a_choice_too(store, recipe, tmp_path):
    path = tmp_path / "space.yaml"
    path.write_text(
        "training.patience: {choices: [null, 1]}\n"
        "config.layers: {choices: [0, 1], when: {training.patience: null}}\n"
    )
    space = read_space(path)
    assert combinations(space) == [
        {"training.patience": None, "config.layers": 0},
        {"training.patience": None, "config.layers": 1},
        {"training.patience": 1},
    ]
    assert not holds(space["config.layers"], {})
    trials = tune(search_for(store, recipe, space, [0]), tmp_path / "out", 3, processes=1)
    assert [one.state for one in trials] == ["complete"] * 3


def test_a_setting_may_stand_before_the_one_it_waits_for(tmp_path):
    path = tmp_path / "space.yaml"
    path.write_text("a: {choices: [1, 2], when: {b: ceo}}\nb: {choices: [ceo, raw]}\n")
    assert combinations(read_space(path)) == [
        {"b": "ceo", "a": 1},
        {"b": "ceo", "a": 2},
        {"b": "raw"},
    ]


def test_a_number_with_an_exponent_is_a_number(store, recipe, tmp_path):
    path = tmp_path / "space.yaml"
    path.write_text(
        "training.learning_rate: {choices: [1e-4, 2e-3]}\n"
        "config.layers: {choices: [0, 1], when: {training.learning_rate: 1e-4}}\n"
        "config.similarity: {choices: [cosine]}\n"
    )
    space = read_space(path)
    assert space["training.learning_rate"].choices == (0.0001, 0.002)
    assert space["config.similarity"].choices == ("cosine",)
    # The recipe's own rate, 0.002, is one of the two and not a third.
    assert len(combinations(search_for(store, recipe, space, [0]).space)) == 2 * 2 + 2


@pytest.mark.parametrize("name", ["what?", "a{x}", "50%25", "a#b@c:d"])
def test_a_search_lives_in_its_folder_whatever_its_name(tmp_path, name):
    out = tmp_path / name
    out.mkdir()
    take_up(open_study(out), {"training.learning_rate": 0.001}, [])
    assert len(open_study(out).get_trials()) == 1
    assert [path.name for path in tmp_path.rglob("*.sqlite3")] == ["tune.sqlite3"]
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_damaged_file_of_a_search_is_one_line(store, recipe, tmp_path):
    take_up(open_study(tmp_path), {"training.learning_rate": 0.001}, [])
    data = bytearray((tmp_path / "tune.sqlite3").read_bytes())
    data[100:4096] = bytes(3996)  # its table of tables
    (tmp_path / "tune.sqlite3").write_bytes(data)
    search = search_for(store, recipe, SPACE, [0])
    with pytest.raises(DamagedError, match="is no search, or a damaged one"):
        tune(search, tmp_path, 1, processes=1)
    assert (tmp_path / "tune.sqlite3").read_bytes() == data


def test_a_grid_is_finished_whatever_was_tried_twice(store, recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(
        TwoStageProtocol, "validate", lambda protocol, store: SimpleNamespace(HM=0.5)
    )
    space = {"config.negatives": Choice(choices=("batch", "seen", "distinct"))}
    search = search_for(store, recipe, space, [0])
    tune(search, tmp_path, 1, processes=1)
    again = open_study(tmp_path)
    again.enqueue_trial({"config.negatives": "seen"})  # as a sampler does that draws it again
    tune(search, tmp_path, 2, processes=1)
    trials = tune(search, tmp_path, 3, processes=1)
    assert {trial.settings["config.negatives"] for trial in trials} == {"batch", "seen", "distinct"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("config.layers: {low: 3}", "config.layers"),
        ("config.layers: {low: 3, high: 1}", "no range from 3 to 1"),
        ("config.layers: {low: 0, high: 1, log: true}", "no range from 0"),
        ("config.layers: [1, 2]", "config.layers"),
        ("[", "not YAML"),
        ("{}", "holds no setting"),
        ("a: {choices: [1], when: {b: 2}}", "waits for 'b', which it does not name"),
        (
            "a: {choices: [1], when: {b: 2}}\nb: {choices: [2], when: {a: 1}}",
            "waits for it in turn",
        ),
    ],
)
def test_a_wrong_space_file_is_one_line(tmp_path, text, message):
    path = tmp_path / "space.yaml"
    path.write_text(text)
    with pytest.raises(EzavError) as caught:
        read_space(path)
    assert message in caught.value.message
    assert "\n" not in caught.value.message


def test_an_unknown_text_encoder_is_refused_before_any_trial(store, recipe):
    with pytest.raises(EzavError, match="no class embeddings of 'nope'"):
        search_for(store, recipe, SPACE, [0], text_encoder="nope")


def test_a_space_of_settings_that_do_not_exist_is_refused_before_any_trial(store, recipe):
    for space, message in (
        ({"config.layer": Choice(choices=(1,))}, "no field 'layer'"),
        ({"layers": Choice(choices=(1,))}, "begin with 'config.'"),
        ({"config.dropout": Range(low=0.0, high=1.0)}, "outside"),
        ({"config.similarity": Choice(choices=("dot",))}, "similarity"),
    ):
        with pytest.raises(EzavError, match=message):
            search_for(store, recipe, space, [0])


def test_the_recipe_file_says_where_it_comes_from(store, search, tmp_path):
    trials = tune(search, tmp_path, 1, processes=1)
    data = yaml.safe_load(write_search(search, trials, tmp_path).read_text())
    assert store.fingerprint[:12] in data["source"]
    assert "no test clip" in data["source"]
