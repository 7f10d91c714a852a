"""Recipes: what a method's config holds, cached, shuffled, chosen on validation."""

from __future__ import annotations

import dataclasses
import math
from collections import OrderedDict
from typing import Any, get_type_hints

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ezav.classes import (
    ClassEmbeddingRecipe,
    ClassEmbeddings,
    NotConverged,
    choose_recipe,
    optimize_class_embeddings,
)
from ezav.classes.recipe import shuffled
from ezav.classes.settings import CeoChanges, CeoSettings
from ezav.errors import EzavError
from ezav.recipes import protocol_for
from tests.classes.test_ceo_optimize import text


@pytest.fixture
def classes() -> ClassEmbeddings:
    return ClassEmbeddings(tuple("abcdefghij"), text(10, 8), "encoder@1")


def test_raw_is_the_text_and_ceo_the_optimised(classes: ClassEmbeddings) -> None:
    assert torch.equal(ClassEmbeddingRecipe(source="raw").prepare(classes).vectors, classes.vectors)
    made = ClassEmbeddingRecipe(alpha=0.4, center=True).prepare(classes)
    expected = optimize_class_embeddings(classes, alpha=0.4, center=True)
    assert torch.equal(made.vectors, expected.vectors)
    assert made.names == classes.names


def test_seeds_share_one_optimization(
    classes: ClassEmbeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ezav.classes.optimize as module

    calls = []
    real = module.optimize_class_embeddings

    def counted(*args: Any, **options: Any) -> Any:
        calls.append(options)
        return real(*args, **options)

    monkeypatch.setattr(module, "optimize_class_embeddings", counted)
    recipe = ClassEmbeddingRecipe(alpha=0.31)
    for seed in range(5):
        recipe.prepare(classes, seed)
    assert len(calls) == 1
    recipe.prepare(classes.select("jihgfedcba"))
    dataclasses.replace(recipe, margin=0.2).prepare(classes)
    recipe.prepare(classes.with_vectors(-classes.vectors))
    assert len(calls) == 4
    for seed in range(2):
        dataclasses.replace(recipe, ranking="sampled").prepare(classes, seed)
    assert len(calls) == 6
    assert [options["seed"] for options in calls] == [0, 0, 0, 0, 0, 1]


@pytest.mark.parametrize(
    "change", [{"names": tuple("klmnopqrst")}, {"encoder": "another"}, {"settings": {"a": 1}}]
)
def test_the_same_vectors_of_another_kind_are_told_apart(
    classes: ClassEmbeddings, change: dict[str, Any]
) -> None:
    recipe = ClassEmbeddingRecipe(source="raw")
    for one in (classes, dataclasses.replace(classes, **change)):
        found = recipe.prepare(one)
        assert (found.names, found.encoder, found.settings) == (
            one.names,
            one.encoder,
            one.settings,
        )


def test_who_asked_first_changes_nothing(
    classes: ClassEmbeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Classes with one and the same text are parted in directions drawn from a seed.
    twins = classes.with_vectors(classes.vectors[[0, 0, *range(2, 10)]])
    found = []
    for seeds in ((1, 0), (0, 1)):
        monkeypatch.setattr("ezav.classes.recipe._cache", OrderedDict())
        found += [ClassEmbeddingRecipe(part_equal=True).prepare(twins, seed) for seed in seeds]
    for one in found[1:]:
        assert torch.equal(one.vectors, found[0].vectors)
        assert one.settings == found[0].settings


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 30), st.integers(0, 2**31))
def test_shuffling_moves_every_class_and_loses_none(count: int, seed: int) -> None:
    one_hot = ClassEmbeddings(tuple(map(str, range(count))), torch.eye(count))
    moved = shuffled(one_hot, seed).vectors
    assert moved.diagonal().sum() == 0
    assert torch.equal(moved.sum(dim=0), torch.ones(count))
    assert torch.equal(moved, shuffled(one_hot, seed).vectors)


def test_shuffle_depends_on_the_seed_and_keeps_the_geometry(classes: ClassEmbeddings) -> None:
    recipe = ClassEmbeddingRecipe(shuffle=True)
    a, b = recipe.prepare(classes, 0), recipe.prepare(classes, 1)
    assert not torch.equal(a.vectors, b.vectors)
    plain = dataclasses.replace(recipe, shuffle=False).prepare(classes)
    assert sorted(a.vectors.tolist()) == sorted(plain.vectors.tolist())
    with pytest.raises(EzavError, match="one class cannot be shuffled"):
        recipe.prepare(classes.select(["a"]))


def test_candidates_are_recipes_around_this_one() -> None:
    recipe = ClassEmbeddingRecipe(semantic="proximity", margin=0.3)
    found = recipe.candidates(alphas=(0.2, 0.6), margins=(0.1, 0.2))
    assert [(r.source, r.alpha, r.margin) for r in found[1:]] == [
        ("ceo", 0.2, 0.1),
        ("ceo", 0.6, 0.1),
        ("ceo", 0.2, 0.2),
        ("ceo", 0.6, 0.2),
    ]
    assert found[0].source == "raw"
    assert {r.semantic for r in found} == {"proximity"}


def test_choosing_takes_the_best_and_keeps_all_scores() -> None:
    grid = ClassEmbeddingRecipe().candidates()
    choice = choose_recipe(lambda r: 1 - (r.alpha - 0.35) ** 2 - (r.source == "raw"), grid)
    assert choice.recipe.alpha == 0.35
    assert choice.score == 1
    assert [recipe for recipe, _ in choice.scores] == grid
    assert choose_recipe(lambda r: 0.0, grid).recipe == grid[0]
    with pytest.raises(EzavError, match="no recipe"):
        choose_recipe(lambda r: 0.0, [])
    with pytest.raises(EzavError, match="not a number"):
        choose_recipe(lambda r: math.nan, grid)


@pytest.mark.parametrize(
    "options", [{"alpha": 2.0}, {"margin": -1.0}, {"source": "magic"}, {"reduction": "max"}]
)
def test_bad_recipes_are_refused_when_written(options: dict[str, Any]) -> None:
    with pytest.raises(EzavError):
        ClassEmbeddingRecipe(**options)


def test_every_field_says_what_it_is() -> None:
    """The command line shows these words."""
    import ast
    import inspect

    tree = ast.parse(inspect.getsource(ClassEmbeddingRecipe)).body[0]
    assert isinstance(tree, ast.ClassDef)
    for position, node in enumerate(tree.body):
        if isinstance(node, ast.AnnAssign):
            said = tree.body[position + 1]
            assert isinstance(said, ast.Expr)
            assert isinstance(said.value, ast.Constant)


def test_settings_are_said_once() -> None:
    """A call may name the fields of the settings, a run all of them."""
    assert get_type_hints(CeoChanges) == get_type_hints(CeoSettings)
    recipe = {one.name: one.default for one in dataclasses.fields(ClassEmbeddingRecipe)}
    ceo = {one.name: one.default for one in dataclasses.fields(CeoSettings)}
    assert {name: recipe[name] for name in ceo} == ceo
    assert set(recipe) - set(ceo) == {"source", "shuffle"}


def test_a_run_sets_how_many_triplets_are_sampled(classes: ClassEmbeddings) -> None:
    """More samples, another draw: the number reaches the optimization."""
    few, many = (
        ClassEmbeddingRecipe(ranking="sampled", samples=samples, max_steps=20)
        for samples in (10, 10_000)
    )
    with pytest.warns(NotConverged):
        made = [one.prepare(classes) for one in (few, many)]
    assert [one.settings["optimized"]["samples"] for one in made] == [10, 10_000]
    assert not torch.equal(made[0].vectors, made[1].vectors)
    assert protocol_for("ez_avgzl", config={"classes": {"samples": 7}}).config.classes.samples == 7
