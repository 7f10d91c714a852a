"""What the demo costs in processor seconds, step by step, with nothing kept from before.

    python perf/first_use.py

Runs `ezav demo` in a temporary folder with an empty cache, as `make demo` does after set-up in a
fresh clone, and looks at the processor time of the command and its processes whenever it prints the
heading of a step.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile

import psutil


def used(command: psutil.Process) -> float:
    """Processor seconds of a command, its living processes and those that have ended."""
    total = sum(command.cpu_times()[:4])
    for one in command.children(recursive=True):
        try:
            total += sum(one.cpu_times()[:4])
        except psutil.NoSuchProcess:
            continue
    return total


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        command = psutil.Popen(
            [sys.executable, "-u", "-m", "ezav", "demo", "--out", f"{folder}/demo"],
            env={**os.environ, "EZAV_CACHE": f"{folder}/cache"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        step, before, last = "start", 0.0, 0.0
        for line in command.stdout:
            last = used(command) if command.is_running() else last
            if re.match(r"\d\. ", line):
                print(f"  {last - before:6.1f} s  {step}", flush=True)
                step, before = line.strip(), last
        _, status, spent = os.wait4(command.pid, 0)
        whole = spent.ru_utime + spent.ru_stime
        print(f"  {whole - before:6.1f} s  {step}\n  {whole:6.1f} s  in all", flush=True)
        if status:
            sys.exit("the demo failed")


if __name__ == "__main__":
    main()
