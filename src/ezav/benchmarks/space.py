"""The space a method's settings are searched in: data, declared here or in a YAML file."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from ezav.errors import DamagedError, EzavError
from ezav.methods import registry
from ezav.small_files import parse_yaml, read_small


def _number(value: object) -> object:
    """`1e-4` as the number it is: YAML takes it for text, unlike `1.0e-4`."""
    if isinstance(value, str) and re.fullmatch(r"[-+]?\d+\.?\d*[eE][-+]?\d+", value):
        return float(value)
    return value


Value = Annotated[bool | int | float | str | None, BeforeValidator(_number)]


class Choice(BaseModel):
    """One of several values.

    Attributes:
        choices: the values.
        when: other settings of the space that must have these values for this one to matter.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    choices: tuple[Value, ...]
    when: dict[str, Value] = {}


class Range(BaseModel):
    """A number between `low` and `high`, both included; whole if both are whole numbers.

    `log` spreads the tries evenly over orders of magnitude.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    low: int | float
    high: int | float
    log: bool = False
    when: dict[str, Value] = {}

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError(f"no range from {self.low} to {self.high}")
        return self


Space = dict[str, Choice | Range]
"""Settings by their path ("config.layers", "config.classes.alpha", "training.learning_rate")."""

_CEO: dict[str, Value] = {"config.classes.source": "ceo"}

_GENERAL: Space = {
    "training.learning_rate": Range(low=1e-4, high=5e-3, log=True),
    "training.weight_decay": Choice(choices=(0.0, 1e-6, 1e-5, 1e-4, 1e-3)),  # many have none
    "config.dropout": Range(low=0.0, high=0.6),
}
"""For every trained method, as far as its config has the field."""

_DECLARED: dict[str, Space] = {
    "ez_avgzl": {
        "training.learning_rate": Range(low=1e-4, high=5e-3, log=True),
        "training.weight_decay": Range(low=1e-6, high=1e-3, log=True),
        "config.dropout": Range(low=0.0, high=0.6),
        "config.classes.source": Choice(choices=("ceo", "raw")),
        "config.classes.alpha": Range(low=0.02, high=0.9, when=_CEO),
        "config.classes.margin": Range(low=0.01, high=0.5, log=True, when=_CEO),
        "config.similarity": Choice(choices=("attention", "cosine", "decoder")),
        "config.negatives": Choice(choices=("batch", "distinct", "seen")),
        "config.layers": Choice(choices=(0, 1, 2, 4, 6)),
        "config.heads": Choice(choices=(4, 8, 16)),
        "config.width": Choice(choices=(64, 128, 256, 300)),
    },
}


def space_of(method: str) -> Space:
    """The declared space of a method: its own, or what is worth trying for any trained method.

    Raises:
        EzavError: no such method, or one in which nothing can be chosen.

    Example:
        >>> sorted(space_of("devise"))[-1]
        'training.weight_decay'
    """
    found = registry.get(method, import_code=True)
    if method in _DECLARED:
        return _DECLARED[method]
    if not found.trainable:
        raise EzavError(
            f"'{method}' has no declared space and is not trained",
            "declare one in a file, and give that as `space`",
        )
    known = {field.name for field in fields(found.Config)}
    return {
        path: one
        for path, one in _GENERAL.items()
        if path.startswith("training.") or path.removeprefix("config.") in known
    }


def read_space(path: str | Path) -> Space:
    """A space from YAML: `config.layers: {choices: [1, 2]}`, `config.dropout: {low: 0, high: 0.5}`.

    Returns:
        The settings in the order of the file, one that depends on another (`when`) after it.

    Raises:
        DamagedError: it is no text, or no YAML.
        EzavError: it cannot be read, is no space, or a `when` names no setting of it.
    """
    space: Space = {}
    where = ""
    try:
        data = parse_yaml(read_small(path, 1 << 20))
        entries = TypeAdapter(dict[str, dict[str, Any]]).validate_python(data)
        for name, entry in entries.items():
            where = name
            kind = Choice if "choices" in entry else Range
            space[name] = kind.model_validate(entry)
    except UnicodeDecodeError as error:
        raise DamagedError(f"the space '{path}' is not text in UTF-8") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join([where, *map(str, first["loc"])]).strip(".")
        raise EzavError(
            f"space '{path}': {place or 'the file'}: {first['msg']}",
            "a setting is {choices: [...]} or {low: ..., high: ..., log: true}",
        ) from error
    except ValueError as error:
        raise DamagedError(f"'{path}' is not YAML: {error}") from error
    if not space:
        raise EzavError(f"space '{path}' holds no setting")
    return _by_dependence(space)


def _by_dependence(space: Space) -> Space:
    placed: Space = {}
    waiting = dict(space)
    while waiting:
        ready = (path for path, one in waiting.items() if one.when.keys() <= placed.keys())
        path = next(ready, None)
        if path is None:
            path, one = next(iter(waiting.items()))
            missing = [name for name in one.when if name not in placed]
            why = "waits for it in turn" if missing[0] in space else "it does not name"
            raise EzavError(
                f"the space's {path} waits for '{missing[0]}', which {why}",
                "'when' names other settings of the space",
            )
        placed[path] = waiting.pop(path)
    return placed


def combinations(space: Space) -> list[dict[str, Value]] | None:
    """Every choice of settings in the space; None if there is no end of them (a range).

    Example:
        >>> source = Choice(choices=("ceo", "raw"))
        >>> alpha = Choice(choices=(0.1, 0.5), when={"source": "ceo"})
        >>> combinations({"source": source, "alpha": alpha})
        [{'source': 'ceo', 'alpha': 0.1}, {'source': 'ceo', 'alpha': 0.5}, {'source': 'raw'}]
    """
    found: list[dict[str, Value]] = [{}]
    for path, one in space.items():
        if isinstance(one, Range):
            return None
        found = [
            {**values, **extra}
            for values in found
            for extra in ([{path: value} for value in one.choices] if holds(one, values) else [{}])
        ]
    return found


def holds(one: Choice | Range, values: dict[str, Value]) -> bool:
    """Whether a setting matters, given those chosen before it.

    Example:
        >>> alpha = Range(low=0.1, high=0.9, when={"source": "ceo"})
        >>> holds(alpha, {"source": "ceo"}), holds(alpha, {"source": "raw"})
        (True, False)
    """
    return all(name in values and values[name] == wanted for name, wanted in one.when.items())


def settings_from(base: dict[str, Any], values: dict[str, Value]) -> dict[str, Any]:
    """`{"config": …, "training": …}` with some settings, given by their path, replaced.

    Example:
        >>> settings_from({"config": {"a": {"b": 1, "c": 2}}}, {"config.a.b": 5})
        {'config': {'a': {'b': 5, 'c': 2}}, 'training': {}}
    """
    result = {part: _copy(base.get(part, {})) for part in ("config", "training")}
    for path, value in values.items():
        *folders, name = path.split(".")
        place = result
        for folder in folders:
            place = place.setdefault(folder, {})
        place[name] = value
    return result


def _copy(data: Any) -> Any:
    return {k: _copy(v) for k, v in data.items()} if isinstance(data, dict) else data
