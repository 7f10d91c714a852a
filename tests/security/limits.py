"""Attacks run in a process of their own, which may take a little memory and time and no more."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
MEMORY = 2 << 30
"""Of address space, on top of what torch takes: 1 GiB, and a build for GPUs more than 3."""
SECONDS = 120
"""Far more than any answer takes; what never ends is stopped by it."""

_GUARD = """
import resource, signal, sys
import torch
with open("/proc/self/statm") as file:
    limit = int(file.read().split()[0]) * resource.getpagesize() + {memory}
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
from ezav.errors import EzavError
try:
{code}
except EzavError as error:
    print(type(error).__name__, error, sep=": ")
"""


def answer(code: str, *, memory: int = MEMORY, seconds: float = SECONDS) -> str:
    """What a piece of code says; the error of a user as `Class: message`.

    Fails where it is killed, takes too long, or ends in any other error (a MemoryError, say).
    """
    indented = "\n".join(f"    {line}" for line in code.splitlines())
    done = subprocess.run(
        [sys.executable, "-c", _GUARD.format(memory=memory, code=indented)],
        capture_output=True,
        text=True,
        timeout=seconds,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        cwd=ROOT,
    )
    assert done.returncode == 0, f"status {done.returncode}\n{done.stderr[-2000:]}"
    return done.stdout
