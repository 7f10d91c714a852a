"""Every method by name: a folder of `ezav/methods` whose `method.py` names its class `METHOD`."""

from __future__ import annotations

import difflib
import importlib
import sys
from pathlib import Path

from ezav.errors import EzavError
from ezav.methods.base import Method


def names() -> list[str]:
    """The registered methods, sorted.

    Example:
        >>> "ez_avgzl" in names()
        True
    """
    return sorted(path.parent.name for path in Path(__file__).parent.glob("*/method.py"))


def get(name: str, *, importing: bool = True) -> type[Method]:
    """The class of a method, by its registered name or as `package.module:Class`.

    Args:
        name: what a user typed, or what a run says.
        importing: False when the name may come out of a file: a class of one's own must then have
            been imported by the caller, since importing runs code.

    Raises:
        EzavError: there is no such method (the message names the nearest one), or it would have
            to be imported.
    """
    if ":" in name:
        return _own(name, importing)
    known = names()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(known)}"
        raise EzavError(f"no method '{name}'", hint)
    method: type[Method] = importlib.import_module(f"ezav.methods.{name}.method").METHOD
    return method


def _own(path: str, importing: bool) -> type[Method]:
    module, _, attribute = path.partition(":")
    if not importing and module not in sys.modules:
        raise EzavError(
            f"the method '{path}' is not part of ezav, and nobody has imported it",
            f"import {module} in Python first, if you trust it",
        )
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise EzavError(
            f"cannot import the method '{path}': {error}",
            "write package.module:Class, with the package installed or on PYTHONPATH",
        ) from error
    if not (isinstance(found, type) and issubclass(found, Method)):
        raise EzavError(f"'{path}' is not a subclass of ezav.methods.base.Method")
    return found
