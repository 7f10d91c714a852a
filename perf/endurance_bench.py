"""A small bench, killed again and again: its table is that of one that was left alone."""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import time
from pathlib import Path

from small_world import make


def bench_interrupted(arguments: argparse.Namespace, root: Path) -> None:
    """Ends with an error where a table differs."""
    world = make(root)
    from ezav.cli.main import main

    words = ["bench", str(world / "store"), "--methods", "eszsl", "devise", "--epochs", "2"]
    words += ["--batches-per-epoch", "5", "--seeds", "4", "--processes", "1", "--out"]
    assert main([*words, str(root / "quiet")]) == 0
    draw, killed, rounds = random.Random(0), 0, 0
    while killed < arguments.times:
        child = os.fork()
        if child == 0:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.dup2(null, 2)
            os._exit(main([*words, str(root / "killed")]))
        time.sleep(draw.uniform(0.1, arguments.longest))
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            assert os.waitstatus_to_exitcode(status) == 0, status
            _same_tables(root)
            shutil.rmtree(root / "killed")
            rounds += 1
            continue
        os.kill(child, draw.choice((signal.SIGKILL, signal.SIGINT, signal.SIGTERM)))
        os.waitpid(child, 0)
        killed += 1
    assert main([*words, str(root / "killed")]) == 0
    _same_tables(root)
    litter = [path for path in (root / "killed").rglob(".*") if path.is_file()]
    print(f"bench: {killed} interruptions, {rounds + 1} finished, tables equal; litter: {litter}")


def _same_tables(root: Path) -> None:
    one, other = (root / name / "results.csv" for name in ("quiet", "killed"))
    assert _numbers(one) == _numbers(other), "the tables differ"


def _numbers(path: Path) -> list[str]:
    """The rows, without what a clock says."""
    head, *rows = path.read_text().splitlines()
    timed = [at for at, name in enumerate(head.split(",")) if "second" in name]
    return [
        ",".join(cell for at, cell in enumerate(row.split(",")) if at not in timed) for row in rows
    ]
