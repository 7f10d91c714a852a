"""The bytes of a live source that the caller named: standard input, a named pipe, an address.

Only the address itself is reached: a server that sends one elsewhere is refused.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import select
import socket
import stat
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from threading import Event
from typing import Protocol
from urllib.parse import urlsplit

from ezav.errors import EzavError

_BLOCK = 1 << 16
_TURN = 0.1
_WEB = ("http", "https")


class LostError(Exception):
    """The source stalled, was lost or cannot be reached; the text says it in one line."""


class Connection(Protocol):
    """An open source."""

    def read(self, stop: Event) -> bytes:
        """The next bytes; none at its end, or when it is to stop.

        Raises:
            LostError: it stalled or was lost.
        """
        ...

    def close(self) -> None:
        """Leave it."""
        ...


def is_address(name: str) -> bool:
    """Whether it has the form of an address.

    Example:
        >>> is_address("tcp://cam:9000"), is_address("films/a.mp4")
        (True, False)
    """
    return "://" in name


def is_live(name: str) -> bool:
    """Standard input, a named pipe, or an address.

    Raises:
        EzavError: an address of a kind that is not read.

    Example:
        >>> is_live("-"), is_live("film.mp4")
        (True, False)
    """
    if name == "-":
        return True
    if is_address(name):
        kind = name.split("://", 1)[0].lower()
        if kind not in ("tcp", *_WEB):
            hint = "give tcp://, http:// or https://, or pipe it: ffmpeg -i … -f mpegts - | …"
            raise EzavError(f"addresses of the kind '{kind}' are not read", hint)
        return True
    with contextlib.suppress(OSError, ValueError):
        return stat.S_ISFIFO(Path(name).stat().st_mode)
    return False


def connect(name: str, patience: float) -> Connection:
    """Open the source.

    Raises:
        EzavError: an address that is none.
        LostError: it cannot be reached now.
    """
    if name == "-":
        try:
            return _Descriptor(os.dup(sys.stdin.fileno()), patience)
        except (OSError, ValueError, AttributeError):
            raise LostError("there is no standard input") from None
    if not is_address(name):
        try:
            pipe = os.open(name, os.O_RDONLY | os.O_NONBLOCK)
        except OSError as error:
            raise LostError(f"cannot open the pipe: {_text(error)}") from None
        return _Descriptor(pipe, patience, waits=True)
    if urlsplit(name).scheme.lower() in _WEB:
        return _Web(name, patience)
    return _Tcp(name, patience)


class _Descriptor:
    """A pipe: it ends, or stalls."""

    def __init__(self, descriptor: int, patience: float, waits: bool = False) -> None:
        self._descriptor, self._patience, self._waits = descriptor, patience, waits

    def read(self, stop: Event) -> bytes:
        until = time.monotonic() + self._patience
        while not stop.is_set():
            if time.monotonic() >= until:
                raise LostError(f"the stream stalled: nothing came for {self._patience:g} s")
            if not select.select([self._descriptor], [], [], _TURN)[0]:
                continue
            with contextlib.suppress(BlockingIOError):
                if block := os.read(self._descriptor, _BLOCK):
                    self._waits = False
                    return block
                if not self._waits:
                    return b""
                stop.wait(_TURN)  # of a named pipe: nobody writes yet
        return b""

    def close(self) -> None:
        pass  # the reading thread may be at it; `stop` ends that, and it goes with the object

    def __del__(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self._descriptor)


class _Tcp:
    """A plain connection; its end may be the stream's or the line's, which nobody can tell."""

    def __init__(self, address: str, patience: float) -> None:
        self._patience = patience
        try:
            parts = urlsplit(address)
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port = None, None
        if not host or not port:
            raise EzavError(f"'{address}' has no host and port", "as in tcp://127.0.0.1:9000")
        try:
            self._socket = socket.create_connection((host, port), timeout=patience)
        except OSError as error:
            raise LostError(f"cannot reach the stream: {_text(error)}") from None

    def read(self, stop: Event) -> bytes:
        try:
            block = self._socket.recv(_BLOCK)
        except TimeoutError:
            raise LostError(f"the stream stalled: nothing came for {self._patience:g} s") from None
        except OSError as error:
            raise LostError(f"the stream was lost: {_text(error)}") from None
        if not block and not stop.is_set():
            raise LostError("the stream ended: the other side closed it")
        return block

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


class _NoDetour(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        """The caller named one address, and no other is asked."""


class _Web:
    """An answer over HTTP: one of known length, or in whole chunks, has an end."""

    def __init__(self, address: str, patience: float) -> None:
        self._patience = patience
        try:
            opener = urllib.request.build_opener(_NoDetour)
            self._answer = opener.open(address, timeout=patience)
        except urllib.error.HTTPError as error:
            error.close()
            raise LostError(f"cannot reach the stream: the server says {error.code}") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise LostError(f"cannot reach the stream: {_text(error)}") from None

    def read(self, stop: Event) -> bytes:
        ends = self._answer.length is not None or self._answer.chunked
        try:
            block: bytes = self._answer.read1(_BLOCK)
        except TimeoutError:
            raise LostError(f"the stream stalled: nothing came for {self._patience:g} s") from None
        except (OSError, http.client.HTTPException, ValueError, AttributeError) as error:
            raise LostError(f"the stream was lost: {_text(error)}") from None
        if not block and not stop.is_set() and (not ends or self._answer.length):
            raise LostError("the stream ended: the other side closed it")
        return block

    def close(self) -> None:
        # Closing it here would wait for the thread that reads; its patience ends that.
        pass


def _text(error: Exception) -> str:
    inner = getattr(error, "reason", error)
    return str(getattr(inner, "strerror", None) or inner).lower()
