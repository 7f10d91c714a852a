"""The pickle machine: a stack, a memo, and a budget of memory."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

from ezav.data_pickle.arrays import (
    MAKERS,
    NUMPY,
    ArrayType,
    Maker,
    Named,
    Unbuilt,
    checked_key,
    instance,
    make_array,
)
from ezav.errors import RefusedError

_FREE = 1 << 26
_RATIO = 32


def budget_of(size: int) -> int:
    """The bytes that a pickle may take: 64 MiB, and 32 for each of its own.

    Example:
        >>> budget_of(0) >> 20
        64
    """
    return _FREE + _RATIO * size


class Machine:
    """The pickle machine, opcode by opcode."""

    def __init__(
        self, data: mmap.mmap, start: int, makers: Mapping[tuple[str, str], Maker]
    ) -> None:
        self.data, self.at, self.end = data, start, len(data)
        self.budget = budget_of(len(data))
        self.makers = makers
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def load(self) -> Any:
        from ezav.data_pickle.opcodes import HANDLERS

        data = self.data
        while True:
            code = data[self.at]
            self.at += 1
            if code == 0x2E:  # STOP
                return self.stack.pop()
            handler = HANDLERS.get(code)
            if handler is None:
                raise RefusedError(f"refused the opcode {bytes((code,))!r} in a pickle")
            handler(self)

    def take(self, length: int) -> bytes:
        start, stop = self.at, self.at + length
        if stop > self.end:
            raise ValueError(f"it claims {length:,} bytes and has {self.end - start:,}")
        self.at = stop
        return self.data[start:stop]

    def number(self, form: struct.Struct) -> Any:
        return form.unpack(self.take(form.size))[0]

    def line(self) -> str:
        return self.raw_line().decode("ascii")

    def raw_line(self) -> bytes:
        stop = self.data.find(b"\n", self.at, self.at + 100_000)
        if stop < 0:
            raise ValueError("a line without an end")
        text = self.data[self.at : stop]
        self.at = stop + 1
        return text

    def spend(self, size: int) -> None:
        self.budget -= size
        if self.budget < 0:
            raise RefusedError("refused a pickle that takes far more memory than its size")

    def push(self, value: Any, size: int = 0) -> None:
        self.spend(size)
        self.stack.append(value)

    def mark(self) -> None:
        self.spend(64)
        self.marks.append(self.stack)
        self.stack = []

    def since_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.marks.pop()
        return items

    def keep(self, place: int) -> None:
        value = self.stack[-1]
        self.spend(64)
        self.memo[place] = value
        if type(value) is Unbuilt:
            value.places.append(place)

    def extend(self, items: list[Any]) -> None:
        instance(self.stack[-1], list).extend(items)

    def update(self, items: list[Any]) -> None:
        target = instance(self.stack[-1], dict)
        self.spend(50 * len(items))
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[checked_key(key)] = value

    def add(self, items: list[Any]) -> None:
        target = instance(self.stack[-1], set)
        self.spend(50 * len(items))
        target.update(checked_key(one) for one in items)

    def named(self, module: Any, name: Any) -> None:
        module = {"__builtin__": "builtins"}.get(module, module)  # as protocol 2 writes it
        if (module, name) == ("numpy", "ndarray"):  # only ever an argument
            self.stack.append(np.ndarray)
            return
        found = self.makers.get((module, name)) or MAKERS.get((module, name))
        # Files written by numpy 1 name numpy.core, by numpy 2 numpy._core.
        if found is None and str(module).startswith("numpy."):
            found = NUMPY.get((module.split(".")[-1], name))
        if found is None:
            raise RefusedError(
                f"refused to load '{module}.{name}' from a pickle",
                "only numpy arrays and plain containers are read; convert the file if you trust it",
            )
        self.stack.append(Named(found))

    def named_on_stack(self) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.named(instance(module, str), instance(name, str))

    def call(self) -> None:
        arguments = instance(self.stack.pop(), tuple)
        self.push(instance(self.stack.pop(), Named).make(*arguments), 128)

    def build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, ArrayType):
            target.build(state)
            return
        if not isinstance(target, Unbuilt) or not isinstance(state, tuple):
            raise RefusedError(f"refused the state of a {type(target).__name__} in a pickle")
        shape, kind, fortran, data = state[-4:]
        array = make_array(shape, kind, data, "F" if fortran else "C")
        for place in target.places:
            self.memo[place] = array
        self.stack[-1] = array

    def integer(self) -> None:
        text = self.line()
        self.push({"00": False, "01": True}.get(text) if text in ("00", "01") else int(text))

    def quoted(self) -> None:
        text = self.line()
        if len(text) < 2 or text[0] != text[-1] or text[0] not in "'\"" or "\\" in text:
            raise ValueError("a text with escapes")
        self.push(text[1:-1])
