"""The bytes of a live source that the caller named: standard input, a named pipe, an address, a
device.

Only the address itself is reached: a server that sends one elsewhere is refused.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import select
import socket
import stat
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from ipaddress import ip_address
from pathlib import Path
from threading import Event
from typing import IO, Protocol
from urllib.parse import urlsplit

from ezav.errors import EzavError
from ezav.extraction.confine import handed_on
from ezav.extraction.process import python_path
from ezav.recognizer.relay import ADDRESSES, device

_BLOCK = 1 << 16
_TURN = 0.1
_STARTS = 20.0
"""Seconds that a process may take to start."""
_WEB = ("http", "https")
_KINDS = ("tcp", "udp", *_WEB, *ADDRESSES)
_LARGEST = 1 << 16
"""Bytes of a datagram."""
_WAITING = 1 << 23
"""Bytes of datagrams that the system may keep for the reader, where it allows so many."""


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
    """Standard input, a named pipe, an address, or a device.

    Raises:
        EzavError: an address of a kind that is not read.

    Example:
        >>> is_live("-"), is_live("v4l2:/dev/video0"), is_live("film.mp4")
        (True, True, False)
    """
    if name == "-" or device(name) is not None:
        return True
    if is_address(name):
        kind = name.split("://", 1)[0].lower()
        if kind not in _KINDS:
            known = ", ".join(f"{one}://" for one in _KINDS)
            hint = f"give {known}, or pipe it: ffmpeg -i … -f mpegts - | …"
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
    if (found := device(name)) is not None:
        return _Relayed(*found, patience, ends=True)
    if not is_address(name):
        try:
            pipe = os.open(name, os.O_RDONLY | os.O_NONBLOCK)
        except OSError as error:
            raise LostError(f"cannot open the pipe: {_text(error)}") from None
        return _Descriptor(pipe, patience, waits=True)
    kind = urlsplit(name).scheme.lower()
    if kind in ADDRESSES:
        _host_and_port(name)
        return _Relayed(kind, name, patience)
    if kind in _WEB:
        return _Web(name, patience)
    return (_Udp if kind == "udp" else _Tcp)(name, patience)


def _host_and_port(address: str) -> tuple[str, int]:
    """What an address names; port 0 where it names none.

    Raises:
        EzavError: it is none.
    """
    try:
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port or 0
    except ValueError:
        host, port = "", 0
    if not host:
        raise EzavError(
            f"'{address}' names no host, or no port from 0 to 65535", "as in tcp://127.0.0.1:9000"
        )
    return host, port


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
        host, port = _host_and_port(address)
        if not port:
            raise EzavError(f"'{address}' has no port", "as in tcp://127.0.0.1:9000")
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


class _Udp:
    """Datagrams that are sent to an address of this system, or to a group that it joins.

    Nobody can tell an end from a silence. Of a plain address the first sender is listened to.
    """

    def __init__(self, address: str, patience: float) -> None:
        self._patience = patience
        host, port = _host_and_port(address.replace("://@", "://", 1))
        if not port:
            raise EzavError(f"'{address}' has no port", "as in udp://127.0.0.1:9000")
        try:
            kind, _, _, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
            self._group = ip_address(where[0]).is_multicast
            self._socket = socket.socket(kind, socket.SOCK_DGRAM)
        except (OSError, ValueError) as error:
            raise LostError(f"cannot listen: {_text(error)}") from None
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _WAITING)
            if self._group and kind == socket.AF_INET:
                joins = socket.inet_aton(str(where[0])) + socket.inet_aton("0.0.0.0")
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, joins)
            self._socket.bind(where)
        except OSError as error:
            self._socket.close()
            raise LostError(f"cannot listen: {_text(error)}") from None
        self._known = self._group

    def read(self, stop: Event) -> bytes:
        until = time.monotonic() + self._patience
        while not stop.is_set():
            if time.monotonic() >= until:
                raise LostError(f"the stream stalled: nothing came for {self._patience:g} s")
            if not select.select([self._socket], [], [], _TURN)[0]:
                continue
            try:
                block, sender = self._socket.recvfrom(_LARGEST)
                if not self._known:
                    self._socket.connect(sender)
                    self._known = True
            except OSError as error:
                raise LostError(f"the stream was lost: {_text(error)}") from None
            if block:
                return block
        return b""

    def close(self) -> None:
        self._socket.close()


class _Relayed:
    """What FFmpeg reads in a process of its own (:mod:`ezav.recognizer.relay`)."""

    def __init__(self, kind: str, source: str, patience: float, ends: bool = False) -> None:
        self._ends = ends
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "ezav.recognizer.relay", kind, source, str(patience)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=handed_on(os.environ) | {"PYTHONPATH": python_path()},
            start_new_session=True,
        )
        assert self._process.stdout is not None
        # It says itself when it cannot open the source in time.
        self._pipe = _Descriptor(os.dup(self._process.stdout.fileno()), patience)
        self._first = _Descriptor(os.dup(self._process.stdout.fileno()), 2 * patience + _STARTS)

    def read(self, stop: Event) -> bytes:
        block = self._first.read(stop)
        self._first = self._pipe
        if block or stop.is_set():
            return block
        if self._process.wait() == 0:
            if self._ends:
                return b""
            raise LostError("the stream ended: the other side closed it")
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        raise LostError(f"cannot read the stream: {lines[-1].lower() if lines else 'it crashed'}")

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


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
