"""The project's docstrings as mkdocstrings wants them."""

from __future__ import annotations

import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:class|func|meth|mod|data):`~?([^`]+)`")


class Docstrings(griffe.Extension):
    """`Example:` is a section of examples, and roles such as `:class:` are code."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Rewrite one docstring before it is parsed."""
        if obj.docstring is not None:
            text = re.sub(r"(?m)^(\s*)Example:$", r"\1Examples:", obj.docstring.value)
            obj.docstring.value = ROLE.sub(r"`\1`", text)
