"""How long an answer takes with nothing trained: cold, as a command, and warm.

    python perf/answers.py CLIP [CLIP ...] [--times 5]

Cold is `ezav predict --frozen CLIP --classes …` from the start of the process to its end, each clip
in turn. Warm is one recogniser that answers the same clips again and again; its names are known.
Told are the median and the least seconds by the clock, and the seconds of processor that a cold
command takes with its worker: where other work runs beside it the clock says little, and the
processor is about right.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from ezav.recognizer import Recognizer

NAMES = ("archery", "playing guitar", "dog barking", "brushing teeth", "rain")


def cold(clip: Path) -> tuple[float, float]:
    """Seconds by the clock, and of processor, of one command."""
    command = [sys.executable, "-m", "ezav", "predict", "--frozen", str(clip), "--classes", *NAMES]
    before, begun = os.times(), time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    took, after = time.perf_counter() - begun, os.times()
    used = after.children_user + after.children_system
    return took, used - before.children_user - before.children_system


def warm(recognizer: Recognizer, clip: Path) -> float:
    begun = time.perf_counter()
    recognizer.predict(clip, classes=NAMES)
    return time.perf_counter() - begun


def told(what: str, seconds: list[float], scale: float, unit: str) -> None:
    middle, least = scale * statistics.median(seconds), scale * min(seconds)
    print(f"{what:24} median {middle:6.2f} {unit}   least {least:6.2f} {unit}   n {len(seconds)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("clips", type=Path, nargs="+")
    parser.add_argument("--times", type=int, default=5)
    given = parser.parse_args()
    runs = [cold(clip) for _ in range(given.times) for clip in given.clips]
    told("cold", [took for took, _ in runs], 1, "s")
    told("cold, processor", [used for _, used in runs], 1, "s")
    with Recognizer.frozen() as recognizer:
        for clip in given.clips:
            warm(recognizer, clip)
        for clip in given.clips:
            seconds = [warm(recognizer, clip) for _ in range(4 * given.times)]
            told(f"warm, {clip.name[:18]}", seconds, 1000, "ms")
    print(f"load while this ran: {os.getloadavg()[0]:.1f} of {os.cpu_count()} CPUs")


if __name__ == "__main__":
    main()
