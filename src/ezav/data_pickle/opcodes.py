"""What each opcode does; one that is not here is refused."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from ezav.data_pickle.arrays import checked_key
from ezav.data_pickle.machine import Machine

_LONG = 64
"""Bytes of the largest number."""
_U1, _U2, _U4, _U8 = (struct.Struct(form) for form in ("<B", "<H", "<I", "<Q"))
_I4, _F8 = struct.Struct("<i"), struct.Struct(">d")


def _text(form: struct.Struct) -> Callable[[Machine], None]:
    return lambda r: r.push(r.take(r.number(form)).decode("utf-8", "surrogatepass"))


def _ascii(form: struct.Struct) -> Callable[[Machine], None]:
    return lambda r: r.push(r.take(r.number(form)).decode("ascii"))


def _bytes(form: struct.Struct) -> Callable[[Machine], None]:
    return lambda r: r.push(r.take(r.number(form)))


def _long(form: struct.Struct) -> Callable[[Machine], None]:
    def read(r: Machine) -> None:
        length = r.number(form)
        if length > _LONG:
            raise ValueError(f"a number of {length:,} bytes")
        r.push(int.from_bytes(r.take(length), "little", signed=True))

    return read


def _tuple(length: int) -> Callable[[Machine], None]:
    def make(r: Machine) -> None:
        if len(r.stack) < length:
            raise ValueError("a tuple of what is not there")
        items = tuple(r.stack[len(r.stack) - length :])
        del r.stack[len(r.stack) - length :]
        r.push(items, 40 + 8 * length)

    return make


def _dict(r: Machine) -> None:
    items = r.since_mark()
    r.push({}, 64)
    r.update(items)


def _pairs(r: Machine) -> list[Any]:
    value, key = r.stack.pop(), r.stack.pop()
    return [key, value]


HANDLERS: dict[int, Callable[[Machine], Any]] = {
    code[0]: handler
    for code, handler in {
        b"\x80": lambda r: r.take(1),  # PROTO
        b"\x95": lambda r: r.take(8),  # FRAME
        b"(": Machine.mark,
        b"0": lambda r: r.stack.pop() if r.stack else r.since_mark(),
        b"1": lambda r: r.since_mark(),
        b"N": lambda r: r.push(None),
        b"\x88": lambda r: r.push(True),
        b"\x89": lambda r: r.push(False),
        b"I": Machine.integer,
        b"J": lambda r: r.push(r.number(_I4)),
        b"K": lambda r: r.push(r.number(_U1)),
        b"M": lambda r: r.push(r.number(_U2)),
        b"L": lambda r: r.push(int(r.line().rstrip("L"))),
        b"\x8a": _long(_U1),
        b"\x8b": _long(_U4),
        b"F": lambda r: r.push(float(r.line())),
        b"G": lambda r: r.push(r.number(_F8)),
        b"S": Machine.quoted,
        b"T": _ascii(_U4),
        b"U": _ascii(_U1),
        b"V": lambda r: r.push(r.raw_line().decode("raw_unicode_escape")),
        b"X": _text(_U4),
        b"\x8c": _text(_U1),
        b"\x8d": _text(_U8),
        b"B": _bytes(_U4),
        b"C": _bytes(_U1),
        b"\x8e": _bytes(_U8),
        b"\x96": lambda r: r.push(bytearray(r.take(r.number(_U8)))),
        b"]": lambda r: r.push([], 64),
        b"l": lambda r: r.push(r.since_mark(), 64),
        b"a": lambda r: r.extend([r.stack.pop()]),
        b"e": lambda r: r.extend(r.since_mark()),
        b")": lambda r: r.push(()),
        b"t": lambda r: r.push(tuple(r.since_mark()), 64),
        b"\x85": _tuple(1),
        b"\x86": _tuple(2),
        b"\x87": _tuple(3),
        b"}": lambda r: r.push({}, 64),
        b"d": _dict,
        b"s": lambda r: r.update(_pairs(r)),
        b"u": lambda r: r.update(r.since_mark()),
        b"\x8f": lambda r: r.push(set(), 216),
        b"\x90": lambda r: r.add(r.since_mark()),
        b"\x91": lambda r: r.push(frozenset(checked_key(one) for one in r.since_mark()), 216),
        b"c": lambda r: r.named(r.line(), r.line()),
        b"\x93": Machine.named_on_stack,
        b"R": Machine.call,
        b"b": Machine.build,
        b"p": lambda r: r.keep(int(r.line())),
        b"q": lambda r: r.keep(r.number(_U1)),
        b"r": lambda r: r.keep(r.number(_U4)),
        b"\x94": lambda r: r.keep(len(r.memo)),
        b"g": lambda r: r.push(r.memo[int(r.line())]),
        b"h": lambda r: r.push(r.memo[r.number(_U1)]),
        b"j": lambda r: r.push(r.memo[r.number(_U4)]),
    }.items()
}
