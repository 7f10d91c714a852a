"""Recipes: hyper-parameters, published numbers and their source, as validated data."""

from __future__ import annotations

import difflib
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from ezav.errors import DamagedError, EzavError, NotFoundError
from ezav.methods import registry
from ezav.small_files import parse_yaml, read_small

DEFAULT = "default"
"""The setting for all that has none of its own."""
OWN = "own"
"""The setting for data of one's own, where it differs from the default."""

TextOrder = Literal["by_name", "published", "unknown"]
_FOLDER = Path(__file__).parent


class PublishedNumbers(BaseModel):
    """What a paper reports on a suite, in percent as printed.

    Attributes:
        S, U: None where the paper gives only HM and ZSL.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    S: float | None = None
    U: float | None = None
    HM: float
    ZSL: float


class Reported(BaseModel):
    """Whose numbers the published ones are.

    Attributes:
        name: what papers call the method.
        source: who reports it; by default the paper whose table has all methods of the setting.
        text_alignment: which class got which text; by default as that paper's code pairs them.
        temporal: the method used temporal features.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    source: str = ""
    text_alignment: TextOrder | None = None
    temporal: bool = False


class RecipeSetting(BaseModel):
    """One method on one suite: fields of its `Config`, of `TrainingConfig`, published percent."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    config: dict[str, Any] = Field(default_factory=dict)
    training: dict[str, Any] = Field(default_factory=dict)
    published: Annotated[PublishedNumbers | None, BeforeValidator(lambda given: given or None)] = (
        None
    )


class Recipe(BaseModel):
    """A recipe file: a method, where its numbers come from, and its settings by suite."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: str
    source: str
    reported: Reported | None = None
    settings: dict[str, RecipeSetting]

    @model_validator(mode="after")
    def _numbers_have_a_name(self) -> Recipe:
        if self.reported is None and any(one.published for one in self.settings.values()):
            raise ValueError("published numbers need 'reported', with the name papers give")
        return self

    def setting(self, suite: str) -> RecipeSetting:
        """The setting of a suite ("ucf-cls"), or the default where the recipe has none.

        Example:
            >>> default, own = load_recipe("avca").setting("my videos"), RecipeSetting()
            >>> default.published, default == own
            (None, False)
        """
        return self.settings.get(suite) or self.settings.get(DEFAULT) or RecipeSetting()


def recipe_names() -> list[str]:
    """The recipes that come with ezav: one a method, and variants of some.

    Example:
        >>> {"avca", "hyper_single"} <= set(recipe_names())
        True
    """
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def shipped_recipes() -> list[Recipe]:
    """The recipes that come with ezav, without the methods being imported.

    Example:
        >>> {recipe.method for recipe in shipped_recipes()} == set(registry.names())
        True
    """
    return [_read(_FOLDER / f"{name}.yaml") for name in recipe_names()]


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
        import_code: import the method of one's own that the file names (`docs/concepts/trust.md`);
            one that is named here is imported in any case.

    Raises:
        NotFoundError: no such recipe.
        RefusedError: the file names a method that would have to be imported.
        DamagedError: no text, or no YAML.
        EzavError: an unknown field, or a method or hyper-parameter that does not exist.

    Example:
        >>> load_recipe("ez_avgzl").setting("toy").training["epochs"] > 0
        True
    """
    path = Path(name_or_path)
    if not is_file(path):
        if ":" in path.name:
            registry.get(path.name, import_code=True)
            return Recipe(method=path.name, source="the defaults of its class", settings={})
        path = _FOLDER / f"{name_or_path}.yaml"
        if path.stem not in recipe_names():
            raise _no_recipe(str(name_or_path))
    recipe = _read(path)
    _check_method(recipe, path, import_code)
    _check_fields(recipe, path)
    return recipe


def _no_recipe(name: str) -> NotFoundError:
    near = difflib.get_close_matches(name, recipe_names(), n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(recipe_names())}"
    return NotFoundError(f"no method or recipe '{name}'", hint)


def _read(path: Path) -> Recipe:
    try:
        return Recipe.model_validate(parse_yaml(read_small(path, 1 << 20)))
    except UnicodeDecodeError as error:
        raise DamagedError(f"the recipe '{path}' is not text in UTF-8") from error
    except NotFoundError as error:
        raise NotFoundError(f"no recipe '{path}': {error.message}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise EzavError(f"recipe '{path}': {where}: {first['msg']}") from error
    except ValueError as error:
        raise DamagedError(f"'{path}' is not YAML: {error}") from error


def _check_method(recipe: Recipe, path: Path, import_code: bool) -> None:
    try:
        registry.get(recipe.method, import_code=import_code)
    except EzavError as error:
        raise type(error)(f"recipe '{path}': {error.message}", error.hint) from error


def _check_fields(recipe: Recipe, path: Path) -> None:
    from ezav.recipes.settings import typed_settings

    for suite, setting in recipe.settings.items():
        try:
            typed_settings(recipe.method, setting.config, setting.training)
        except EzavError as error:
            raise type(error)(f"recipe '{path}', {suite}: {error.message}", error.hint) from error
