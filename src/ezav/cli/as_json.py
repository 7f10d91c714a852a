"""Results and failures as JSON: one document on stdout, made here and nowhere else."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Set
from datetime import date
from enum import Enum
from pathlib import PurePath


def json_text(result: object, status: int) -> str:
    """One JSON document: the result's fields, and the exit status.

    Args:
        result: a dataclass, a pydantic model or a mapping of what :func:`as_json` takes.
        status: what the command ends with; a `status` that the result itself holds is kept.

    Raises:
        TypeError: something in the result has no form in JSON.

    Example:
        >>> print(json_text({"recall": float("nan")}, status=0))
        {
          "recall": null,
          "status": 0
        }
    """
    document = as_json(result)
    if not isinstance(document, dict):
        raise TypeError(f"a command's result has fields, unlike a {type(result).__name__}")
    document.setdefault("status", status)
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def as_json(value: object) -> object:
    """A value in the types that JSON has.

    Dataclasses, named tuples, pydantic models and what has an `as_dict()` become objects; paths,
    enums and dates text; arrays, tensors and their scalars numbers; numbers that JSON lacks (not a
    number, infinite: what is not known, or has no bound) null.

    Raises:
        TypeError: a value of another kind.

    Example:
        >>> from pathlib import Path
        >>> as_json({"out": Path("a/b"), "gamma": float("inf"), "seeds": (0, 1)})
        {'out': 'a/b', 'gamma': None, 'seeds': [0, 1]}
    """
    if isinstance(value, Enum):
        return as_json(value.value)
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {_key(key): as_json(one) for key, one in value.items()}
    fields = _fields(value)
    if fields is not None:
        return {name: as_json(one) for name, one in fields.items()}
    if isinstance(value, list | tuple):
        return [as_json(one) for one in value]
    if isinstance(value, Set):
        return sorted((as_json(one) for one in value), key=str)
    if hasattr(value, "tolist"):  # numpy and torch, arrays and scalars
        return as_json(value.tolist())
    raise TypeError(f"a {type(value).__name__} has no form in JSON: {value!r}")


def _fields(value: object) -> Mapping[str, object] | None:
    """The fields of what is made of fields."""
    for method in ("as_dict", "to_dict", "_asdict", "model_dump"):  # a named tuple's, pydantic's
        if hasattr(value, method):
            found = getattr(value, method)()
            return found if isinstance(found, Mapping) else None
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return None


def _key(key: object) -> str:
    plain = as_json(key)
    return plain if isinstance(plain, str) else json.dumps(plain)
