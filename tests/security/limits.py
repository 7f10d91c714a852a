"""Attacks run in a process of their own, which may take a little memory and time and no more."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
MEMORY = 2 << 30
"""Of address space, on top of what torch takes: 1 GiB, and a build for GPUs more than 3."""
SECONDS = 120
"""Far more than any answer takes; what never ends is stopped by it."""

_SERVER = """
import json, os, resource, signal, sys, traceback
import torch
from ezav.errors import EzavError

def run(code, memory, seconds, said, complained):
    for stream, path in enumerate((said, complained), start=1):
        os.dup2(os.open(path, os.O_WRONLY), stream)
    signal.alarm(seconds)
    with open("/proc/self/statm") as file:
        limit = int(file.read().split()[0]) * resource.getpagesize() + memory
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        exec(code, {"__name__": "__main__"})
    except EzavError as error:
        print(type(error).__name__, error, sep=": ")
    sys.stdout.flush()

for line in sys.stdin:
    child = os.fork()
    if not child:
        status = 1
        try:
            run(*json.loads(line))
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@functools.cache
def _server() -> subprocess.Popen[str]:
    """A process that has imported torch and nothing else, from which those of attacks are forked.

    It ends with this one.
    """
    return subprocess.Popen(
        [sys.executable, "-c", _SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        cwd=ROOT,
    )


def answer(code: str, *, memory: int = MEMORY, seconds: int = SECONDS) -> str:
    """What a piece of code says; the error of a user as `Class: message`.

    Fails where it is killed, takes too long, or ends in any other error (a MemoryError, say).
    """
    server = _server()
    assert server.stdin is not None
    assert server.stdout is not None
    with tempfile.NamedTemporaryFile("r") as said, tempfile.NamedTemporaryFile("r") as complained:
        request = [code, memory, seconds, said.name, complained.name]
        server.stdin.write(f"{json.dumps(request)}\n")
        server.stdin.flush()
        status = server.stdout.readline().strip()
        assert status == "0", f"status {status}\n{complained.read()[-2000:]}"
        return said.read()
