"""What a pickle may make: arrays of numbers, text and objects, each checked before it is made."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from ezav.errors import RefusedError

Maker = Callable[..., Any]
"""Makes a value of the arguments that a pickle gives."""

PLAIN = (str, bytes, int, float, bool, complex, type(None), np.generic)
_TYPE = re.compile(r"b1|[iu][1248]|f[248]|c8|c16|[SU]\d{1,9}|O8?")


class Named:
    """What a file may call by name."""

    def __init__(self, make: Maker) -> None:
        self.make = make


class ArrayType:
    """A dtype while it is made: of one number, text or object; never of fields."""

    def __init__(self, code: Any, *_: Any) -> None:
        code = code.decode("ascii") if isinstance(code, bytes) else code
        if not isinstance(code, str) or not _TYPE.fullmatch(code):
            raise RefusedError(f"refused the array type '{str(code)[:40]}' in a pickle")
        self.dtype = np.dtype(code)

    def build(self, state: Any) -> None:
        """Its byte order, as numpy's own state tells it; all else there must say nothing."""
        if not isinstance(state, tuple) or len(state) not in (8, 9):
            raise RefusedError("refused an array type with a state of its own in a pickle")
        order = state[1].decode("ascii") if isinstance(state[1], bytes) else state[1]
        told = any(one is not None for one in (*state[2:5], *state[8:]))
        if told or order not in ("<", ">", "=", "|"):
            raise RefusedError("refused an array type with a state of its own in a pickle")
        if state[5] not in (-1, self.dtype.itemsize):
            raise RefusedError("refused an array type of another size than its name in a pickle")
        self.dtype = np.dtype(order + self.dtype.str[1:])


class Unbuilt:
    """An array between its making and its state, with the places where the memo has it."""

    def __init__(self, kind: Any, *_: Any) -> None:
        if kind is not np.ndarray:
            raise RefusedError("refused an array of another class in a pickle")
        self.places: list[int] = []


def _count(shape: Any) -> int:
    if not isinstance(shape, tuple) or len(shape) > 32:
        raise ValueError("an array whose shape is no shape")
    if not all(type(n) is int and 0 <= n < 1 << 62 for n in shape):
        raise ValueError("an array whose shape is no shape")
    return math.prod(shape)


def make_array(shape: Any, kind: Any, data: Any, order: str = "C") -> np.ndarray:
    """An array of the bytes or the list that are its data; the counts are compared first."""
    if not isinstance(kind, ArrayType):
        raise ValueError("an array without a type")
    count, dtype = _count(shape), kind.dtype
    if dtype.hasobject:
        if not isinstance(data, list) or len(data) != count:
            raise ValueError(f"an array of {count} objects that does not hold them")
        objects = np.empty(count, dtype=object)
        for row, value in enumerate(data):
            objects[row] = value
        return objects.reshape(shape, order="F" if order == "F" else "C")
    if isinstance(data, str):
        data = data.encode("latin1")
    if not isinstance(data, bytes | bytearray) or len(data) != count * dtype.itemsize:
        raise ValueError(f"an array of shape {shape} that does not hold its numbers")
    if count and not dtype.itemsize:
        raise ValueError("an array of nothing")
    array = np.ndarray(count, dtype, bytearray(data) if isinstance(data, bytes) else data)
    if dtype.kind == "U" and array.size and int(array.view(f"{dtype.str[0]}u4").max()) > 0x10FFFF:
        raise ValueError("text that is no text")
    if dtype.kind == "b":
        array = array.view("u1") != 0
    return array.reshape(shape, order="F" if order == "F" else "C")


def _from_buffer(data: Any, kind: Any, shape: Any, order: Any, axes: Any = None) -> np.ndarray:
    if order == "K" and isinstance(axes, tuple):
        return make_array(shape, kind, data).transpose(axes)
    return make_array(shape, kind, data, order)


def _scalar(kind: Any, data: Any) -> Any:
    return make_array((1,), kind, data)[0]


def _latin1(text: Any, encoding: Any = "latin1") -> bytes:
    """Protocol-2 pickles spell bytes as ``_codecs.encode(text, 'latin1')``."""
    if encoding not in {"latin1", "latin-1", "iso-8859-1"} or not isinstance(text, str):
        raise RefusedError("refused a codec other than latin1 in a pickle")
    return text.encode("latin1")


def _bytearray(data: Any = b"", encoding: Any = None) -> bytearray:
    return bytearray(_latin1(data, encoding) if encoding else instance(data, bytes))


def instance(value: Any, *kinds: type) -> Any:
    if type(value) not in kinds:
        raise ValueError(f"a {type(value).__name__} in the wrong place")
    return value


def checked_key(value: Any, depth: int = 0) -> Any:
    """A key of a dictionary: hashing nested tuples may never end."""
    if isinstance(value, tuple) and depth < 2 and len(value) <= 16:
        for one in value:
            checked_key(one, depth + 1)
    elif not isinstance(value, PLAIN):
        raise RefusedError(f"refused a {type(value).__name__} as a key in a pickle")
    return value


MAKERS: dict[tuple[str, str], Maker] = {
    ("builtins", "set"): lambda items=(): {checked_key(one) for one in items},
    ("builtins", "frozenset"): lambda items=(): frozenset(checked_key(one) for one in items),
    ("builtins", "bytes"): lambda: b"",  # as protocol 2 writes an empty one
    ("builtins", "bytearray"): _bytearray,
    ("builtins", "complex"): lambda real, imaginary=0.0: complex(
        instance(real, float, int), instance(imaginary, float, int)
    ),
    ("collections", "OrderedDict"): lambda items=(): {
        checked_key(pair[0]): pair[1] for pair in instance(items, list, tuple)
    },
    ("_codecs", "encode"): _latin1,
    ("numpy", "dtype"): ArrayType,
}
NUMPY: dict[tuple[str, str], Maker] = {
    ("multiarray", "_reconstruct"): Unbuilt,
    ("multiarray", "scalar"): _scalar,
    ("numeric", "_frombuffer"): _from_buffer,
}
