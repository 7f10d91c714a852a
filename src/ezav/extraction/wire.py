"""Messages between processes: a JSON head and plain arrays, so that nothing is ever unpickled.

A worker decodes files that nobody has checked. Should one of them take the worker over, the
worst it can send back is wrong numbers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

_MAX_HEAD = 1 << 24
_MAX_ARRAY = 1 << 32
_DTYPES = {"float32", "float64", "uint8"}

Arrays = dict[str, np.ndarray]


def send(connection: Connection, head: Mapping[str, Any], arrays: Mapping[str, Any] = {}) -> None:
    """Send a JSON-ready head and named arrays (float32, float64 or uint8).

    Example:
        >>> from multiprocessing import Pipe
        >>> here, there = Pipe()
        >>> send(here, {"ready": True})
        >>> receive(there)
        ({'ready': True}, {})
    """
    begin, parts = _message(head, arrays)
    connection.send_bytes(begin)
    for part in parts:
        if part.size:
            connection.send_bytes(part.reshape(-1).view(np.uint8).data)


def pack(head: Mapping[str, Any], arrays: Mapping[str, Any]) -> bytes:
    """Head and arrays as one string of bytes, for what carries bytes.

    Example:
        >>> head, arrays = unpack(pack({"clip": 3}, {"values": np.ones((2, 1), np.float32)}))
        >>> head, arrays["values"].tolist()
        ({'clip': 3}, [[1.0], [1.0]])
    """
    begin, parts = _message(head, arrays)
    data = b"".join(part.tobytes() for part in parts)
    return len(begin).to_bytes(4, "little") + begin + data


def unpack(data: bytes) -> tuple[dict[str, Any], Arrays]:
    """What :func:`pack` packed; raises ValueError if it is not such a thing.

    Example:
        >>> head, arrays = unpack(pack({"clip": "a.mp4"}, {"times": np.array([0.5])}))
        >>> head, arrays["times"].tolist()
        ({'clip': 'a.mp4'}, [0.5])
        >>> unpack(pack({}, {"text": np.array(["no number"])}))
        Traceback (most recent call last):
        ValueError: an array of <U9 [1]
    """
    at = 4 + int.from_bytes(data[:4], "little")
    message = json.loads(data[4:at])
    arrays: Arrays = {}
    for name, (dtype, shape) in message["arrays"].items():
        _check(dtype, shape)
        size = int(np.dtype(dtype).itemsize * np.prod(shape, dtype=np.int64))
        arrays[name] = np.frombuffer(bytearray(data[at : at + size]), dtype).reshape(shape)
        at += size
    return message["head"], arrays


def _message(head: Mapping[str, Any], arrays: Mapping[str, Any]) -> tuple[bytes, list[np.ndarray]]:
    parts = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    shapes = {name: [str(part.dtype), list(part.shape)] for name, part in parts.items()}
    return json.dumps({"head": head, "arrays": shapes}).encode(), list(parts.values())


def _check(dtype: Any, shape: Any) -> None:
    if dtype not in _DTYPES or not all(isinstance(n, int) and n >= 0 for n in shape):
        raise ValueError(f"an array of {dtype} {shape}")


def receive(connection: Connection) -> tuple[dict[str, Any], Arrays]:
    """What :func:`send` sent.

    Raises:
        EOFError: the other side has gone.
        ValueError: what came is not such a message.

    Example:
        >>> from multiprocessing import Pipe
        >>> here, there = Pipe()
        >>> send(here, {"ready": True}, {"tokens": np.eye(2, dtype=np.float32)})
        >>> receive(there)
        ({'ready': True}, {'tokens': array([[1., 0.],
               [0., 1.]], dtype=float32)})
    """
    message = json.loads(connection.recv_bytes(_MAX_HEAD))
    arrays: Arrays = {}
    for name, (dtype, shape) in message["arrays"].items():
        _check(dtype, shape)
        data = connection.recv_bytes(_MAX_ARRAY) if 0 not in shape else b""
        arrays[name] = np.frombuffer(bytearray(data), dtype).reshape(shape)
    return message["head"], arrays
