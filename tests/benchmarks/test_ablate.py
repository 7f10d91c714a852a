"""Ablations: every row is one switch away from the full method, and the marks are right."""

from __future__ import annotations

import csv
import statistics
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from ezav.benchmarks.ablate import FULL, plan_ablation, row_results
from ezav.benchmarks.bench import plan
from ezav.benchmarks.runner import run_job
from ezav.benchmarks.switches import switches
from ezav.classes.embeddings import ClassEmbeddings
from ezav.classes.recipe import ClassEmbeddingRecipe
from ezav.cli.main import COMMANDS, main
from ezav.errors import EzavError
from ezav.features import FeatureStore, StoreWriter
from ezav.features.splits import SPLITS
from ezav.methods.ez_avgzl.method import EzAvgzlConfig
from ezav.protocol import read_result
from ezav.protocol.result import Metrics
from ezav.reports.summary import flat_settings
from tests import worlds

RECIPE = """
method: ez_avgzl
source: tests
settings:
  default:
    config: {width: 16, hidden: 16, heads: 2, head_dim: 8, mlp: 16, classes: {margin: 0.07}}
    training: {epochs: 2, batch_size: 32, batches_per_epoch: 2}
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    return worlds.store(tmp_path_factory.mktemp("ablate") / "tiny")


@pytest.fixture(scope="module")
def rich_store(store: FeatureStore, tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """The same clips with two tokens each, and a second text encoder."""
    path = tmp_path_factory.mktemp("ablate") / "rich"
    writer = StoreWriter(path, store.header)
    clips = store.select("train", "val_seen", "val_unseen", "test_seen", "test_unseen")
    split_of = dict(
        zip(store.index["clip"].to_pylist(), store.index["split"].to_pylist(), strict=True)
    )
    times = torch.tensor([0.5, 1.5])
    for row, clip in enumerate(clips.clips):
        writer.add(
            clip=clip,
            class_name=clips.classes[clips.labels[row]],
            audio=(clips.audio.values[[row, row]], times),
            visual=(clips.visual.values[[row, row]], times),
        )
    first = store.class_embeddings()
    second = ClassEmbeddings(first.names, first.vectors.flip(1), "flipped")
    writer.finish(split_of, [first, second])
    return FeatureStore.open(path)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "full.yaml"
    path.write_text(RECIPE)
    return path


def settings_of(job) -> dict:
    flat: dict = {"text": job.protocol.text_encoder, "folds": job.protocol.folds}
    for name, value in {**asdict(job.protocol.config), **asdict(job.protocol.training)}.items():
        flat.update(
            {f"{name}.{k}": v for k, v in value.items()}
            if isinstance(value, dict)
            else {name: value}
        )
    return flat


def test_every_row_differs_from_the_full_method_in_one_setting(rich_store, recipe, tmp_path):
    ablation = plan_ablation(rich_store, [0], tmp_path, recipe=recipe)
    full = settings_of(ablation.jobs[0])
    assert ablation.jobs[0].label == FULL
    switched = set()
    for job in ablation.jobs[1:]:
        mine = settings_of(job)
        different = {name for name in full if mine[name] != full[name]}
        assert len(different) == 1, (job.label, different)
        switched |= different
    assert switched == {
        "classes.source",
        "classes.alpha",
        "classes.semantic",
        "classes.shuffle",
        "classes.margin",
        "classes.ranking",
        "similarity",
        "learned_query",
        "negatives",
        "layers",
        "prior",
        "members",
        "folds",
        "modalities",
        "temporal",
        "text",
    }


def test_a_switch_inside_the_class_embeddings_keeps_the_methods_own_alpha(store, tmp_path):
    ablation = plan_ablation(store, [0], tmp_path)  # the recipe says nothing of class embeddings
    alpha = EzAvgzlConfig().classes.alpha
    assert alpha != ClassEmbeddingRecipe().alpha
    for job in ablation.jobs:
        if job.label.startswith(("margin", "sampled", "control", "separation and")):
            assert job.protocol.config.classes.alpha == alpha, job.label
    (row,) = [r for r in ablation.tables["class embeddings"] if r.is_full]
    assert row.label == "separation and ranking"


def test_no_settings_run_twice_and_every_table_has_the_full_method(rich_store, recipe, tmp_path):
    ablation = plan_ablation(rich_store, [0, 1], tmp_path, recipe=recipe)
    runs = [(tuple(settings_of(job).items()), job.seed) for job in ablation.jobs]
    assert len(set(runs)) == len(runs)
    assert len({job.folder for job in ablation.jobs}) == len(runs)
    for rows in ablation.tables.values():
        assert sum(row.is_full for row in rows) == 1
    labels = {job.label for job in ablation.jobs}
    assert {row.run for rows in ablation.tables.values() for row in rows} == labels
    # alpha 1 is separation alone, alpha 0 ranking alone: one set of runs serves both tables.
    by_label = {row.label: row.run for rows in ablation.tables.values() for row in rows}
    assert by_label["alpha 1"] == by_label["separation only"]
    assert by_label["alpha 0"] == by_label["ranking only"]


def test_runs_are_found_again_by_another_choice_of_tables(rich_store, recipe, tmp_path):
    def runs(*tables: str) -> set[tuple]:
        jobs = plan_ablation(rich_store, [0], tmp_path, recipe=recipe, tables=tables).jobs
        return {(str(job.folder), job.label, repr(settings_of(job))) for job in jobs}

    assert runs("alpha") | runs("class embeddings") <= runs()
    # The full method, and alpha 0 and 1, which are ranking and separation alone.
    assert len(runs("alpha") & runs("class embeddings")) == 3


def test_encoders_and_time_are_tables_only_where_the_store_has_several(store, rich_store):
    assert {"time", "text encoder"} & set(switches(store)) == set()
    assert {"time", "text encoder"} <= set(switches(rich_store))


def test_frozen_scores_are_a_row_only_where_an_encoder_knows_labels(store, monkeypatch):
    def priors() -> list:
        return [switch.config["prior"] for switch in switches(store)["prior"]]

    assert priors() == ["none", "closed"]
    monkeypatch.setattr("ezav.benchmarks.switches.has_labels", lambda *_: True)
    assert priors() == ["none", "frozen", "closed"]


def test_a_store_of_one_modality_has_no_table_of_both(store, tmp_path):
    clips = store.select(*SPLITS)
    split_of = dict(zip(store.index["clip"].to_pylist(), store.index["split"].to_pylist()))
    with StoreWriter(tmp_path / "silent", store.header) as writer:
        for row, clip in enumerate(clips.clips):
            visual = clips.visual.values[[row]], torch.zeros(1)
            name = clips.classes[clips.labels[row]]
            writer.add(clip=clip, class_name=name, audio=None, visual=visual)
        writer.finish(split_of, [store.class_embeddings()])
    silent = switches(FeatureStore.open(tmp_path / "silent"))
    assert set(switches(store)) - set(silent) == {"modalities"}


def test_wrong_recipe_and_wrong_table_are_one_line(store, recipe, tmp_path):
    with pytest.raises(EzavError, match="is of 'eszsl'"):
        plan_ablation(store, [0], tmp_path, recipe="eszsl")
    with pytest.raises(EzavError, match=r"no table 'time'.*there are: class embeddings"):
        plan_ablation(store, [0], tmp_path, recipe=recipe, tables=["time"])
    with pytest.raises(EzavError, match="no class embeddings of 'x'"):
        plan_ablation(store, [0], tmp_path, recipe=recipe, text_encoder="x")


def test_marks_by_hand(store, recipe, tmp_path):
    ablation = plan_ablation(store, [0, 1], tmp_path, recipe=recipe, tables=["modalities"])
    hms = {FULL: (0.40, 0.44), "audio only": (0.43, 0.43), "visual only": (0.10, 0.10)}
    template = _any_result(store, tmp_path)
    results = [
        template.model_copy(
            update={
                "label": job.label,
                "seed": job.seed,
                "metrics": Metrics(S=0, U=0, HM=hms[job.label][job.seed], ZSL=0, AUSUC=0),
            }
        )
        for job in ablation.jobs
    ]
    rows = {row.label: row for row in row_results(ablation, results)}
    assert rows["both"].verdict == "full"
    assert not rows["both"].above_full
    assert rows["both"].sd["HM"] == pytest.approx(statistics.stdev([0.40, 0.44]))
    assert rows["audio only"].verdict == "within"
    assert rows["audio only"].above_full
    assert rows["audio only"].difference == pytest.approx(0.01)
    assert rows["visual only"].verdict == "lower"
    assert not rows["visual only"].above_full


def _any_result(store, folder):
    return run_job(plan(store, ["eszsl"], [0], folder / "any")[0])


def test_the_command_writes_tables_of_its_runs_and_keeps_what_is_done(store, tmp_path, monkeypatch):
    out = tmp_path / "out"
    raw = tmp_path / "raw.yaml"  # nothing to optimise: quicker
    raw.write_text(RECIPE.replace("{margin: 0.07}", "{source: raw, margin: 0.07}"))
    arguments = ["ablate", str(store.path), "--recipe", str(raw), "--out", str(out)]
    arguments += ["--seeds", "2", "--processes", "1", "--tables", "modalities", "similarity"]
    monkeypatch.setitem(COMMANDS, "ablate", "")
    assert main(arguments) == 0
    rows = list(csv.DictReader((out / "ablation.csv").open()))
    assert [row["table"] for row in rows] == ["modalities"] * 3 + ["similarity"] * 3
    found: dict[str, list[float]] = {}
    for path in sorted(out.glob("runs/*/*/seed-*")):
        result = read_result(path)
        found.setdefault(result.label, []).append(result.metrics.HM)
        assert result.training["epochs"] == 2
        assert flat_settings(result)["config.classes.margin"] == 0.07
    for row in rows:
        label = FULL if row["verdict"] == "full" else row["row"]
        assert float(row["HM_mean"]) == pytest.approx(statistics.fmean(found[label]))
        assert float(row["HM_sd"]) == pytest.approx(statistics.stdev(found[label]))
        above = float(row["HM_mean"]) > statistics.fmean(found[FULL])
        assert (row["above_full"] == "True") == above
    text = (out / "ablation.md").read_text()
    assert text.count("▲") == 1 + sum(row["above_full"] == "True" for row in rows)
    monkeypatch.setattr("ezav.benchmarks.runner.run_job", lambda job: pytest.fail("ran again"))
    assert main(arguments) == 0
    assert (out / "ablation.md").read_text() == text


def test_a_stop_leaves_the_tables_of_the_seeds_so_far(store, recipe, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    arguments = ["ablate", str(store.path), "--recipe", str(recipe), "--out", str(out)]
    arguments += ["--seeds", "2", "--processes", "1", "--tables", "modalities"]
    ran = []

    def stopped(job):
        if job.seed == 1 and job.label == "audio only":
            raise KeyboardInterrupt
        ran.append((job.label, job.seed))
        return run_job(job)

    monkeypatch.setitem(COMMANDS, "ablate", "")
    with monkeypatch.context() as patch:
        patch.setattr("ezav.benchmarks.runner.run_job", stopped)
        assert main(arguments) == 130
    assert ran == [(FULL, 0), ("audio only", 0), ("visual only", 0), (FULL, 1)]
    rows = list(csv.DictReader((out / "ablation.csv").open()))
    assert {row["seeds"] for row in rows} == {"1"}
    assert {row["HM_sd"] for row in rows} == {""}
    capsys.readouterr()
    assert main(arguments) == 0
    rows = list(csv.DictReader((out / "ablation.csv").open()))
    assert {row["seeds"] for row in rows} == {"2"}
    # In a log there is a line for each run of this call, none for those kept, and the time left.
    lines = [line for line in capsys.readouterr().err.splitlines() if "HM" in line]
    assert [line.split(":")[0] for line in lines] == [
        "5/6 audio only, seed 1",
        "6/6 visual only, seed 1",
    ]
    assert "left" in lines[0]
