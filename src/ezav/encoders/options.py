"""The options of an encoder: which there are, and whether given ones fit its constructor."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, get_type_hints

from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError

from ezav.errors import EzavError


def options(factory: Callable[..., Any]) -> tuple[str, ...]:
    """The options of an encoder: its constructor's, and those it hands on to its base classes.

    Example:
        >>> from ezav.encoders.clip import ClipVisual
        >>> {"source", "fps", "device"} <= set(options(ClipVisual))
        True
    """
    return tuple(_annotated(factory))


def _annotated(factory: Callable[..., Any]) -> dict[str, Any]:
    """Option -> its type; `Any` where none is written, or it cannot be found at run time."""
    makers: list[Any] = [factory]
    if isinstance(factory, type):
        makers = [vars(c)["__init__"] for c in factory.__mro__ if "__init__" in vars(c)]
    found: dict[str, Any] = {}
    for maker in makers:
        parameters = inspect.signature(maker).parameters
        try:
            types = get_type_hints(maker)
        except (NameError, TypeError):
            types = {}
        for name, p in parameters.items():
            if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY):
                found.setdefault(name, types.get(name, Any))
        if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            break
    return {name: type_ for name, type_ in found.items() if name not in {"self", "card"}}


def call(
    factory: Callable[..., Any], arguments: tuple[Any, ...], given: Mapping[str, Any], name: str
) -> Any:
    """What the factory makes of arguments and given options.

    Args:
        name: of the encoder, for messages.

    Raises:
        EzavError: an option is unknown, or of another type than the constructor says.

    Example:
        >>> call(dict, (), {"fps": 2}, "mine")
        Traceback (most recent call last):
        ezav.errors.EzavError: the encoder 'mine' has no option 'fps'; it has no options
    """
    known = _annotated(factory)
    for option, value in given.items():
        if option not in known:
            hint = f"its options are {', '.join(known)}" if known else "it has no options"
            raise EzavError(f"the encoder '{name}' has no option '{option}'", hint)
        _check_type(name, option, value, known[option])
    return factory(*arguments, **given)


def _plain(value: Any) -> Any:
    """A torch device as text, a number of numpy as Python's; anything else as it is."""
    module, name = type(value).__module__, type(value).__name__
    if module == "numpy" and getattr(value, "ndim", 1) == 0:
        return value.item()
    return str(value) if (module, name) == ("torch", "device") else value


def _check_type(name: str, option: str, value: Any, wanted: Any) -> None:
    try:
        adapter = TypeAdapter(wanted, config=ConfigDict(arbitrary_types_allowed=True))
    except PydanticUserError:
        return None  # a type of the encoder's own that pydantic does not know
    try:
        # A list may stand for a tuple: the command line has no other way to write one.
        adapter.validate_python(value, strict=not isinstance(value, list))
    except ValidationError as error:
        plain = _plain(value)
        if plain is not value:
            return _check_type(name, option, plain, wanted)
        why = error.errors()[0]["msg"]
        raise EzavError(
            f"the encoder '{name}' cannot take {option}={value!r}: {why[0].lower()}{why[1:]}"
        ) from error
