"""Recipes: hyper-parameters, published numbers and their source, as validated data."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ezav.errors import EzavError
from ezav.methods import registry

DEFAULT = "default"


class RecipeSetting(BaseModel):
    """One method on one suite: fields of its `Config`, of `TrainingConfig`, published percent."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    config: dict[str, Any] = Field(default_factory=dict)
    training: dict[str, Any] = Field(default_factory=dict)
    published: dict[str, float] = Field(default_factory=dict)


class Recipe(BaseModel):
    """A recipe file: a method, where its numbers come from, and its settings by suite."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: str
    source: str
    settings: dict[str, RecipeSetting]

    def setting(self, suite: str) -> RecipeSetting:
        """The setting of a suite ("ucf-cls"), or the default where the recipe has none."""
        return self.settings.get(suite) or self.settings.get(DEFAULT) or RecipeSetting()


def is_file(name_or_path: str | Path) -> bool:
    """Whether a recipe is named by its file, not by its method.

    Example:
        >>> is_file("mine.yaml"), is_file("package.module:Class")
        (True, False)
    """
    return Path(name_or_path).suffix in {".yaml", ".yml"}


def label_of(name_or_path: str) -> str:
    """What tables call the runs of a method or of a recipe file.

    Example:
        >>> label_of("search/tuned.yaml"), label_of("package.module:Class")
        ('tuned', 'package.module:Class')
    """
    return Path(name_or_path).stem if is_file(name_or_path) else name_or_path


@cache
def load_recipe(name_or_path: str | Path, *, import_code: bool = False) -> Recipe:
    """The recipe that comes with a method, or one from a file.

    A method of one's own (`package.module:Class`) has none but the defaults of its config and of
    the loop.

    Args:
        name_or_path: a method, or a file.
        import_code: import the method of one's own that the file names (`docs/trust.md`); one
            that is named here is imported in any case.

    Raises:
        RefusedError: the file names a method that would have to be imported.
        EzavError: no such recipe, no YAML, an unknown field, or a method or hyper-parameter that
            does not exist.

    Example:
        >>> load_recipe("ez_avgzl").setting("toy").training["epochs"] > 0
        True
    """
    path = Path(name_or_path)
    if not is_file(path):
        if ":" in path.name:
            registry.get(path.name, import_code=True)
            return Recipe(method=path.name, source="the defaults of its class", settings={})
        path = Path(__file__).with_name("recipes") / f"{name_or_path}.yaml"
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        recipe = Recipe.model_validate(data)
    except UnicodeDecodeError as error:
        raise EzavError(f"the recipe '{path}' is not text in UTF-8") from error
    except OSError as error:
        raise EzavError(
            f"no recipe '{name_or_path}': {error.strerror}",
            "'ezav methods' lists the methods; a recipe of one's own is given as a path",
        ) from error
    except yaml.YAMLError as error:
        raise EzavError(f"'{path}' is not YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise EzavError(f"recipe '{path}': {where}: {first['msg']}") from error
    registry.get(recipe.method, import_code=import_code)
    _check_fields(recipe, path)
    return recipe


def _check_fields(recipe: Recipe, path: Path) -> None:
    from ezav.benchmarks.runner import typed_settings

    for suite, setting in recipe.settings.items():
        try:
            typed_settings(recipe.method, setting.config, setting.training)
        except EzavError as error:
            raise EzavError(f"recipe '{path}', {suite}: {error.message}", error.hint) from error
