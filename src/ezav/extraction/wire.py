"""Messages between processes: a JSON head and plain arrays, so that nothing is ever unpickled.

A worker decodes files that nobody has checked. Should one of them take the worker over, the
worst it can send back is wrong numbers: what is no message, is too large, or does not end raises
ValueError, and memory is taken only for what a message of that size may have.
"""

from __future__ import annotations

import json
import math
import socket
import time
from collections.abc import Mapping
from multiprocessing.connection import wait
from typing import Any

import numpy as np

_MAX_HEAD = 1 << 22
_MAX_ARRAYS = 1 << 32
"""Bytes of all arrays of a message, where nobody says less."""
_MAX_NAMES, _MAX_DIMENSIONS = 4096, 8
_PIECE = 1 << 20
_LENGTH = 4
_DTYPES = {"float32", "float64", "uint8"}

Arrays = dict[str, np.ndarray]
_Shapes = dict[str, tuple[np.dtype[Any], tuple[int, ...], int]]
"""Name -> dtype, shape, bytes."""


class Channel:
    """One end of a socket that carries messages.

    Args:
        end: the socket; it is the channel's from now on.
        seconds: in which a message must be complete once it has begun; None waits for ever.
        most: bytes that all arrays of one message may have.

    Example:
        >>> mine, theirs = map(Channel, socket.socketpair())
        >>> theirs.send({"clip": 3}, {"values": np.ones((2, 1), np.float32)})
        >>> head, arrays = mine.receive()
        >>> head, arrays["values"].tolist()
        ({'clip': 3}, [[1.0], [1.0]])
    """

    def __init__(
        self, end: socket.socket, *, seconds: float | None = None, most: int = _MAX_ARRAYS
    ) -> None:
        self._end = end
        self._seconds = seconds
        self._most = most

    def fileno(self) -> int:
        """For those who wait for several."""
        return self._end.fileno()

    def poll(self, seconds: float = 0.0) -> bool:
        """Whether something has come, or the other side has gone, within so many seconds."""
        return bool(wait([self._end], seconds))

    def close(self) -> None:
        """The other side reads an end."""
        self._end.close()

    def send(self, head: Mapping[str, Any], arrays: Mapping[str, Any] = {}) -> None:
        """Send a JSON-ready head and named arrays (float32, float64 or uint8).

        Raises:
            OSError: the other side has gone, or takes nothing.
        """
        begin, parts = _message(head, arrays)
        self._end.settimeout(self._seconds)
        self._end.sendall(begin)
        for part in parts:
            if part.size:
                self._end.sendall(part.reshape(-1).view(np.uint8).data)

    def receive(self) -> tuple[dict[str, Any], Arrays]:
        """What :meth:`send` sent.

        Raises:
            EOFError: the other side has gone.
            ValueError: what came is not such a message, or not the whole of it in time.
        """
        first = self._exactly(1, None)  # it may think as long as it likes
        until = None if self._seconds is None else time.monotonic() + self._seconds
        size = int.from_bytes(first + self._exactly(_LENGTH - 1, until), "little")
        if size > _MAX_HEAD:
            raise ValueError(f"a head of {size} bytes")
        head, shapes = _parsed(bytes(self._exactly(size, until)), self._most)
        arrays: Arrays = {}
        for name, (dtype, shape, length) in shapes.items():
            arrays[name] = np.frombuffer(self._exactly(length, until), dtype).reshape(shape)
        return head, arrays

    def _exactly(self, size: int, until: float | None) -> bytearray:
        found = bytearray()
        while len(found) < size:
            left = None if until is None else until - time.monotonic()
            if left is not None and left <= 0:
                raise ValueError("a message that does not end")
            self._end.settimeout(left)
            try:
                piece = self._end.recv(min(_PIECE, size - len(found)))
            except TimeoutError:
                continue
            if not piece:
                raise EOFError
            found += piece
        return found


def pack(head: Mapping[str, Any], arrays: Mapping[str, Any]) -> bytes:
    """Head and arrays as one string of bytes, for what carries bytes.

    Example:
        >>> head, arrays = unpack(pack({"clip": 3}, {"values": np.ones((2, 1), np.float32)}))
        >>> head, arrays["values"].tolist()
        ({'clip': 3}, [[1.0], [1.0]])
    """
    begin, parts = _message(head, arrays)
    return begin + b"".join(part.tobytes() for part in parts)


def unpack(data: bytes) -> tuple[dict[str, Any], Arrays]:
    """What :func:`pack` packed; raises ValueError if it is not such a thing."""
    at = _LENGTH + int.from_bytes(data[:_LENGTH], "little")
    head, shapes = _parsed(data[_LENGTH:at], len(data))
    arrays: Arrays = {}
    for name, (dtype, shape, size) in shapes.items():
        arrays[name] = np.frombuffer(bytearray(data[at : at + size]), dtype).reshape(shape)
        at += size
    return head, arrays


def _message(head: Mapping[str, Any], arrays: Mapping[str, Any]) -> tuple[bytes, list[np.ndarray]]:
    parts = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    shapes = {name: [str(part.dtype), list(part.shape)] for name, part in parts.items()}
    begin = json.dumps({"head": head, "arrays": shapes}).encode()
    return len(begin).to_bytes(_LENGTH, "little") + begin, list(parts.values())


def _parsed(data: bytes, most: int) -> tuple[dict[str, Any], _Shapes]:
    """The head and what arrays follow it; nothing is believed of either."""
    try:
        message = json.loads(data)
    except (ValueError, RecursionError):
        raise ValueError("no JSON") from None
    message = message if isinstance(message, dict) else {}
    head, arrays = message.get("head"), message.get("arrays")
    if not isinstance(head, dict) or not isinstance(arrays, dict) or len(arrays) > _MAX_NAMES:
        raise ValueError("a message of another kind")
    shapes = {name: _shape(told) for name, told in arrays.items()}
    if (size := sum(one[2] for one in shapes.values())) > most:
        raise ValueError(f"arrays of {size} bytes")
    return head, shapes


def _shape(told: Any) -> tuple[np.dtype[Any], tuple[int, ...], int]:
    if not isinstance(told, list) or len(told) != 2:
        raise ValueError("an array without dtype and shape")
    dtype, shape = told
    if not isinstance(dtype, str) or dtype not in _DTYPES or not isinstance(shape, list):
        raise ValueError("an array of another kind")
    if len(shape) > _MAX_DIMENSIONS or not all(type(n) is int and 0 <= n < 1 << 40 for n in shape):
        raise ValueError("an array of an impossible shape")
    return np.dtype(dtype), tuple(shape), np.dtype(dtype).itemsize * math.prod(shape)
