"""Train and test a method on a feature store; without a method, the best that is known.

`ezav run STORE --out RUN` learns a stack of closed forms and of what the encoders know by name, by
class folds, and says what each member is worth. With a method: the two-stage protocol.

Stage 1 chooses the number of epochs and gamma on validation; stage 2 trains again on train and
validation together, and only then are the test clips scored. Settings are those of the method's
recipe for the store's data set unless given. Writes a run folder that says everything about itself.
"""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from ezav.cli.arguments import understood
from ezav.cli.flags import error_in_flags, flags_of
from ezav.cli.run_command import RunCommand, RunOptions
from ezav.errors import EzavError, NotFoundError

if TYPE_CHECKING:
    from ezav.features.store import FeatureStore

DEFAULT_METHOD = "best"
"""What is run where only a store is named."""

CLI = RunCommand


def cli_for(arguments: list[str]) -> type[RunCommand]:
    """The command with the options of the method that the arguments name.

    Their defaults are those of its recipe for the store's data set, where a store is named too.
    What the arguments name is parsed by tyro as everything is: first for the method, whose options
    are not known yet; then with those options for the store; `main` does it with all defaults.

    Raises:
        EzavError: no such method or recipe, or one that the store cannot have.
    """
    words = understood(_Words, arguments)
    if words is None or not words.words:
        return RunCommand
    try:
        return _command(words, arguments)
    except EzavError as error:  # `main` has no command yet to take the flags from
        raise error_in_flags(error, flags_of(words)) from error


def _command(words: _Words, arguments: list[str]) -> type[RunCommand]:
    if len(words.words) == 1 and _is_store(words.words[0]):
        store = _store_at(Path(words.words[0]), words)
        method = _method_of(words.recipe, words.import_code) if words.recipe else DEFAULT_METHOD
        run = _with_settings(words.recipe or method, store, words.text_encoder, words.import_code)
        return _with_method(run, method)
    method = words.words[0]
    if len(words.words) == 1 and os.sep in method and not Path(method).exists():
        raise NotFoundError(
            f"there is no feature store '{method}'", "'ezav extract VIDEOS --out STORE' makes one"
        )
    recipe = _recipe_of(method, words)
    command = _with_settings(recipe, None, words.text_encoder, words.import_code)
    named = understood(command, arguments, command(method=method, store=Path(), out=Path()))
    store = None if named is None else _store_at(named.store, named)
    if named is None or store is None:
        return command
    return _with_settings(recipe, store, named.text_encoder, named.import_code)


def _recipe_of(method: str, words: _Words) -> str:
    """The recipe whose settings a method shall have.

    Raises:
        EzavError: it is one of another method.
    """
    if not words.recipe:
        return method
    ours, theirs = (_method_of(one, words.import_code) for one in (method, words.recipe))
    if ours != theirs:
        raise EzavError(
            f"the recipe '{words.recipe}' is one of '{theirs}', not of '{method}'",
            "name that method, or another `recipe`",
        )
    return words.recipe


def _method_of(recipe: str, import_code: bool) -> str:
    from ezav.recipes import load_recipe

    return load_recipe(recipe, import_code=import_code).method


@dataclass(kw_only=True)
class _Words(RunOptions):
    """Any words and every option whose name is known before the method is."""

    words: tyro.conf.Positional[tuple[str, ...]] = ()
    out: Path = Path()


def _with_settings(
    method: str, store: FeatureStore | None, text_encoder: str | None, import_code: bool
) -> type[RunCommand]:
    """The command with a method's settings as options; defaults are its recipe's for the store."""
    from ezav.recipes import protocol_for

    run = protocol_for(method, store, text_encoder=text_encoder, import_code=import_code)
    return dataclasses.make_dataclass(
        "RunCommand",
        [
            ("config", type(run.config), field(default_factory=lambda: run.config)),
            ("training", type(run.training), field(default_factory=lambda: run.training)),
        ],
        bases=(RunCommand,),
        kw_only=True,
    )


def _with_method(command: type[RunCommand], method: str) -> type[RunCommand]:
    """The command for one method, which is then no word of it."""
    fixed = ("method", tyro.conf.Suppress[str], field(default=method))
    return dataclasses.make_dataclass("RunCommand", [fixed], bases=(command,), kw_only=True)


def _is_store(word: str) -> bool:
    """Whether the only word names a store: then no method is named."""
    from ezav.recipes.recipe import is_file, recipe_names

    return word not in recipe_names() and not is_file(word) and Path(word).is_dir()


def _store_at(path: Path, options: RunOptions) -> FeatureStore | None:
    """The store there, with the splits asked for: a recipe's settings depend on them.

    What is wrong with it is said when it is used.
    """
    from ezav.features.store import FeatureStore

    try:
        return options.redrawn(FeatureStore.open(path))
    except (EzavError, OSError):
        return None


__all__ = ["CLI", "RunCommand", "cli_for"]
