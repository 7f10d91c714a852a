"""An encoder as a line of text: its name and options, as commands take and stores keep it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ezav.errors import EzavError
from ezav.small_files import parse_json

_NO_EFFECT = frozenset({"device", "batch_size"})
"""Options that do not change the features."""
_TEXT = frozenset({"source", "revision"})
"""Options that are text even where they look like a number."""


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    """An encoder by name (or import path) with its options, as another process may load it."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str | EncoderSpec) -> EncoderSpec:
        """From `name` or `name,option=value,option=value`.

        Numbers, `true`, `false` and JSON lists are read as such, anything else as text; a comma
        that no `option=` follows belongs to the value.

        Raises:
            EzavError: no name, or a part that is no `option=value`.

        Example:
            >>> EncoderSpec.parse("clip,source=models/a, b,fps=2").options
            {'source': 'models/a, b', 'fps': 2}
            >>> EncoderSpec.parse("package.module:Class").name
            'package.module:Class'
        """
        if isinstance(text, EncoderSpec):
            return text
        name, *parts = re.split(r",\s*(?=\w+=)", text.strip())
        if not name or "," in name or "=" in name:
            raise EzavError(
                f"'{text}' is no encoder",
                "write a name, or name,option=value: clip,source=models/clip,fps=2",
            )
        options = {}
        for part in parts:
            key, _, value = part.partition("=")
            options[key] = _value(key, value)
        return cls(name, options)

    def resolved(self) -> EncoderSpec:
        """With the absolute path of a `source` that is a file or folder, for later and elsewhere.

        Example:
            >>> EncoderSpec("clip", {"source": "/tmp/../tmp"}).resolved().options["source"]
            '/tmp'
        """
        source = self.options.get("source")
        if source is None or not Path(source).expanduser().exists():
            return self
        path = os.path.abspath(Path(source).expanduser())
        return EncoderSpec(self.name, {**self.options, "source": path})

    def without(self, *options: str) -> EncoderSpec:
        """Without these options."""
        kept = {key: value for key, value in self.options.items() if key not in options}
        return EncoderSpec(self.name, kept)

    @property
    def settings(self) -> str:
        """The options that change the features, as :meth:`parse` reads them.

        Raises:
            EzavError: a value that cannot be written as text.

        Example:
            >>> EncoderSpec("clip", {"source": "123", "fps": 2, "device": "cuda"}).settings
            'fps=2,source=123'
        """
        kept = sorted((k, v) for k, v in self.options.items() if k not in _NO_EFFECT)
        return ",".join(f"{key}={_written(key, value)}" for key, value in kept)


def _value(key: str, text: str) -> Any:
    if key in _TEXT:
        return text
    try:
        value = parse_json(text)
    except ValueError:
        return text
    return text if isinstance(value, dict) else value  # `{}` is a prompt, not a mapping


def _written(key: str, value: Any) -> str:
    if isinstance(value, os.PathLike):
        return str(os.fspath(value))
    if isinstance(value, str):
        return json.dumps(value) if _value(key, value) != value else value
    try:
        return json.dumps(value)
    except TypeError as error:
        raise EzavError(
            f"the option {key}={value!r} of an encoder cannot be written down",
            "give numbers, text or lists of them",
        ) from error
