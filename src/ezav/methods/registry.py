"""Every method by name: a folder of `ezav/methods` whose `method.py` names its class `METHOD`."""

from __future__ import annotations

import difflib
import importlib
from pathlib import Path

from ezav import importing
from ezav.errors import EzavError, NotFoundError
from ezav.methods.base import Method


def names() -> list[str]:
    """The registered methods, sorted.

    Example:
        >>> "ez_avgzl" in names()
        True
    """
    return sorted(path.parent.name for path in Path(__file__).parent.glob("*/method.py"))


def get(name: str, *, import_code: bool = False) -> type[Method]:
    """The class of a method, by its registered name or as `package.module:Class`.

    Args:
        name: what a user typed, or what a run or a recipe file says.
        import_code: whether a method of one's own may be imported, which runs code: True where
            the caller typed the name, and else what he said (`docs/concepts/trust.md`).

    Raises:
        NotFoundError: there is no such method; the message names the nearest one.
        RefusedError: it is one of one's own, and may not be imported.
        EzavError: it cannot be imported, or is no subclass of `Method`.

    Example:
        >>> get("eszsl").__name__
        'ESZSL'
        >>> get("my.methods:Mine")
        Traceback (most recent call last):
        ezav.errors.RefusedError: the method 'my.methods:Mine' is code ...
    """
    if importing.is_path(name):
        return _own(name, import_code)
    known = names()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(known)}"
        raise NotFoundError(f"no method '{name}'", hint)
    method: type[Method] = importlib.import_module(f"ezav.methods.{name}.method").METHOD
    return method


def _own(path: str, import_code: bool) -> type[Method]:
    found = importing.load(path, "method", allowed=import_code)
    if not (isinstance(found, type) and issubclass(found, Method)):
        raise EzavError(f"'{path}' is not a subclass of ezav.methods.base.Method")
    return found
