"""Recipes: the hyper-parameters of every method on every suite, and what papers report there.

A recipe is a YAML file of this folder, or one of the user's own. :func:`protocol_for` makes a typed
run of it: the protocol that `ezav run`, `bench`, `ablate`, `tune` and the demo all train by.
"""

from ezav.recipes.controls import frozen_row
from ezav.recipes.published import PublishedResult, published_results
from ezav.recipes.recipe import Recipe, RecipeSetting, load_recipe
from ezav.recipes.settings import protocol_for, setting_for
from ezav.recipes.suites import suite_name, suite_of

__all__ = [
    "PublishedResult",
    "Recipe",
    "RecipeSetting",
    "frozen_row",
    "load_recipe",
    "protocol_for",
    "published_results",
    "setting_for",
    "suite_name",
    "suite_of",
]
