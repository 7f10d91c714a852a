"""Names of a package that are imported when they are first touched.

Torch takes seconds to import, so packages keep their face light. For type checkers and editors
the same names are imported for real:

    if TYPE_CHECKING:
        from ezav.features.store import FeatureStore
    else:
        __getattr__, __dir__ = attach(__name__, {"FeatureStore": "ezav.features.store"})

    __all__ = ["FeatureStore"]
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping


def attach(
    package: str, homes: Mapping[str, str]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a package.

    Args:
        package: its `__name__`.
        homes: name -> the module that defines it, or that it is: a submodule is given as itself.

    Example:
        >>> get, names = attach("numbers", {"Fraction": "fractions"})
        >>> get("Fraction"), names()
        (<class 'fractions.Fraction'>, ['Fraction'])
        >>> get("Fractoin")
        Traceback (most recent call last):
        AttributeError: module 'numbers' has no attribute 'Fractoin'
    """

    def get(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = importlib.import_module(homes[name])
        found: object = module if homes[name] == f"{package}.{name}" else getattr(module, name)
        return found

    def names() -> list[str]:
        return sorted(homes)

    return get, names
