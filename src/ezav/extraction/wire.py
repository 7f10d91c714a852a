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
    """Send a JSON-ready head and named arrays (float32, float64 or uint8)."""
    parts = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    shapes = {name: [str(part.dtype), list(part.shape)] for name, part in parts.items()}
    connection.send_bytes(json.dumps({"head": head, "arrays": shapes}).encode())
    for part in parts.values():
        if part.size:
            connection.send_bytes(part.reshape(-1).view(np.uint8).data)


def receive(connection: Connection) -> tuple[dict[str, Any], Arrays]:
    """What :func:`send` sent.

    Raises:
        EOFError: the other side has gone.
        ValueError: what came is not such a message.
    """
    message = json.loads(connection.recv_bytes(_MAX_HEAD))
    arrays: Arrays = {}
    for name, (dtype, shape) in message["arrays"].items():
        if dtype not in _DTYPES or not all(isinstance(n, int) and n >= 0 for n in shape):
            raise ValueError(f"an array of {dtype} {shape}")
        data = connection.recv_bytes(_MAX_ARRAY) if 0 not in shape else b""
        arrays[name] = np.frombuffer(bytearray(data), dtype).reshape(shape)
    return message["head"], arrays
