"""Class embeddings by validation: what is tried, what is chosen, what a run says of it."""

from __future__ import annotations

import dataclasses
import statistics
from pathlib import Path

import numpy as np
import pytest
import torch

from ezav.classes import ClassEmbeddingRecipe
from ezav.cli.main import main
from ezav.cli.run import cli_for
from ezav.features import FeatureStore
from ezav.metrics import gzsl_scores
from ezav.protocol import TwoStageProtocol, read_result, read_stage, write_run
from ezav.protocol import class_choice as module
from ezav.protocol.by_folds import fold_data
from ezav.protocol.class_choice import choose_classes, closed_form_hm, preferred
from ezav.protocol.confusion import SeenClassifier
from ezav.protocol.kept import difference
from ezav.protocol.stages import Stage
from ezav.training.config import TrainingConfig
from tests import worlds
from tests.protocol.test_two_stage import CONFIG

AUTO = ClassEmbeddingRecipe(source="auto")
PROTOCOL = TwoStageProtocol(
    method="ez_avgzl",
    config=dataclasses.replace(CONFIG, classes=AUTO),
    training=TrainingConfig(epochs=1, batch_size=32),
    folds=2,
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    return worlds.store(tmp_path_factory.mktemp("store") / "tiny")


@pytest.mark.parametrize("clips", [3, 8])  # fewer than dimensions, and more
def test_confusions_are_those_of_a_classifier_without_the_clip(clips: int) -> None:
    torch.manual_seed(0)
    train = worlds.feature_set(classes=6, clips_per_class=clips)
    noisy = dataclasses.replace(
        train.audio, values=train.audio.values + 9 * torch.randn(train.audio.values.shape)
    )
    train = dataclasses.replace(train, audio=noisy, visual=noisy)
    stage = Stage(2, train, worlds.class_vectors(6), torch.ones(6, dtype=torch.bool))
    found = SeenClassifier(stage)
    x, labels = found.inputs.double().numpy(), train.labels.numpy()
    count = np.zeros((6, 6))
    for row in range(len(x)):
        rest = np.arange(len(x)) != row
        own = np.eye(6)[labels[rest]]
        gram = x[rest].T @ x[rest] + np.eye(x.shape[1])
        said = x[row] @ np.linalg.solve(gram, x[rest].T @ own)
        count[labels[row], said.argmax()] += 1 / clips
    expected = {
        (train.classes[a], train.classes[b]): count[a, b] + count[b, a]
        for a in range(6)
        for b in range(a + 1, 6)
        if count[a, b] + count[b, a]
    }
    assert expected
    assert {(a, b): share for a, b, share in found.confused()} == pytest.approx(expected, abs=1e-5)


def test_the_closed_form_is_eszsl_with_these_class_embeddings(store: FeatureStore) -> None:
    folds = fold_data(read_stage(store, 2), 2, 1, seed=0)
    vectors = [fold.stage.text.vectors for fold in folds]
    heard = [SeenClassifier(fold.stage) for fold in folds]
    said = [one.scores(fold.held_out) for one, fold in zip(heard, folds, strict=True)]
    hms, gamma, penalty = closed_form_hm(folds, said, vectors)
    for fold, one, hm in zip(folds, heard, hms, strict=True):
        x = one.inputs.double().numpy()
        t = fold.stage.text.vectors[fold.stage.seen].double().numpy()
        y = np.eye(len(t))[one.labels.numpy()]
        left = np.linalg.inv(x.T @ x + np.eye(x.shape[1]))
        right = np.linalg.inv(t.T @ t + penalty * np.eye(t.shape[1]))
        weight = left @ x.T @ y @ t @ right  # Romera-Paredes & Torr
        clips = one.inputs_of(fold.held_out).double().numpy()
        scores = torch.from_numpy(clips @ weight @ fold.stage.text.vectors.double().numpy().T)
        expected = gzsl_scores(scores, fold.held_out.labels, fold.stage.seen, gamma).HM
        assert hm == pytest.approx(float(expected), abs=1e-6)


def test_raw_text_is_left_only_for_what_is_ahead_by_two_errors() -> None:
    raw, ahead = [0.5, 0.4, 0.6, 0.5], [0.52, 0.43, 0.62, 0.53]
    less = [a - b for a, b in zip(ahead, raw, strict=True)]
    folds = 2  # divided twice
    assert statistics.fmean(less) - 2 * statistics.stdev(less) / folds**0.5 > 0
    assert preferred({"raw": raw, "a": ahead}) == "a"
    wide = [0.72, 0.44, 0.51, 0.53]  # a larger mean, by one fold
    assert preferred({"raw": raw, "a": ahead, "b": wide}) == "a"
    assert preferred({"raw": raw, "b": wide}) == "raw"
    assert preferred({"raw": raw, "b": raw}) == "raw"
    assert preferred({"raw": [0.5], "b": [0.51], "c": [0.52]}) == "c"  # no folds: the best


def test_an_alternative_that_these_classes_cannot_have_is_left_out(store: FeatureStore) -> None:
    stage = read_stage(store, 2)
    mean = stage.text.vectors[1:].mean(dim=0, keepdim=True)
    # The first class is the mean of all: centring leaves nothing of it.
    odd = stage.text.with_vectors(torch.cat([mean, stage.text.vectors[1:]]))
    vectors = odd.vectors.clone()
    for _ in range(50):
        vectors[0] = vectors.mean(dim=0) / vectors.mean(dim=0).norm()
    folds = fold_data(dataclasses.replace(stage, text=odd.with_vectors(vectors)), 2, 1, seed=0)
    chosen, tried = choose_classes(AUTO.alternatives(), folds)
    assert chosen.label in tried
    assert next(iter(tried)) == "raw"
    assert all(len(hms) == 2 for hms in tried.values())


def test_a_run_keeps_what_was_tried_and_is_the_run_asked_for(
    store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_select = type(store).select

    def select(self, *splits, **options):
        assert not any(split.startswith("test") for split in splits), "test clips were read"
        return real_select(self, *splits, **options)

    monkeypatch.setattr(module, "preferred", lambda tried: "linear 0.5")
    with monkeypatch.context() as patch:
        patch.setattr(type(store), "select", select)
        fitted = PROTOCOL.fit(store)
    result = write_run(fitted, tmp_path / "run")
    assert list(result.classes_tried) == [one.label for one in AUTO.alternatives()]
    assert {len(hms) for hms in result.classes_tried.values()} == {2 * module.REPEATS}
    assert result.config["classes"]["source"] == "linear"
    assert result.config["classes"]["alpha"] == 0.5
    assert result.timing["classes"] > 0
    linear = dataclasses.replace(AUTO, source="linear", alpha=0.5)
    text = read_stage(store, 2).text
    assert torch.equal(fitted.model_.classes.vectors, linear.prepare(text).vectors)
    found = read_result(tmp_path / "run")
    assert difference(found, PROTOCOL, store, "") == ""
    other = dataclasses.replace(PROTOCOL.config, classes=dataclasses.replace(AUTO, margin=0.2))
    asked = dataclasses.replace(PROTOCOL, config=other)
    assert difference(found, asked, store, "") == "config"
    explicit = dataclasses.replace(PROTOCOL.config, classes=linear)
    assert difference(found, dataclasses.replace(PROTOCOL, config=explicit), store, "") == ""
    untried = found.model_copy(update={"classes_tried": {}})
    assert difference(untried, PROTOCOL, store, "") == "config"


def test_all_seeds_choose_alike(store: FeatureStore) -> None:
    tried = [
        dataclasses.replace(PROTOCOL, seed=seed).with_classes(PROTOCOL.reader(store))[1]
        for seed in (0, 1)
    ]
    assert tried[0] == tried[1]


def test_without_folds_the_validation_classes_decide(store: FeatureStore) -> None:
    protocol = dataclasses.replace(PROTOCOL, folds=0)
    run, tried = protocol.with_classes(protocol.reader(store))
    assert {len(hms) for hms in tried.values()} == {1}
    best = max(tried, key=lambda label: tried[label][0])  # the first of equals
    assert run.config.classes.label == best


def test_one_modality_alone_says_which_classes_are_confused(store: FeatureStore) -> None:
    classes = dataclasses.replace(AUTO, source="apart")
    config = dataclasses.replace(PROTOCOL.config, classes=classes, modalities="audio")
    protocol = dataclasses.replace(PROTOCOL, config=config, folds=0)
    found = protocol.fit(store).model_.classes.settings["form"]["confused"]
    stage = read_stage(store, 2)
    audio, both = (SeenClassifier(stage, one).confused() for one in ("audio", "both"))
    assert audio != both
    assert [tuple(pair) for pair in found] == list(audio)


def test_a_prior_that_reads_the_text_has_it_raw(store: FeatureStore) -> None:
    config = dataclasses.replace(PROTOCOL.config, prior="closed")
    protocol = dataclasses.replace(PROTOCOL, config=config)
    run, tried = protocol.with_classes(protocol.reader(store))
    assert (run.config.classes.source, list(tried)) == ("raw", ["raw"])


def test_settings_are_those_of_the_splits_that_are_asked_for(store: FeatureStore) -> None:
    command = ["ez_avgzl", str(store.path), "--out", "run"]
    for more, source in (([], "ceo"), (["--unseen", *store.classes[-3:]], "auto")):
        options = {one.name: one for one in dataclasses.fields(cli_for([*command, *more]))}
        assert options["config"].default_factory().classes.source == source  # type: ignore[misc]


def test_the_command_says_what_was_chosen_and_keeps_finished_seeds(
    store: FeatureStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["run", "ez_avgzl", str(store.path), "--out", str(tmp_path / "runs")]
    command += ["--config.classes.source", "auto", "--folds", "2", "--seeds", "2"]
    command += ["--training.epochs", "1", "--training.batches-per-epoch", "1", "--device", "cpu"]
    assert main(command) == 0
    assert "of 9 tried on 4 folds" in capsys.readouterr().out
    assert main(command) == 0
    assert "seed 1: done already, kept" in capsys.readouterr().err
    assert main(["inspect", str(tmp_path / "runs" / "seed-0")]) == 0
    assert "of 9 tried on 4 folds" in capsys.readouterr().out
