"""Encoders that do what a decoder may do that a file has taken over.

What is tried stands in the file `attack` beside the clip.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ezav.encoders.base import Encoded, EncoderCard, MediaNeeds
from ezav.media import Frames

HERE = "tests.security.attacks"


def message(head: Any, arrays: Any = None) -> bytes:
    """A message as :mod:`ezav.extraction.wire` writes it, of whatever is given."""
    text = json.dumps({"head": head, "arrays": arrays or {}}).encode()
    return len(text).to_bytes(4, "little") + text


DONE = {
    "status": "ok",
    "reason": "",
    "duration": 1.0,
    "frames": 2,
    "failed": {},
    "remarks": "",
    "missing": {},
    "warnings": [],
    "start": 0.0,
    "claimed": None,
    "lost": False,
}
TOKENS = {"visual.values": ["float32", [1, 3]], "visual.times": ["float32", [1]]}
DEEP = b"[" * 200_000
RUBBISH = {
    "no JSON": b"\x05\0\0\0hello",
    "deep": len(DEEP).to_bytes(4, "little") + DEEP,
    "a huge head": b"\xff\xff\xff\xff",
    "a list": b"\x02\0\0\0[]",
    "a number for a head": message(7),
    "a list for arrays": message({}, [1]),
    "an array of a number": message({}, {"a": 3}),
    "a dtype that is a list": message({}, {"a": [["float32"], [1]]}),
    "objects": message({}, {"a": ["object", [1]]}),
    "a shape that is text": message({}, {"a": ["float32", "12"]}),
    "a shape that is true": message({}, {"a": ["float32", [True]]}),
    "many dimensions": message({}, {"a": ["float32", [1] * 99]}),
    "a terabyte": message(DONE, {"a": ["float32", [1 << 38]]}),
    "many gigabytes": message(DONE, {str(n): ["uint8", [1 << 31]] for n in range(9)}),
    "nothing of a clip": message({}),
    "a status of its own": message(DONE | {"status": ["ok"]}),
    "a duration that is none": message(DONE | {"duration": "long"}),
    "no end of time": message(DONE | {"duration": 1e999}),
    "failures in a list": message(DONE | {"failed": [1, 2]}),
    "an unknown encoder": message(DONE | {"failed": {"visual 9": "x"}}),
    "values without times": message(DONE, {"visual.values": ["float32", [0, 3]]}),
    "other dimensions": message(DONE, TOKENS | {"visual.values": ["float32", [1, 9]]})
    + bytes(4 * 10),
    "not finite": message(DONE, TOKENS) + np.full(4, np.nan, np.float32).tobytes(),
    "an unknown slot": message(DONE, {"x.values": ["float32", [1, 3]], "x.times": ["float32", [1]]})
    + bytes(16),
    "over without windows": message({"over": True}),
    "a piece of nothing": message({"piece": 0, "slot": "visual"}),
    "a piece of a list": message({"piece": [0], "slot": ["visual"]}),
    "a clip to be shown that is none": message(DONE | {"shown": 5}, TOKENS) + bytes(16),
}
"""What a worker that was taken over may send instead of an answer."""


class Captured:
    """Gives mean colours; tries what the file `attack` beside the clips names."""

    def __init__(self, folder: str, torch: bool = False) -> None:
        self._folder = Path(folder)
        if torch:
            __import__("torch")
        self.card = EncoderCard(
            name=f"{HERE}:Captured",
            kind="visual",
            dimension=3,
            needs=MediaNeeds(frames=2, short_side=16),
            source="tests",
            revision="1",
            licence="MIT",
        )

    def encode(self, clips: Sequence[Frames]) -> list[Encoded]:
        attack = self._folder / "attack"
        if attack.is_file():
            name = attack.read_text()
            attack.unlink()
            if name in RUBBISH:
                os.write(int(sys.argv[1]), RUBBISH[name])
                time.sleep(600)
            getattr(self, f"_{name}")()
        return [
            Encoded(c.images.mean(axis=(1, 2)).astype(np.float32), c.times.astype(np.float32))
            for c in clips
        ]

    def _tell(self, what: Any) -> None:
        (self._folder / "told").write_text(json.dumps(what))

    def _environment(self) -> None:
        mine = Path("/proc/self/environ")
        kept = mine.read_text() if mine.exists() else ""
        self._tell([dict(os.environ), kept])

    def _network(self) -> None:
        told = []
        for family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX):
            try:
                socket.socket(family).close()
                told.append("a socket")
            except OSError as error:
                told.append(str(error.errno))
        libc = ctypes.CDLL(None, use_errno=True)
        told.append(str(libc.ptrace(16, os.getppid(), 0, 0)))
        self._tell(told)

    def _memory(self) -> None:
        """As a decoder written in C would: at once, and every page."""
        size = 6 << 30
        libc = ctypes.CDLL(None)
        libc.malloc.restype = ctypes.c_void_p
        libc.malloc.argtypes = [ctypes.c_size_t]
        at = libc.malloc(size)
        self._tell(bool(at))
        if not at:
            raise MemoryError
        ctypes.memset(at, 1, size)

    def _half(self) -> None:
        """The beginning of a message, and no more."""
        os.write(int(sys.argv[1]), b"\x05")
        time.sleep(600)
