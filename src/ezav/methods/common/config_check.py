"""One check for every config: what its annotations and the names of its fields rule out."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import Field, fields, is_dataclass
from types import NoneType, UnionType
from typing import (
    Any,
    ClassVar,
    Literal,
    Protocol,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from pydantic import TypeAdapter, ValidationError

from ezav.errors import EzavError

_COUNTS = "dim|hidden|width|mlp|heads|depth|latents|blocks|steps|epochs|per_epoch|per_class|size"
_BOUNDS: tuple[tuple[str, Callable[[float], bool], str], ...] = (
    ("dropout", lambda x: 0 <= x < 1, "{} {} is outside [0, 1)"),
    ("momentum", lambda x: 0 <= x <= 1, "{} {} is outside [0, 1]"),
    (_COUNTS, lambda x: x >= 1, "{} must be at least 1, not {}"),
    ("layers|patience|decay", lambda x: x >= 0, "{} must not be negative, it is {}"),
    ("rate|divisor|seconds|clip", lambda x: x > 0, "{} must be positive, it is {}"),
)
"""Last words of a field's name, what its number must satisfy, and what is said otherwise."""


class Settings(Protocol):
    """An instance of any dataclass, such as a method's config."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


_Config = TypeVar("_Config", bound=Settings)


def parse(kind: type[_Config], values: Mapping[str, object], name: str) -> _Config:
    """A config from plain data (a recipe, a run), checked field by field, nested ones too.

    Args:
        kind: the dataclass of the config.
        values: field -> value; what is not given is as in the dataclass.
        name: what messages call the config.

    Raises:
        EzavError: a field is unknown, or has a value of the wrong kind or beyond reason.

    Example:
        >>> from ezav.methods.ez_avgzl.config import EzAvgzlConfig
        >>> parse(EzAvgzlConfig, {"classes": {"alfa": 0.3}}, "config")
        Traceback (most recent call last):
        ezav.errors.EzavError: config.classes has no field 'alfa'; it has: alpha, center, ...
    """
    _check_names(kind, values, name)
    try:
        config = TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, (name, *first["loc"])))
        raise EzavError(f"{where}: {first['msg']}") from error
    check_config(config)
    return config


def _check_names(kind: type[Settings], values: Mapping[str, object], name: str) -> None:
    """Refuse unknown fields, which pydantic passes over."""
    hints = get_type_hints(kind)
    known = sorted(field.name for field in fields(kind))
    for field, value in values.items():
        if field not in known:
            raise EzavError(f"{name} has no field '{field}'", f"it has: {', '.join(known)}")
        nested = _without_none(hints[field])
        if isinstance(nested, type) and is_dataclass(nested) and isinstance(value, Mapping):
            _check_names(nested, value, f"{name}.{field}")


def _without_none(kind: object) -> object:
    """`X` of `X | None`, any other annotation as it is."""
    if get_origin(kind) not in (Union, UnionType):
        return kind
    kinds = [one for one in get_args(kind) if one is not NoneType]
    return kinds[0] if len(kinds) == 1 else kind


def check_config(config: Settings) -> None:
    """Refuse a value that no method could use, before it ends in a traceback or in silence.

    Args:
        config: a dataclass. A field annotated as a `Literal` holds one of its values; in ezav's
            own configs a number whose name ends in one of the words above keeps its bounds. In
            a config of one's own the same name may mean something else.

    Raises:
        EzavError: a field has another value.

    Example:
        >>> from ezav.methods.avca.config import AVCAConfig
        >>> check_config(AVCAConfig(encoder_dropout=1.5))
        Traceback (most recent call last):
        ezav.errors.EzavError: encoder_dropout 1.5 is outside [0, 1)
    """
    hints = get_type_hints(type(config))
    bounds = _BOUNDS if type(config).__module__.startswith("ezav.") else ()
    for field in fields(config):
        name, value, kind = field.name, getattr(config, field.name), hints[field.name]
        if get_origin(kind) is Literal and value not in get_args(kind):
            allowed = ", ".join(map(str, get_args(kind)))
            raise EzavError(f"{name} is '{value}'", f"use one of {allowed}")
        for words, holds, otherwise in bounds:
            named = re.fullmatch(f"(.*_)?({words})", name)
            if named and not _keeps(value, holds):
                raise EzavError(otherwise.format(name, value))


def _keeps(value: object, holds: Callable[[float], bool]) -> bool:
    return isinstance(value, bool) or not isinstance(value, (int, float)) or holds(value)
