"""A pipe of an hour, scanned while it comes; what came is scanned as a file afterwards."""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import time
from pathlib import Path

import psutil
from tests.recognizer.small_run import COLOURS, write_video

from held import Held, surroundings
from small_world import make


def live_for_long(arguments: argparse.Namespace, root: Path) -> None:
    """Memory stays flat, and the events are those of the file."""
    world, places, came = make(root), root / "tmp", root / "came.ts"
    film = write_video(root / "film.mp4", list(COLOURS), seconds=7.5)
    places.mkdir()
    found, later = root / "live.csv", root / "file.csv"
    command = [sys.executable, "-m", "ezav.cli.main", "scan", str(world / "run")]
    stop = ["-t", str(60 * arguments.minutes)]
    feed = subprocess.Popen(
        ["ffmpeg", "-v", "error", "-re", "-stream_loop", "-1", "-i", str(film), *stop,
         "-c", "copy", "-f", "mpegts", "-"], stdout=subprocess.PIPE,
    )  # fmt: skip
    copy = subprocess.Popen(["tee", str(came)], stdin=feed.stdout, stdout=subprocess.PIPE)
    begun = time.monotonic()
    scan = subprocess.Popen(
        [*command, "-", "--out", str(found), "--import"],
        stdin=copy.stdout,
        stdout=subprocess.DEVNULL,
        stderr=(root / "live.log").open("w"),
        env=surroundings(places),
    )
    for pipe in (feed.stdout, copy.stdout):  # theirs alone, so that each end is noticed
        if pipe is not None:
            pipe.close()
    held = Held(psutil.Process(scan.pid), places, arguments.every, root / "held.csv")
    with held.noting():
        status = scan.wait()
    took = time.monotonic() - begun
    left = [str(path) for path in places.rglob("*")]
    subprocess.run(
        [*command, str(came), "--out", str(later), "--import"],
        check=True,
        stdout=subprocess.DEVNULL,
        env=surroundings(places),
    )
    live, file = _events(found), _events(later)
    same = sum(one in file for one in live)
    for one in [*(set(live) - set(file)), *(set(file) - set(live))][:20]:
        print("not in both:", one, "live" if one in live else "file")
    print(
        f"live: {took / 60:.1f} min, status {status}, {len(live)} events, {len(file)} of the file, "
        f"{same} the same; left: {left}"
    )
    held.show("live")
    if status or left:
        raise SystemExit((root / "live.log").read_text())


def _events(path: Path) -> list[tuple[str, ...]]:
    """Begin, end and class of each."""
    with path.open() as file:
        return [(row["start"], row["end"], row["class"]) for row in csv.DictReader(file)]
