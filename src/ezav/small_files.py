"""Small files of others, read within limits: bytes, JSON, YAML."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ezav.errors import DamagedError, RefusedError
from ezav.safe_io import cannot_read

_SMALL = 1 << 26
_DEEP = 64
_VALUES = 100_000
_NUMBERS = {"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"}
_DIGITS = 1000


def read_small(path: str | Path, limit: int = _SMALL) -> bytes:
    """The bytes of a file that is to be small: JSON, YAML, a list of names.

    Raises:
        NotFoundError: it is not there.
        UnavailableError: it cannot be read.
        RefusedError: it is larger than `limit` bytes (64 MiB).

    Example:
        >>> read_small("/dev/zero")
        Traceback (most recent call last):
        ezav.errors.RefusedError: refused '/dev/zero': it is larger than 64 MiB
    """
    try:
        with open(path, "rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise cannot_read(path, error) from error
    if len(data) > limit:
        raise RefusedError(f"refused '{path}': it is larger than {limit >> 20} MiB")
    return data


def read_small_text(path: str | Path) -> str:
    """A small text file in UTF-8, with or without a byte order mark.

    Raises:
        DamagedError: it is not in UTF-8.
        EzavError: as :func:`read_small`.
    """
    try:
        return read_small(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DamagedError(f"'{path}' is not UTF-8 text") from error


def parse_json(text: str | bytes) -> Any:
    """JSON, where nesting without end is as much a `ValueError` as any other mistake.

    Example:
        >>> parse_json("[" * 100_000)
        Traceback (most recent call last):
        ValueError: it is nested too deeply
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def parse_yaml(text: str | bytes) -> Any:
    """YAML of plain values, however often one place refers to another.

    References let a few lines stand for gigabytes: what they stand for is counted beforehand.

    Raises:
        ValueError: it is no YAML, is nested too deeply, or stands for more than 100 000 values.

    Example:
        >>> parse_yaml("{a: &x [1], b: *x}")
        {'a': [1], 'b': [1]}
        >>> parse_yaml("[" * 100 + "]" * 100)
        Traceback (most recent call last):
        ValueError: it is nested too deeply
    """
    import yaml

    class Counting(yaml.SafeLoader):
        def __init__(self, text: str) -> None:
            super().__init__(text)
            self.depth = self.total = 0
            self.sizes: dict[str | None, int] = {}

        def compose_node(self, parent: Any, index: Any) -> Any:
            peek: Callable[[], Any] = self.peek_event
            event, start = peek(), self.total
            if isinstance(event, yaml.AliasEvent):
                self.total += self.sizes.get(event.anchor, _VALUES)  # none while it is open
            self.total += 1
            self.depth += 1
            if self.depth > _DEEP:
                raise ValueError("it is nested too deeply")
            if self.total > _VALUES:
                raise ValueError(f"it stands for more than {_VALUES:,} values, or for itself")
            node = super().compose_node(parent, index)
            self.depth -= 1
            self.sizes[event.anchor] = self.total - start
            # One in base 60, `1:1:…`, takes the square of its length.
            if node and node.tag in _NUMBERS and len(node.value) > _DIGITS:
                raise ValueError(f"a number of {len(node.value):,} digits")
            return node

    try:
        loader = Counting(text if isinstance(text, str) else text.decode("utf-8"))
        return loader.get_single_data()
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error
    except (AttributeError, LookupError, TypeError, OverflowError) as error:  # `!!timestamp x`
        raise ValueError("a value is not of the kind that its tag says") from error
