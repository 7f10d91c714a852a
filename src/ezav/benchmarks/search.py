"""What a search is: a recipe's run, the space around it, and the seeds of every trial."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ezav.benchmarks.space import Choice, Range, Space, Value, holds, settings_from
from ezav.errors import EzavError
from ezav.features.store import FeatureStore
from ezav.protocol.settings import plain_config
from ezav.protocol.two_stage import TwoStageProtocol
from ezav.recipes.recipe import load_recipe
from ezav.recipes.settings import protocol_for, typed_settings

SEARCH_VERSION = 1
"""Of what a folder of a search holds; raised when an older one could not be gone on with."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """What is searched: nothing but the number of trials may change when a search goes on.

    Attributes:
        protocol: the recipe's own run: the first trial, and what the space does not name.
        store: path of the feature store.
        space: what is tried.
        seeds: every trial runs all of them, unless its first ones are hopeless (below the median
            of the other trials at the same number of seeds).
    """

    protocol: TwoStageProtocol
    store: Path
    space: Space
    seeds: tuple[int, ...]

    def key(self) -> str:
        """What a stored search must share to go on, whichever version stored it."""
        facts = {
            "search": SEARCH_VERSION,
            "protocol": self.protocol.key(FeatureStore.open(self.store)),
            "space": {name: one.model_dump() for name, one in self.space.items()},
            "seeds": self.seeds,
        }
        return json.dumps(facts, sort_keys=True)

    def protocol_of(self, values: Mapping[str, Value]) -> TwoStageProtocol:
        """The run of a trial.

        Raises:
            EzavError: the method does not have such settings.
        """
        settings = settings_from(plain_settings(self.protocol), dict(values))
        config, training = typed_settings(
            self.protocol.method, settings["config"], settings["training"]
        )
        return replace(self.protocol, config=config, training=training)


def plain_settings(protocol: TwoStageProtocol) -> dict[str, dict[str, Any]]:
    """`{"config": …, "training": …}` of a run, every setting.

    Example:
        >>> plain_settings(TwoStageProtocol(method="eszsl"))["config"]["balanced"]
        False
    """
    return {"config": plain_config(protocol.config), "training": asdict(protocol.training)}


def search_for(
    store: FeatureStore,
    recipe: str | Path,
    space: Space,
    seeds: Sequence[int],
    *,
    training: Mapping[str, Any] | None = None,
    text_encoder: str | None = None,
    device: str = "cpu",
    import_code: bool = False,
) -> Search:
    """The search that starts from a recipe's setting for the store's suite.

    Where the recipe's own value lies outside the space, the space is widened to hold it.

    Args:
        store: the features.
        recipe: its name or file, or a method of one's own.
        space: what is tried.
        seeds: of every trial.
        training: overrides of the recipe's training settings.
        text_encoder, device: as for :class:`ezav.protocol.TwoStageProtocol`.
        import_code: import a method that a recipe file names (`docs/concepts/trust.md`).

    Raises:
        NotFoundError: an unknown recipe or text encoder.
        RefusedError: a recipe file names a method that would have to be imported.
        EzavError: a space whose settings the method does not have.
    """
    store.class_embeddings(text_encoder)  # it is there, or this says what is
    protocol = protocol_for(
        load_recipe(recipe, import_code=import_code),
        store,
        training=training,
        text_encoder=text_encoder,
        device=device,
    )
    search = Search(protocol=protocol, store=store.path, space=space, seeds=tuple(seeds))
    for path, one in space.items():
        for value in (one.low, one.high) if isinstance(one, Range) else one.choices:
            if path.split(".")[0] not in ("config", "training"):
                raise EzavError(
                    f"the space names '{path}'", "settings begin with 'config.' or 'training.'"
                )
            try:
                search.protocol_of({path: value})
            except EzavError as error:
                raise EzavError(
                    f"the space's {path} = {value}: {error.message}", error.hint
                ) from error
    return replace(
        search,
        space={path: _holding(path, one, _base_value(search, path)) for path, one in space.items()},
    )


def base_values(search: Search) -> dict[str, Value]:
    """What the recipe has for the settings of the space that matter: the first trial."""
    values: dict[str, Value] = {}
    for path, one in search.space.items():
        if holds(one, values):
            values[path] = _base_value(search, path)
    return values


def _base_value(search: Search, path: str) -> Value:
    """What the recipe, or else the method's default, has for a setting of the space.

    Raises:
        EzavError: it has none, since the setting is inside one that may hold anything.
    """
    value: Any = plain_settings(search.protocol)
    for name in path.split("."):
        if name not in value:
            raise EzavError(
                f"the space names '{path}', which the recipe does not set",
                "the recipe is the first trial: set it in a recipe file, and give that as `recipe`",
            )
        value = value[name]
    found: Value = value
    return found


def _holding(path: str, one: Choice | Range, value: Value | None) -> Choice | Range:
    """The same space, widened where needed to hold a value: the recipe's own must be in it.

    Raises:
        EzavError: no range of this kind can hold it.
    """
    if isinstance(one, Choice):
        inside = value in one.choices
        return one if inside else one.model_copy(update={"choices": (*one.choices, value)})
    if not isinstance(value, (int, float)) or (one.log and value <= 0):
        kind = "log range" if one.log else "range"
        raise EzavError(
            f"the space's {path} is a {kind}, which cannot hold the recipe's own, {value}",
            "the recipe is the first trial: give choices, its own among them",
        )
    low, high = min(one.low, value), max(one.high, value)
    if value != int(value):
        low, high = float(low), float(high)  # two whole ends would try whole numbers only
    return one.model_copy(update={"low": low, "high": high})
