"""What the demo costs in processor seconds, step by step, with nothing kept from before.

    python perf/first_use.py

Runs `ezav demo` in a temporary folder with an empty cache, as `make demo` does after set-up in a
fresh clone. Its processes are looked at ten times a second, since what one of them takes that
outlives its parent is in nobody's account; a step is what is printed between two headings.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress

import psutil


class Watch:
    """Processor seconds of a command and of every process that came from it."""

    def __init__(self, command: psutil.Popen) -> None:
        self._command = command
        self._spent: dict[tuple[int, float], float] = {}
        self._lock, self._over = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        while not self._over.wait(0.1):
            self.seconds()

    def seconds(self) -> float:
        with self._lock:
            with suppress(psutil.NoSuchProcess):
                for one in (self._command, *self._command.children(recursive=True)):
                    with suppress(psutil.NoSuchProcess):
                        self._spent[one.pid, one.create_time()] = sum(one.cpu_times()[:2])
            return sum(self._spent.values())

    def end(self) -> float:
        self._over.set()
        self._thread.join()
        return sum(self._spent.values())


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        command = psutil.Popen(
            [sys.executable, "-u", "-m", "ezav", "demo", "--out", f"{folder}/demo"],
            env={**os.environ, "EZAV_CACHE": f"{folder}/cache"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        watch = Watch(command)
        step, before = "start", 0.0
        for line in command.stdout:
            if re.match(r"\d\. ", line):
                now = watch.seconds()
                print(f"  {now - before:6.1f} s  {step}", flush=True)
                step, before = line.strip(), now
        whole = watch.end()
        print(f"  {whole - before:6.1f} s  {step}\n  {whole:6.1f} s  in all", flush=True)
        if command.wait():
            sys.exit("the demo failed")


if __name__ == "__main__":
    main()
