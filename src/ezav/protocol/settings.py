"""Settings of a run as plain data, the form of run folders and recipes, and typed again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

from ezav.methods.base import Method
from ezav.methods.common.config_check import parse


def plain_config(config: Any) -> dict[str, Any]:
    """A method's typed config as plain data, as runs and recipes hold it.

    Example:
        >>> from ezav.methods.ez_avgzl.method import EzAvgzlConfig
        >>> plain_config(EzAvgzlConfig())["classes"]["alpha"]
        0.05
    """
    plain: dict[str, Any] = TypeAdapter(type(config)).dump_python(config, mode="json")
    return plain


def parse_config(method: type[Method], values: Mapping[str, Any]) -> Any:
    """A method's config from plain data (a recipe, a run), checked field by field.

    Raises:
        EzavError: a field is unknown, or has a value of the wrong kind or beyond reason.

    Example:
        >>> from ezav.methods import registry
        >>> parse_config(registry.get("eszsl"), {"gamma": 1.0}).gamma
        1.0
    """
    return parse(method.Config, values, method.Config.__name__)
