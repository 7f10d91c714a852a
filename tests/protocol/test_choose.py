"""Alpha from validation: the best of the candidates by stage 1, whatever the test clips say."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import pytest
import torch

from ezav.classes.recipe import ClassEmbeddingRecipe
from ezav.cli.main import main
from ezav.errors import EzavError
from ezav.features import Header
from ezav.protocol import TwoStageProtocol
from ezav.protocol.choose import choose_alpha
from ezav.protocol.run_folder import read_evaluation_file, read_result
from tests import worlds
from tests.protocol.test_two_stage import CONFIG, TRAINING


def test_the_best_candidate_on_validation_is_chosen(tmp_path, monkeypatch):
    store = worlds.store(tmp_path / "store")
    protocol = TwoStageProtocol(method="ez_avgzl", config=CONFIG, training=TRAINING)
    expected = {}
    for alpha in (0.0, 0.1, 0.9):
        recipe = ClassEmbeddingRecipe(source="ceo" if alpha else "raw", alpha=alpha)
        config = dataclasses.replace(CONFIG, classes=recipe)
        curve = dataclasses.replace(protocol, config=config).fit(store).validation_.curve()
        expected[alpha] = curve.best_hm
    real_select = type(store).select

    def select(self, *splits, **kwargs):
        assert not any(split.startswith("test") for split in splits), "test clips were read"
        return real_select(self, *splits, **kwargs)

    monkeypatch.setattr(type(store), "select", select)
    tried = {}
    chosen = choose_alpha(protocol, store, (0.9, 0.1, 0.0), tried.__setitem__)
    assert tried == pytest.approx(expected)
    best = max(tried.values())
    assert chosen.config.classes.alpha == min(a for a, hm in tried.items() if hm == best)


def test_of_equal_candidates_the_smallest_alpha_is_chosen(monkeypatch):
    monkeypatch.setattr(TwoStageProtocol, "validate", lambda self, store: SimpleNamespace(HM=0.5))
    protocol = TwoStageProtocol(method="ez_avgzl", config=CONFIG, training=TRAINING)
    chosen = choose_alpha(
        protocol,
        SimpleNamespace(fingerprint="", header=Header(dataset="d"), texts=(), is_closed=False),
        (0.9, 0.1, 0.0),
    )
    assert (chosen.config.classes.source, chosen.config.classes.alpha) == ("raw", 0.0)


def test_methods_without_class_embeddings_of_their_own_are_refused(tmp_path):
    protocol = TwoStageProtocol(method="ale")
    with pytest.raises(EzavError, match="has no alpha"):
        choose_alpha(protocol, None, (0.1,))


@pytest.mark.parametrize("stage", [1, 2])
def test_a_choice_that_was_stopped_tries_no_candidate_twice(tmp_path, monkeypatch, stage):
    store = worlds.store(tmp_path / "store")
    options = ["--seeds", "2", "--alphas", "0", "0.1", "0.9", "--device", "cpu"]
    options += ["--training.epochs", "2", "--training.batches-per-epoch", "2"]
    validate, fit = TwoStageProtocol.validate, TwoStageProtocol.fit
    tried = []

    def spy(self, store):
        tried.append((self.seed, self.config.classes.alpha))
        if stage == 1 and len(tried) == 5:
            raise KeyboardInterrupt  # in the second candidate of the second seed
        return validate(self, store)

    def stop(self, *arguments):
        if stage == 2 and self.seed == 1:
            raise KeyboardInterrupt  # after all candidates of the second seed
        return fit(self, *arguments)

    arguments = ["run", "ez_avgzl", str(store.path), *options, "--out", str(tmp_path / "stopped")]
    with monkeypatch.context() as patch:
        patch.setattr(TwoStageProtocol, "validate", spy)
        patch.setattr(TwoStageProtocol, "fit", stop)
        assert main(arguments) == 130
        stage, before = 0, len(tried)
        assert main(arguments) == 0
    assert tried[before:] == ([(1, 0.1), (1, 0.9)] if before == 5 else [])
    assert main([*arguments[:-1], str(tmp_path / "whole")]) == 0
    for seed in ("seed-0", "seed-1"):
        ours, theirs = (tmp_path / name / seed for name in ("stopped", "whole"))
        assert read_result(ours).config == read_result(theirs).config
        found = read_result(theirs)
        assert found.alphas == read_result(ours).alphas
        assert set(found.alphas) == {0, 0.1, 0.9}
        best = max(found.alphas.values())
        assert found.config["classes"]["alpha"] in [
            a for a, hm in found.alphas.items() if hm == best
        ]
        scores = [read_evaluation_file(run / "test.safetensors").scores for run in (ours, theirs)]
        assert torch.equal(*scores)
    assert not [path.name for path in (tmp_path / "stopped").iterdir() if path.name[0] == "."]


def test_other_settings_are_tried_anew(tmp_path):
    store = worlds.store(tmp_path / "store")
    protocol = TwoStageProtocol(method="ez_avgzl", config=CONFIG, training=TRAINING)
    kept, tried = tmp_path / "kept", {}
    choose_alpha(protocol, store, (0.0, 0.1), kept=kept)
    other = dataclasses.replace(protocol, seed=1)
    choose_alpha(other, store, (0.0, 0.1), tried.__setitem__, kept)
    for alpha, hm in tried.items():
        recipe = ClassEmbeddingRecipe(source="ceo" if alpha else "raw", alpha=alpha)
        config = dataclasses.replace(CONFIG, classes=recipe)
        assert hm == dataclasses.replace(other, config=config).validate(store).HM
