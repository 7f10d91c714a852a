"""What the default run costs, and how it grows: processor seconds and peak memory.

    python perf/default_run.py STORE [STORE ...]                    stores of your own
    python perf/default_run.py --suite vggsound-main --scale 0.01 0.1 1

Each row is one `ezav run STORE` with no other option, from the start of the process to its end.
With `--suite` simulated stores of the official size (times `--scale`) are drawn in a temporary
folder first; drawing is not counted. "processor" is user and system time of the command and its
processes: on a busy machine it is about what a quiet one takes on one core, and the clock is not.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from ezav.benchmarks.simulate import SUITES, plan_simulation, write_store
from ezav.features import FeatureStore

_SILENT = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]


def measured(command: list[str]) -> tuple[float, float, int]:
    """Seconds of processor, seconds of the clock, most bytes of the process itself."""
    begun = time.perf_counter()
    process = os.posix_spawn(command[0], command, os.environ, file_actions=_SILENT)
    _, status, used = os.wait4(process, 0)
    if status:
        sys.exit(f"{' '.join(command)} failed")
    spent = used.ru_utime + used.ru_stime
    return spent, time.perf_counter() - begun, used.ru_maxrss * 1024


def row(path: Path, place: Path) -> str:
    store = FeatureStore.open(path)
    header = store.header
    out = place / "runs" / path.name
    command = [sys.executable, "-m", "ezav", "run", str(path), "--out", str(out)]
    spent, clock, most = measured(command)
    return (
        f"| {header.dataset} ({header.setting}) | {sum(store.splits.values()):,} "
        f"| {len(store.classes)} | {header.dim('audio')} + {header.dim('visual')} "
        f"| {spent:.0f} | {clock:.0f} | {most / 1e9:.1f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("stores", type=Path, nargs="*")
    parser.add_argument("--suite", choices=SUITES, help="draw simulated stores of this suite")
    parser.add_argument("--scale", type=float, nargs="+", default=[0.01, 0.1, 1.0])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        print("| data | clips | classes | dimensions | processor s | clock s | peak GB |")
        print("|---|--:|--:|---|--:|--:|--:|", flush=True)
        for store in given.stores:
            print(row(store, place), flush=True)
        for scale in given.scale if given.suite else ():
            made = place / f"simulated-{scale}"
            write_store(plan_simulation(given.suite, scale=scale), made)
            print(row(made, place), flush=True)
        print(f"\nload while this ran: {os.getloadavg()[0]:.1f} of {os.cpu_count()} CPUs")


if __name__ == "__main__":
    main()
