"""From a recipe and a store to a typed run: its setting, checked field by field."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from ezav.features.store import FeatureStore
from ezav.methods import registry
from ezav.methods.common.config_check import parse
from ezav.protocol.default_folds import needs_folds
from ezav.protocol.settings import parse_config, plain_config
from ezav.protocol.two_stage import TwoStageProtocol
from ezav.recipes.frozen import frozen_settings
from ezav.recipes.recipe import DEFAULT, OWN, Recipe, RecipeSetting, load_recipe
from ezav.recipes.suites import suite_of
from ezav.training.config import TrainingConfig

FROZEN_BASELINE = "zero_shot"
"""The recipe whose scores come straight from the encoders."""
WEIGHED = (FROZEN_BASELINE, "blending", "best")
"""Methods with such scores; whose text the class embeddings are decides their `visual_weight`."""


def protocol_for(
    recipe: Recipe | str | Path,
    store: FeatureStore | None = None,
    *,
    config: Mapping[str, Any] | None = None,
    training: Mapping[str, Any] | None = None,
    seed: int = 0,
    device: str = "cpu",
    text_encoder: str | None = None,
    features: Literal["auto", "memory", "mapped"] = "auto",
    import_code: bool = False,
) -> TwoStageProtocol:
    """The run that a recipe describes: what trains and tests it on a store.

    Args:
        recipe: a recipe, the name of one, its file, or a method of one's own
            (`package.module:Class`).
        store: chooses the setting by its suite; None takes that for data of one's own.
        config: what differs from the recipe's config, nested as there.
        training: what differs from its training settings.
        seed, device, text_encoder, features: as for :class:`TwoStageProtocol`.
        import_code: import the method that a recipe file names (`docs/concepts/trust.md`).

    Raises:
        NotFoundError: no such recipe, or a store without such class embeddings.
        RefusedError: a recipe file names a method that would have to be imported.
        EzavError: a field that the method does not have, or a value that it cannot use.

    Example:
        >>> run = protocol_for("ez_avgzl", config={"classes": {"shuffle": True}}, seed=3)
        >>> run.method, run.config.classes.shuffle, run.config.classes.alpha, run.training.epochs
        ('ez_avgzl', True, 0.05, 20)
    """
    found = recipe
    if not isinstance(found, Recipe):
        found = load_recipe(found, import_code=import_code)
    setting = found.setting(DEFAULT) if store is None else setting_for(found, store, text_encoder)
    typed = typed_settings(
        found.method,
        merged(setting.config, config or {}),
        merged(setting.training, training or {}),
    )
    return TwoStageProtocol(
        method=found.method,
        config=typed[0],
        training=typed[1],
        seed=seed,
        device=device,
        text_encoder=text_encoder,
        features=features,
    )


def setting_for(
    recipe: Recipe, store: FeatureStore, text_encoder: str | None = None
) -> RecipeSetting:
    """A recipe's setting for the store's suite, or for data of one's own.

    Such is a store of no suite whose splits were drawn or named by hand: where class folds choose
    (:func:`ezav.protocol.default_folds.needs_folds`).

    Frozen scores weigh the modalities by :func:`ezav.recipes.frozen.frozen_settings`, unless the
    recipe names a weight.

    Raises:
        NotFoundError: the store has no such class embeddings.
    """
    suite = suite_of(store.header)
    setting = recipe.setting(OWN if not suite and needs_folds(store) else suite)
    frozen = frozen_settings(store, text_encoder) if recipe.method in WEIGHED else None
    if not frozen:
        return setting
    return setting.model_copy(update={"config": {**frozen, **setting.config}})


def typed_settings(
    method: str, config: Mapping[str, Any], training: Mapping[str, Any]
) -> tuple[Any, TrainingConfig]:
    """A method's own config and the training settings from plain data, checked field by field.

    What is not given, inside a nested setting too, is as in the method's own default:
    `{"classes": {"shuffle": True}}` changes nothing else about the classes.

    Raises:
        EzavError: an unknown method or field, or a value of the wrong kind.

    Example:
        >>> config, training = typed_settings("eszsl", {"gamma": 1.0}, {})
        >>> config.gamma, training == TrainingConfig()
        (1.0, True)
    """
    found = registry.get(method, import_code=True)  # a recipe's was asked for when it was read
    typed_config = parse_config(found, merged(plain_config(found.Config()), config))
    return typed_config, parse(TrainingConfig, training, "training")


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `changes`, dictionaries inside merged too.

    Example:
        >>> merged({"a": {"b": 1, "c": 2}}, {"a": {"b": 5}})
        {'a': {'b': 5, 'c': 2}}
    """
    result = dict(base)
    for name, value in changes.items():
        inner = result.get(name)
        if isinstance(value, dict) and isinstance(inner, dict):
            value = merged(inner, value)
        result[name] = value
    return result


def changed(base: Mapping[str, Any], full: Mapping[str, Any]) -> dict[str, Any]:
    """What `full` has other than `base`, so that :func:`merged` of the two is `full` again.

    Example:
        >>> changed({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 5, "c": 2}, "d": 3})
        {'a': {'b': 5}}
    """
    result: dict[str, Any] = {}
    for name, value in full.items():
        before = base.get(name)
        if isinstance(value, dict) and isinstance(before, dict):
            if inside := changed(before, value):
                result[name] = inside
        elif name not in base or value != before:
            result[name] = value
    return result
