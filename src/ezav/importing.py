"""Importing what a user wrote: one loader, and one rule about whose word it needs.

Code that the caller names in the call itself (`load_visual("my.module:Encoder")`) is his word.
Code that *data* names (a run folder, a store, a download, a recipe file) is imported only where
the caller says so, with `import_code=True`; `docs/concepts/trust.md` states the rule.
"""

from __future__ import annotations

import importlib

from ezav.errors import EzavError, NotFoundError, RefusedError


def is_path(name: str) -> bool:
    """Whether a name is an import path, `package.module:Name`, and not the name of something known.

    Example:
        >>> is_path("my.module:Encoder"), is_path("clip")
        (True, False)
    """
    return ":" in name


def load(path: str, what: str, *, allowed: bool) -> object:
    """What an import path names. Nothing is called; importing its module runs that module.

    Args:
        path: `package.module:Name`.
        what: what it should be, in a word for messages: "method", "visual encoder".
        allowed: whether it may be imported: True where the caller typed the path, and else what
            the caller said.

    Raises:
        RefusedError: it may not. Nothing was imported.
        EzavError: it is no import path, or importing it failed.
        NotFoundError: there is no such module, or no such name in it.

    Example:
        >>> load("fractions:Fraction", "number", allowed=True)
        <class 'fractions.Fraction'>
        >>> load("fractions:Fraction", "number", allowed=False)
        Traceback (most recent call last):
        ezav.errors.RefusedError: the number 'fractions:Fraction' is code ...
    """
    module, _, name = path.partition(":")
    if not name.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
        raise EzavError(f"cannot import the {what} '{path}'", _GRAMMAR)
    if not allowed:
        raise RefusedError(
            f"the {what} '{path}' is code that a file names, and importing it would run it",
            "if you trust it, say `import_code=True`",
        )
    try:
        found: object = getattr(importlib.import_module(module), name)
    except (ModuleNotFoundError, AttributeError) as error:
        raise NotFoundError(f"cannot import the {what} '{path}': {error}", _GRAMMAR) from error
    except Exception as error:  # a module of the user's may raise anything while it is imported
        raise EzavError(
            f"cannot import the {what} '{path}': {type(error).__name__}: {error}"
        ) from error
    return found


_GRAMMAR = "write package.module:Name, with the package installed or on PYTHONPATH"
