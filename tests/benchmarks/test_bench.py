"""Bench: finished jobs are kept, changed ones run again, a kill loses little, tables tell."""

from __future__ import annotations

import csv
import dataclasses
import json
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import ezav.benchmarks.runner
from ezav.benchmarks.bench import find_store, plan, published_rows, write_tables
from ezav.benchmarks.runner import Job, is_done, run_job, run_jobs
from ezav.benchmarks.search import search_for
from ezav.benchmarks.simulate import plan_simulation, write_store
from ezav.classes.embeddings import ClassEmbeddings
from ezav.cli.main import main
from ezav.errors import EzavError, RefusedError
from ezav.features import EncoderInfo, Header, StoreWriter
from ezav.features.store import FeatureStore
from ezav.manifest import MANIFEST
from ezav.protocol import TwoStageProtocol, read_result
from ezav.protocol.run_folder import read_evaluation_file
from ezav.recipes import load_recipe, protocol_for, suite_of
from ezav.recipes.frozen import frozen_weight
from ezav.recipes.settings import typed_settings
from tests import worlds

SMALL = {"width": 16, "hidden": 16, "heads": 2, "head_dim": 8, "mlp": 16}
QUICK = {"epochs": 2, "batch_size": 32, "batches_per_epoch": 2}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    return worlds.store(tmp_path_factory.mktemp("bench") / "tiny")


@pytest.fixture(scope="module")
def ucf(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    path = tmp_path_factory.mktemp("suites") / "ucf-main-simulated"
    write_store(plan_simulation("ucf-main", scale=0.02), path)
    return FeatureStore.open(path)


RAW = {**SMALL, "classes": {"source": "raw"}}


def job(
    store: FeatureStore,
    folder: Path,
    label: str = "small",
    method: str = "ez_avgzl",
    config: dict | None = None,
    training: dict | None = None,
    seed: int = 0,
) -> Job:
    settings = typed_settings(
        method, RAW if config is None else config, QUICK if training is None else training
    )
    protocol = TwoStageProtocol(method=method, config=settings[0], training=settings[1], seed=seed)
    return Job(protocol=protocol, store=store.path, folder=folder, label=label)


def test_a_finished_job_is_read_and_not_run_again(store, tmp_path, monkeypatch):
    jobs = [job(store, tmp_path / f"seed-{seed}", seed=seed) for seed in (0, 1)]
    first = run_jobs(jobs, processes=1)
    monkeypatch.setattr("ezav.benchmarks.runner.run_job", lambda one: pytest.fail("ran again"))
    told = []
    again = run_jobs(jobs, processes=1, on_done=lambda one, result: told.append(one.seed))
    assert again == first
    assert told == [0, 1]
    assert [result.seed for result in first] == [0, 1]


@pytest.mark.parametrize(
    "changes",
    [
        {"config": {**RAW, "dropout": 0.1}},
        {"config": {**SMALL, "classes": {"source": "raw", "shuffle": True}}},
        {"training": {**QUICK, "learning_rate": 2e-3}},
        {"seed": 5},
        {"label": "other"},
        {"method": "eszsl", "config": {}, "training": {}},
    ],
)
def test_any_changed_setting_makes_a_job_undone(store, tmp_path, changes):
    done = job(store, tmp_path / "run")
    run_job(done)
    assert is_done(done, store) is not None
    assert is_done(job(store, tmp_path / "run", **changes), store) is None


def test_a_changed_config_replaces_the_outdated_run(store, tmp_path):
    run_jobs([job(store, tmp_path / "run")], processes=1)
    changed = job(store, tmp_path / "run", training={**QUICK, "epochs": 1})
    run_jobs([changed], processes=1)
    assert read_result(tmp_path / "run").training["epochs"] == 1
    assert is_done(changed, store)


def _another(store):
    return FeatureStore(store.path, store.contents.model_copy(update={"fingerprint": "another"}))


def test_another_store_or_a_damaged_result_is_not_done(store, tmp_path):
    done = job(store, tmp_path / "run")
    run_job(done)
    assert is_done(done, _another(store)) is None
    whole = (tmp_path / "run" / "result.json").read_text()
    (tmp_path / "run" / "result.json").write_text(whole[: len(whole) // 2])
    (tmp_path / "run" / MANIFEST).unlink()  # as of a version that wrote none
    with pytest.warns(UserWarning, match="run again: .*damaged"):
        assert is_done(done, store) is None
    assert run_jobs([done], processes=1)[0] == read_result(tmp_path / "run")


@pytest.mark.parametrize("name", ["result.json", "weights.safetensors", "test.safetensors"])
def test_a_run_that_was_changed_is_neither_taken_nor_replaced(store, tmp_path, name):
    done = job(store, tmp_path / "run")
    run_job(done)
    changed = (tmp_path / "run" / name).read_bytes() + b"\n"
    (tmp_path / "run" / name).write_bytes(changed)
    with pytest.raises(RefusedError, match=f"changed after it was written .*{name}"):
        run_jobs([done], processes=1)
    assert (tmp_path / "run" / name).read_bytes() == changed


def test_runs_in_processes_give_what_runs_in_turn_give(store, tmp_path):
    def jobs(where: str) -> list[Job]:
        return [job(store, tmp_path / where / f"{seed}", seed=seed) for seed in (0, 1)]

    together, in_turn = run_jobs(jobs("a"), processes=2), run_jobs(jobs("b"), processes=1)
    assert [r.metrics for r in together] == [r.metrics for r in in_turn]


def test_a_run_computes_with_one_thread_here_too(store, tmp_path, monkeypatch):
    threads = []
    before = torch.get_num_threads()
    real = ezav.benchmarks.runner.run_job
    monkeypatch.setattr(
        ezav.benchmarks.runner,
        "run_job",
        lambda job: (threads.append(torch.get_num_threads()), real(job))[1],
    )
    torch.set_num_threads(2)
    try:
        run_jobs([job(store, tmp_path / "run")], processes=1)
        assert (threads, torch.get_num_threads()) == ([1], 2)
    finally:
        torch.set_num_threads(before)


KILLED = """
import os, signal, sys
from pathlib import Path
from torch.optim.optimizer import register_optimizer_step_post_hook
from ezav.cli.main import main

steps = 0

def kill(*_):  # in the middle of the second run, however busy the machine is
    global steps
    steps += Path(sys.argv[1]).is_file()
    if steps == 100:
        os.kill(os.getpid(), signal.SIGKILL)

register_optimizer_step_post_hook(kill)
sys.exit(main(sys.argv[2:]))
"""


def test_a_killed_bench_goes_on_and_ends_as_an_undisturbed_one(store, tmp_path):
    out = tmp_path / "killed"
    arguments = [str(store.path), "--methods", "devise", "--seeds", "2", "--processes", "1"]
    arguments += ["--epochs", "40", "--batches-per-epoch", "30"]
    kept = out / "runs" / "devise" / "seed-0" / "result.json"
    command = [sys.executable, "-c", KILLED, str(kept), "bench", *arguments, "--out", str(out)]
    killed = subprocess.run(command, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert kept.is_file()
    written = kept.stat().st_mtime_ns
    assert not (out / "runs" / "devise" / "seed-1").exists()
    assert main(["bench", *arguments, "--out", str(out)]) == 0
    assert kept.stat().st_mtime_ns == written
    assert main(["bench", *arguments, "--out", str(tmp_path / "whole")]) == 0
    for seed in (0, 1):
        ours, theirs = (
            read_result(folder / "runs" / "devise" / f"seed-{seed}")
            for folder in (out, tmp_path / "whole")
        )
        assert (ours.metrics, ours.gamma, ours.epoch) == (
            theirs.metrics,
            theirs.gamma,
            theirs.epoch,
        )
    hidden = [path.name for path in (out / "runs" / "devise").iterdir() if path.name[0] == "."]
    assert not hidden


def test_a_failing_job_is_told_and_the_finished_ones_stay(store, tmp_path):
    good = job(store, tmp_path / "good")
    bad = job(store, tmp_path / "bad", training={**QUICK, "learning_rate": 1e30})
    with pytest.raises(EzavError, match="lower the learning rate"):
        run_jobs([good, bad], processes=1)
    assert is_done(good, store)
    assert not (tmp_path / "bad" / "result.json").exists()


RECIPE = "method: ez_avgzl\nsource: us\nsettings:\n  default:\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (RECIPE + "    config: {widht: 3}\n", "no field 'widht'"),
        (RECIPE + "    config: {classes: {alfa: 0.3}}\n", "classes has no field 'alfa'"),
        (RECIPE + "    config: {width: wide}\n", "width: Input should be a valid integer"),
        (RECIPE + "    config: {dropout: 1.5}\n", "outside"),
        (RECIPE + "    config: {classes: {source: sideways}}\n", "classes.source"),
        (RECIPE + "    training: {epoch: 3}\n", "no field 'epoch'"),
        (RECIPE + "    training: {schedule: steps}\n", "training.schedule"),
        (RECIPE + "    publisht: {}\n", "settings.default.publisht"),
        ("method: nothing\nsource: us\nsettings: {default: {}}\n", "no method 'nothing'"),
        ("method: eszsl\nsettings: {}\n", "source: Field required"),
        ("method: [eszsl\n", "is not YAML"),
        ("", "the file"),
    ],
)
def test_a_wrong_recipe_is_one_line_that_names_the_field(tmp_path, text, message):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(EzavError) as caught:
        load_recipe(path)
    assert message in caught.value.message
    assert str(path) in caught.value.message
    assert "\n" not in caught.value.message


def test_a_recipe_in_another_encoding_is_one_line(tmp_path):
    (tmp_path / "mine.yaml").write_bytes("method: eszsl\nsource: Bärbel\n".encode("latin-1"))
    with pytest.raises(EzavError, match="not text in UTF-8"):
        load_recipe(tmp_path / "mine.yaml")


def test_an_absent_recipe_is_one_line():
    with pytest.raises(EzavError, match="no method or recipe 'nothing'"):
        load_recipe("nothing")


def test_a_plan_takes_the_suites_setting_and_labels_files_by_name(ucf, tmp_path):
    path = tmp_path / "my try.yaml"
    path.write_text(
        "method: eszsl\nsource: us\nsettings:\n"
        "  default: {config: {gamma: 1.0}}\n  ucf-main: {config: {gamma: 2.0}}\n"
    )
    jobs = plan(ucf, [str(path), "devise"], range(2), tmp_path / "out", training={"epochs": 3})
    told = [(one.label, one.protocol.method, one.seed) for one in jobs]
    assert told == [
        ("my try", "eszsl", 0),
        ("my try", "eszsl", 1),
        ("devise", "devise", 0),
        ("devise", "devise", 1),
    ]
    assert jobs[0].protocol.config.gamma == 2.0
    assert all(one.protocol.training.epochs == 3 for one in jobs)
    assert len({one.folder for one in jobs}) == 4


@pytest.mark.parametrize("order", [("STORE", "--out", "RUN"), ("--out", "RUN", "STORE")])
def test_run_takes_the_settings_that_bench_takes_for_the_same_store(tmp_path, order, capsys):
    recipe = load_recipe("avca")
    assert recipe.setting("ucf-cls").config != recipe.setting("default").config
    folder, path = tmp_path / "run", tmp_path / "ucf-cls-simulated"
    write_store(plan_simulation("ucf-cls", scale=0.02), path)
    places = {"STORE": str(path), "RUN": str(folder)}
    short = {"epochs": 1, "batches_per_epoch": 1}
    options = ["--training.epochs", "1", "--training.batches-per-epoch", "1", "--device", "cpu"]
    assert main(["run", "avca", *(places.get(part, part) for part in order), *options]) == 0
    store = FeatureStore.open(path)
    planned = plan(store, ["avca"], range(1), tmp_path / "bench", training=short)[0]
    assert is_done(dataclasses.replace(planned, folder=folder), store)


def test_two_of_one_name_are_refused_before_any_run(store, ucf, tmp_path, capsys):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.yaml").write_text(
            "method: eszsl\nsource: us\nsettings: {default: {}}\n"
        )
        worlds.store(tmp_path / folder / "tiny")
    files = [str(tmp_path / folder / "mine.yaml") for folder in ("a", "b")]
    out = ["--out", str(tmp_path / "out"), "--seeds", "1"]
    assert main(["bench", str(store.path), "--methods", *files, *out]) == 1
    assert "two of the methods are called 'mine'" in capsys.readouterr().err
    assert main(["bench", str(store.path), "--methods", "eszsl", "eszsl", *out]) == 1
    stores = [str(tmp_path / folder / "tiny") for folder in ("a", "b")]
    assert main(["bench", *stores, "--methods", "eszsl", *out]) == 1
    assert "two of the targets are called 'tiny'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_tables_say_simulated_and_keep_published_rows_apart(ucf, tmp_path):
    results = run_jobs(plan(ucf, ["eszsl"], range(2), tmp_path), processes=1)
    text = write_tables(results, ucf, tmp_path).read_text()
    ours, theirs = text.split("Published rows")
    assert "SIMULATED DATA" in ours
    hms = [100 * result.metrics.HM for result in results]
    mean, half = sum(hms) / 2, abs(hms[0] - hms[1]) / 2**0.5
    assert f"{mean:.1f} ± {half:.1f}" in ours
    assert len(published_rows(ucf)) == 8
    for row in published_rows(ucf):
        assert f"| {row.method} |" not in ours
        line = next(line for line in theirs.splitlines() if line.startswith(f"| {row.method} |"))
        assert f"{100 * row.HM:.2f} | {100 * row.ZSL:.2f}" in line
        assert row.source in line
    rows = list(csv.DictReader((tmp_path / "results.csv").open()))
    assert [float(row["HM"]) for row in rows] == [r.metrics.HM for r in results]
    assert all(row["simulated"] == "true" for row in rows)


def test_a_folder_called_ucf_is_not_the_suite(store, ucf, tmp_path):
    def called(how: str | None) -> SimpleNamespace:
        splits = None if how is None else SimpleNamespace(how=how)
        return SimpleNamespace(dataset="UCF", setting="main", simulated=False, splits=splits)

    assert [suite_of(called(how)) for how in (None, "manifest", "drawn")] == [""] * 3
    assert suite_of(called("published")) == suite_of(ucf.header) == "ucf-main"


def test_data_of_ones_own_has_neither_published_rows_nor_the_label(store, tmp_path):
    results = run_jobs(plan(store, ["eszsl"], range(1), tmp_path), processes=1)
    text = write_tables(results, store, tmp_path).read_text()
    assert "Published rows" not in text
    assert "SIMULATED" not in text


def test_the_command_finds_a_suite_by_name_and_says_what_is_missing(ucf, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = ["--methods", "eszsl", "--out", str(out), "--seeds", "1", "--json"]
    stores = str(ucf.path.parent)
    assert main(["bench", "ucf-main", "--stores", stores, *arguments]) == 0
    told = json.loads(capsys.readouterr().out)["targets"][str(ucf.path)]
    assert Path(told["table"]).is_file()
    assert told["results"][0]["simulated"] is True
    assert find_store(str(ucf.path), Path("nowhere")).path == ucf.path
    assert main(["bench", "vggsound-main", "--stores", stores, *arguments]) == 1
    assert "no feature store 'vggsound-main'" in capsys.readouterr().err


def test_the_frozen_baseline_is_in_every_table_that_can_have_it(tmp_path: Path) -> None:
    write_store(plan_simulation("ucf-clipclap", scale=0.01), tmp_path / "clipclap")
    clipclap = FeatureStore.open(tmp_path / "clipclap")
    jobs = plan(clipclap, ["eszsl"], range(3), tmp_path / "out")
    assert [(job.protocol.method, job.seed) for job in jobs[3:]] == [("zero_shot", 0)]
    named = plan(clipclap, ["zero_shot", "eszsl"], range(2), tmp_path / "out")
    assert [job.protocol.method for job in named] == ["zero_shot"] * 2 + ["eszsl"] * 2
    table = write_tables(run_jobs(jobs[2:], processes=1), clipclap, tmp_path).read_text()
    assert "| zero\\_shot (frozen baseline) | 1 |" in table


def test_no_baseline_where_text_and_features_share_no_space(ucf: FeatureStore) -> None:
    assert {job.protocol.method for job in plan(ucf, ["eszsl"], [0], Path("out"))} == {"eszsl"}


def store_with(
    path: Path, visual: tuple[str, int], audio: tuple[str, int], *texts: tuple[str, int]
) -> FeatureStore:
    """A store of six classes, its encoders called as `ezav extract` calls them."""
    header = Header(
        dataset="mine",
        encoders=(
            EncoderInfo(modality="visual", name=visual[0], dimension=visual[1]),
            EncoderInfo(modality="audio", name=audio[0], dimension=audio[1]),
        ),
    )
    places = [("train", (0, 1)), ("val_seen", (0, 1)), ("test_seen", (0, 1))]
    places += [("val_unseen", (2, 3)), ("test_unseen", (4, 5))]
    names = tuple(f"class {number}" for number in range(6))
    draw = torch.Generator().manual_seed(0)
    splits = {}
    with StoreWriter(path, header) as writer:
        for split, classes in places:
            for number in classes:
                splits[f"{split}-{number}"] = split
                writer.add(
                    clip=f"{split}-{number}",
                    class_name=names[number],
                    audio=(torch.randn(1, audio[1], generator=draw), torch.zeros(1)),
                    visual=(torch.randn(1, visual[1], generator=draw), torch.zeros(1)),
                )
        writer.finish(
            splits,
            [ClassEmbeddings(names, torch.randn(6, d, generator=draw), name) for name, d in texts],
        )
    return FeatureStore.open(path)


CLIP, CLAP, MINILM = ("clip@3d74acf9", 6), ("clap@8fa0f1c6", 5), ("minilm@sha256:5", 4)


def test_the_baseline_joins_where_the_text_is_that_of_the_features(tmp_path: Path) -> None:
    vggish, clap = ("vggish", 3), ("clap", 5)
    sight = store_with(tmp_path / "sight", ("clip", 6), vggish, MINILM, CLIP)
    both = store_with(tmp_path / "both", ("clip", 6), clap, CLIP, CLAP)
    large = store_with(tmp_path / "large", ("clip", 6), vggish, ("clip-large@32bd6428", 8))
    shared = store_with(tmp_path / "shared", ("pe-av", 6), ("pe-av", 6), ("pe-av@0d24878d", 6))
    assert frozen_weight(sight) is None
    assert frozen_weight(sight, CLIP[0]) == 1
    assert frozen_weight(sight, f"{CLIP[0]} + {MINILM[0]}") is None
    assert frozen_weight(both) == 1
    assert frozen_weight(both, CLAP[0]) == 0
    assert frozen_weight(both, f"{CLIP[0]} + {CLAP[0]}") == 0.5
    assert frozen_weight(both, f"{CLAP[0]} + {CLIP[0]}") is None  # zero_shot takes CLIP first
    assert frozen_weight(large) is None
    assert frozen_weight(shared) == 0.5
    for made, text in ((sight, CLIP[0]), (both, None), (both, CLAP[0]), (large, None)):
        jobs = plan(made, ["eszsl"], [0], tmp_path / f"{made.path.name}-{text}", text_encoder=text)
        assert len(run_jobs(jobs, processes=1)) == 1 + (made is not large)


def test_features_of_another_space_have_no_share_in_the_baseline(tmp_path: Path) -> None:
    """CLIP and CLAP vectors are of one size: sound must not be compared with CLIP's text."""
    made = store_with(tmp_path / "store", ("clip", 6), ("clap", 6), CLIP, ("clap@8fa0f1c6", 6))
    clap = "clap@8fa0f1c6"
    for text, modality, ways in (
        (None, "visual", [[]]),
        (clap, "audio", [["--text-encoder", clap], [f"--text_encoder={clap}"]]),
    ):
        job = plan(made, ["zero_shot"], [0], tmp_path / modality, text_encoder=text)[0]
        run_job(job)
        stored = read_evaluation_file(job.folder / "test.safetensors")
        for number, named in enumerate(ways):
            folder = tmp_path / f"{modality}-run-{number}"
            assert main(["run", "zero_shot", str(made.path), "--out", str(folder), *named]) == 0
            by_run = read_evaluation_file(folder / "test.safetensors")
            assert torch.equal(by_run.scores, stored.scores)
        clips = made.select("test_seen", "test_unseen")
        features = getattr(clips, modality).values
        names = made.class_embeddings(text).select(stored.classes)
        cosine = torch.nn.functional.normalize(features, dim=1) @ names.vectors.T
        assert torch.allclose(stored.scores, cosine, atol=1e-6)
        planned = plan(made, ["blending"], [0], tmp_path / "out", text_encoder=text)
        weights = {job.protocol.method: job.protocol.config.visual_weight for job in planned}
        assert weights == dict.fromkeys(("blending", "zero_shot"), float(modality == "visual"))
        run = protocol_for("blending", made, text_encoder=text)
        assert run.config.visual_weight == weights["blending"]
        search = search_for(made, "blending", {}, [0], text_encoder=text)
        assert search.protocol_of({}).config.visual_weight == weights["blending"]


def test_a_recipe_file_takes_the_weight_of_frozen_scores_unless_it_names_one(tmp_path):
    made = store_with(tmp_path / "store", ("clip", 6), ("clap", 6), CLIP, ("clap@8fa0f1c6", 6))
    for config, weight in (("fusion: softmax", 1.0), ("visual_weight: 0.25", 0.25)):
        path = tmp_path / f"{weight}.yaml"
        setting = f"{{default: {{config: {{{config}}}}}}}"
        path.write_text(f"{{method: zero_shot, source: tests, settings: {setting}}}")
        (one,) = plan(made, [str(path)], [0], tmp_path)
        assert one.protocol.config.visual_weight == weight


OWN = """
from ezav.methods.eszsl.method import METHOD as Eszsl
class First(Eszsl): pass
class Second(Eszsl): pass
"""


def test_a_method_of_ones_own_needs_no_recipe_file(store, tmp_path, monkeypatch, capsys):
    (tmp_path / "own_of").mkdir()
    (tmp_path / "own_of" / "mine.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    names = ["own_of.mine:First", "own_of.mine:Second"]
    bench = ["bench", str(store.path), "--seeds", "1", "--processes", "1", "--methods"]
    assert main([*bench, *names, "--out", str(tmp_path / "out"), "--json"]) == 0
    (target,) = json.loads(capsys.readouterr().out)["targets"].values()
    assert [(one["method"], one["label"]) for one in target["results"]] == [(n, n) for n in names]
    assert main([*bench, "own_of.mine:Third", "--out", str(tmp_path / "out")]) == 1
    assert "cannot import the method 'own_of.mine:Third'" in capsys.readouterr().err


def test_a_comparison_tells_that_stores_differ_and_that_data_is_simulated(ucf, tmp_path, capsys):
    small = store_with(tmp_path / "small", ("clip", 6), ("clap", 5), MINILM)
    large = store_with(tmp_path / "large", ("clip", 9), ("clap", 5), MINILM)  # of the same clips
    runs = {store: str(tmp_path / f"run-{n}") for n, store in enumerate((small, large, ucf))}
    for store, out in runs.items():
        assert main(["run", "eszsl", str(store.path), "--out", out]) == 0
    for a, b, words in (
        (small, small, []),
        (small, large, ["differ in store fingerprint"]),
        (ucf, ucf, ["SIMULATED DATA"]),
    ):
        capsys.readouterr()
        assert main(["compare", runs[a], runs[b], "--draws", "5"]) == 0
        told = capsys.readouterr().out
        every = ("differ in store fingerprint", "SIMULATED DATA")
        assert [word for word in every if word in told] == words


def test_a_store_without_text_and_an_unknown_text_encoder_are_one_line(store, tmp_path, capsys):
    bare = store_with(tmp_path / "bare", ("clip", 6), ("clap", 5))
    out = ["--out", str(tmp_path / "out"), "--seeds", "1"]
    assert main(["bench", str(bare.path), "--methods", "eszsl", *out]) == 1
    assert "has no class embeddings" in capsys.readouterr().err
    assert main(["bench", str(store.path), "--methods", "eszsl", *out, "--text-encoder", "x"]) == 1
    assert "has no class embeddings of 'x'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_output_folder_called_like_the_suite_is_not_taken_for_it(tmp_path, monkeypatch):
    (tmp_path / "stores").mkdir()
    worlds.store(tmp_path / "stores" / "ucf-cls")
    monkeypatch.chdir(tmp_path)
    arguments = ["bench", "ucf-cls", "--methods", "eszsl", "--seeds", "1", "--out", "ucf-cls"]
    assert main(arguments) == 0
    assert main(arguments) == 0
    (tmp_path / "stores" / "ucf-cls").rename(tmp_path / "elsewhere")
    with pytest.raises(EzavError, match="'ucf-cls' is not a feature store"):
        find_store("ucf-cls", Path("stores"))


def test_a_folder_that_holds_something_else_is_told_before_any_run(store, tmp_path, monkeypatch):
    monkeypatch.setattr("ezav.benchmarks.runner.run_job", lambda one: pytest.fail("ran"))
    (tmp_path / "second").mkdir()
    (tmp_path / "second" / "notes.txt").write_text("precious")
    with pytest.raises(EzavError, match=r"second' exists already"):
        run_jobs([job(store, tmp_path / name) for name in ("first", "second")], processes=1)
