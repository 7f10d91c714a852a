"""Every method by name: a folder of `ezav/methods` whose `method.py` names its class `METHOD`."""

from __future__ import annotations

import difflib
import importlib
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


def get(name: str) -> type[Method]:
    """The class of a method.

    Raises:
        EzavError: there is no such method; the message names the nearest one.
    """
    known = names()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(known)}"
        raise EzavError(f"no method '{name}'", hint)
    method: type[Method] = importlib.import_module(f"ezav.methods.{name}.method").METHOD
    return method
