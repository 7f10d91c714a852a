"""Which setting of a recipe a store gets, and the recipe that is the paper's by the letter."""

from __future__ import annotations

import pytest

from ezav.cli.main import main
from ezav.features.header import SplitOrigin
from ezav.features.redraw import redrawn
from ezav.protocol.run_folder import read_result
from ezav.recipes import protocol_for
from tests import worlds

SHORT = ["--device", "cpu", "--training.epochs", "1", "--training.batches-per-epoch", "2"]


@pytest.fixture
def store(tmp_path):
    return worlds.store(tmp_path / "store")


def test_only_data_of_ones_own_lets_validation_choose_class_embeddings(store) -> None:
    own = redrawn(store, unseen=tuple(store.split_classes("test_unseen")))
    names = ("clip", "split")
    splits = dict(zip(*(store.index.column(name).to_pylist() for name in names)))
    published = store.with_splits(splits, SplitOrigin(how="published"), {})
    found = [protocol_for("ez_avgzl", one) for one in (own, published, store)]
    assert [one.config.classes.source for one in found] == ["auto", "ceo", "ceo"]
    assert found[0].training == found[1].training == found[2].training
    assert protocol_for("paper", own).config.classes.source == "ceo"
    given = protocol_for("ez_avgzl", own, config={"classes": {"source": "ceo"}})
    assert given.config.classes == found[2].config.classes


@pytest.mark.parametrize("words", [["ez_avgzl"], [], ["paper"]])
def test_the_paper_by_the_letter_is_one_word(store, tmp_path, words) -> None:
    recipe = [] if words == ["paper"] else ["--recipe", "paper"]
    out = tmp_path / "run"
    assert main(["run", *words, str(store.path), "--out", str(out), *recipe, *SHORT]) == 0
    result = read_result(out)
    classes = result.config["classes"]
    assert (result.method, result.label) == ("ez_avgzl", "paper")
    assert (classes["source"], classes["alpha"], classes["margin"]) == ("ceo", 0.5, 0.1)
    assert (result.config["similarity"], result.config["negatives"]) == ("attention", "batch")


def test_a_recipe_of_another_method_is_refused(store, tmp_path, capsys) -> None:
    arguments = ["run", "eszsl", str(store.path), "--out", str(tmp_path / "run")]
    assert main([*arguments, "--recipe", "paper"]) == 1
    told = capsys.readouterr().err
    assert "the recipe 'paper' is one of 'ez_avgzl', not of 'eszsl'" in told
    assert not (tmp_path / "run").exists()


def test_the_seed_asked_for_is_the_runs() -> None:
    assert [protocol_for("eszsl", seed=seed).seed for seed in (0, 3)] == [0, 3]
